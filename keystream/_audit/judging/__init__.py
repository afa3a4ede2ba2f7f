"""From what is done with keys to findings: the rules."""
