"""The audit: from programs to lineages, findings and a report."""
