"""Programs in a process of their own, in which nothing has been imported or compiled yet."""

import os
import subprocess
import sys
from pathlib import Path

import keystream as ks

COUNTING = """
import jax
jax.config.update("jax_platforms", "cpu")
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: compiled.append(event)
    if event.endswith("backend_compile_duration") else None
)
import keystream as ks
"""
"""How a program begins that counts compilations: one entry in `compiled` for each."""


def python(
    program: str, *arguments: str, flags: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh process that keeps the bytecode it makes, as people's do."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, *flags, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
        cwd=Path(ks.__file__).parent.parent,
        env=environment,
    )
