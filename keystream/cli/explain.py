"""Explain a rule of the audit: what happened, why it matters, and the code that fixes it.

Without a rule, list all of them.
"""

from __future__ import annotations

import argparse

from keystream._audit.rules import RULES, Rule
from keystream.cli._inputs import bad_value


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "rule", nargs="?", type=read_rule, metavar="RULE", help="the id of a rule, such as KS01"
    )


def read_rule(text: str) -> Rule:
    """Read the id of a rule."""
    rule = RULES.get(text.upper())
    if rule is None:
        known = ", ".join(sorted(RULES))
        raise bad_value(text, f"be one of {known}", "To list them: python -m keystream explain")
    return rule


def run(options: argparse.Namespace) -> int:
    """Print the rule, or a line for each rule; return 0."""
    print(explanation(options.rule) if options.rule else list_rules())
    return 0


def explanation(rule: Rule) -> str:
    """Return all that the table of rules says of one."""
    return (
        f"{rule.severity}[{rule.id}]: {rule.title}\n\n{rule.why}\n\n"
        f"Write instead:\n\n    {rule.cure}\n\n"
        f"Code that is wrong and code that is right: docs/audit.md#{rule.anchor} of the sources."
    )


def list_rules() -> str:
    """Return a line for each rule, in the order of their ids."""
    rows = sorted(RULES.values())
    return "\n".join(f"{rule.id}  {rule.severity:9}{rule.title}" for rule in rows)
