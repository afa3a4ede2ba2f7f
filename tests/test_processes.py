"""Real processes, joined by jax.distributed on loopback, draw what one process draws."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import keystream as ks

WORKER = Path(__file__).with_name("process_worker.py")
KINDS = ("Auto", "Explicit")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(count: int) -> list[dict]:
    """Start `count` processes and return what each of them printed; none outlives this."""
    port = free_port()
    started = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(index), str(count), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
            env=_environment(),
        )
        for index in range(count)
    ]
    try:
        outputs = [process.communicate(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, errors) in zip(started, outputs, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [json.loads(out.strip().splitlines()[-1]) for out, _ in outputs]


def _environment() -> dict[str, str]:
    root = str(Path(ks.__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": root, "XLA_FLAGS": ""}


@pytest.fixture(scope="module")
def alone() -> dict:
    return run(1)[0]


@pytest.fixture(scope="module")
def together() -> list[dict]:
    return run(2)


def joined(parts: list[dict]) -> dict:
    """Put the parts of all processes together; each place is held by one of them at least."""
    whole: dict = {}
    for part in parts:
        for place, values in part.items():
            assert whole.setdefault(place, values) == values
    return whole


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["keys", "sample", "batches", "shard_keys", "shard_map", "jitted"])
def test_two_processes_hold_what_one_holds(alone, together, kind, how):
    """1x8 and 2x4 processes x devices make the same keys and raw bits, on either mesh."""
    assert joined([one[kind][how] for one in together]) == joined([alone[kind][how]])


def test_each_process_holds_only_its_part(alone, together):
    """Neither of two processes makes more than half of a sharded result."""
    total = len(alone["Auto"]["keys"])
    assert [len(one["Auto"]["keys"]) for one in together] == [total // 2, total // 2]


def test_for_process_is_the_child_at_the_process_index(together):
    """Each process gets its own child of the shared key."""
    expected = [ks.fingerprint(ks.derive(ks.key(42), index)) for index in range(2)]
    assert [one["process"] for one in together] == expected


def test_liars_on_other_processes_are_named(together):
    """A key repeated, or unlike, on another process's device is found by every process."""
    for one in together:
        repeated, unlike = one["agreement"]
        assert repeated.startswith("KeysEqualError check_distinct: keys must be distinct")
        assert "[0] on" in repeated
        assert "[7] on" in repeated
        assert unlike.startswith("KeysDifferError check_replicated: key must be the same")


def test_one_process_has_no_other_to_ask(alone):
    """On one process the repeated key is found, and a replicated one agrees with itself."""
    repeated, unlike = alone["agreement"]
    assert repeated.startswith("KeysEqualError")
    assert unlike == "no error"
    assert jax.process_count() == 1
