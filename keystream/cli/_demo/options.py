"""Read the demo's own options."""

from __future__ import annotations

import argparse

from keystream.cli._inputs import bad_value

MOST_DEVICES = 8
DEVICES = (1, 2, 4, MOST_DEVICES)
PROCESSES = (1, 2, 4)
EXPERIMENTS = 200


def device_counts(text: str) -> tuple[int, ...]:
    """Read `1,2,4,8`."""
    words = [word.strip() for word in text.split(",")]
    counts = tuple(int(word) if word.isdecimal() else 0 for word in words)
    if not set(counts) <= set(DEVICES) or len(set(counts)) < len(counts):
        choice = ", ".join(map(str, DEVICES))
        rule = f"be different counts out of {choice}"
        raise bad_value(text, rule, f"For all of them: --devices {choice.replace(' ', '')}")
    return counts


def experiment_count(text: str) -> int:
    """Read a count of one or more."""
    if not text.isdecimal() or int(text) < 1:
        raise bad_value(text, "be a count of one or more", "For a quick look: --experiments 50")
    return int(text)


def process_count(text: str) -> int:
    """Read a count of processes that share the devices evenly."""
    if text not in map(str, PROCESSES):
        choice = ", ".join(map(str, PROCESSES))
        rule = f"be one of {choice} (they share {MOST_DEVICES} devices)"
        raise bad_value(text, rule, "For two: --processes 2")
    return int(text)


def conflict(options: argparse.Namespace) -> str | None:
    """Say what is wrong with options that are each right, or None."""
    if options.resume and options.processes:
        return "--resume and --processes must come one at a time. For the kill: --resume"
    for name in ("devices", "experiments"):
        if getattr(options, name) and (options.resume or options.processes):
            mode = "--resume" if options.resume else "--processes"
            cure = mode if options.resume else f"{mode} {options.processes}"
            return f"--{name} must come without {mode}, which has its own. For those: {cure}"
    return None
