"""The audit: from programs to lineages, findings and a report."""

from keystream._audit.recorder import context as context  # made before anything is compiled
