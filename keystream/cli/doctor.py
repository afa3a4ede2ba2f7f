"""Check this installation: versions, settings that change numbers, and the laws.

Exit status 0 if every law holds here, 1 if not. Unusual settings are named, with what they
do and what to do about them; they are no failure, since no key of keystream depends on them.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from importlib import metadata

import jax

import keystream as ks
from keystream._saving.settings import read_settings
from keystream.cli._doctor import selftest
from keystream.cli._run import tuning

DISTRIBUTIONS = ("keystream", "jax", "jaxlib", "numpy")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the doctor: there are none."""
    parser.epilog = "Exit status 1 if a law of keystream doesn't hold here."


def run(options: argparse.Namespace) -> int:  # noqa: ARG001 - as every command
    """Print what is found; return 0 if every law holds, 1 if not."""
    print("\n".join(["versions", *versions(), "", "settings", *settings()]), flush=True)
    print("\n".join(["", "devices", *devices()]), flush=True)
    print("\n".join(["", "speed of large draws on CPU", *speed(os.environ)]), flush=True)
    print("\nself-test", flush=True)
    found = []
    for outcome in selftest.outcomes():
        print(outcome_line(outcome), flush=True)
        found.append(outcome)
    print(f"\n{verdict(found)}")
    return int(any(outcome.trouble for outcome in found))


def versions() -> list[str]:
    """Return a line for each version that can matter."""
    lines = [f"  {each:12}{_version(each)}" for each in DISTRIBUTIONS]
    system = f"{platform.system()} {platform.machine()}"
    lines.insert(1, f"  {'scheme':12}{ks.SCHEME}")
    return [*lines, f"  {'python':12}{platform.python_version()} on {system}"]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed, run from its source"


def devices() -> list[str]:
    """Return a line for each kind of device; this starts JAX's backend."""
    kinds = sorted({(each.platform, each.device_kind) for each in jax.devices()})
    found = [
        f"  {sum(each.device_kind == kind for each in jax.devices())} x {kind} ({name})"
        for name, kind in kinds
    ]
    return [*found, f"  process {jax.process_index()} of {jax.process_count()}"]


def settings() -> list[str]:
    """Return a line for each setting; for the unusual ones also what to do about them."""
    lines = []
    for name, setting, value, odd in read_settings():
        mark = "UNUSUAL" if odd else "usual"
        lines.append(f"  {mark:9}{name} = {value}")
        if odd:
            lines += [f"{'':11}{setting.effect}", f"{'':11}{setting.advice}"]
    return lines


def speed(variables: Mapping[str, str]) -> list[str]:
    """Return a line for each setting that makes large draws faster here and isn't there."""
    missing = tuning.missing_settings(variables, wide=True)
    if not missing:
        return ["  nothing that this machine could have is unset"]
    return [
        line
        for each in missing
        for line in (
            f"  unset    {each.variable}: {each.why}",
            f"{'':11}export {each.variable}={shlex.quote(each.value)}",
        )
    ]


def outcome_line(outcome: selftest.Outcome) -> str:
    """Return the line of one law."""
    if outcome.trouble:
        return f"  FAILED   {outcome.claim} ({outcome.trouble})"
    return f"  ok       {outcome.claim}"


def verdict(found: Sequence[selftest.Outcome]) -> str:
    """Return the last line: is all well, and if not, what now?"""
    odd = [reading.name for reading in read_settings() if reading.odd]
    failed = sum(bool(outcome.trouble) for outcome in found)
    if failed:
        return (
            f"{failed} of {len(found)} laws don't hold here: don't trust keys from this "
            "installation. Try it in a fresh environment, and report what is printed above."
        )
    if odd:
        return f"All laws hold. Unusual settings, see above: {', '.join(odd)}."
    return "All laws hold, and every setting is usual."
