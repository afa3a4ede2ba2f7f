"""Processes that fail for real: what the others are told, and how they end. See docs/faults.md."""

import json
import signal
from pathlib import Path

import pytest

from tests.docs.test_guarantees import functions, missing_tests, named_tests
from tests.spawn import Ended, spawn

PAGE = (Path(__file__).parents[2] / "docs" / "faults.md").read_text()

WAIT = 3.0
"""Seconds that the workers wait for each other."""
LATE = 2.0
"""Seconds after which a call that should have ended by then is too late."""
ABORTED = -signal.SIGABRT
GAVE_UP = 3
"""The status with which a worker leaves of its own."""

HERE = "On every process, at the same place of the program: ks.agree_on_seed(seed)."
LEAVE = "To leave without waiting for the others: os._exit(1)."
SILENCE = (
    "PeerError agree_on_seed: processes must be all there, got no answer within 3 s, "
    f"after which this process can do no more collectives. {HERE} {LEAVE}"
)
STILL = (
    "PeerError agree_on_seed: processes must be done with the call before, "
    f"got ks.agree_on_seed still waiting for them. {LEAVE}"
)
BROKEN = "PeerError agree_on_seed: processes must be all there, got a failure of the connection ("


def play(*acts: str, met: bool = True, **initialize: float) -> list[Ended]:
    """Start one process per act and return how each ended."""
    plan = {"acts": acts, "met": met, "timeout": WAIT, "initialize": initialize}
    return spawn("devices/fault_worker.py", len(acts), json.dumps(plan), limit=90.0)


def tells(ended: Ended) -> list[str]:
    """Return what became of a process's calls, the first one that all make apart."""
    return [told["outcome"] for told in ended.said if told["outcome"] != "7"]


def in_time(ended: Ended) -> bool:
    """Did every call of this process end when it should?"""
    limits = {SILENCE: (WAIT, WAIT + LATE), STILL: (0.0, 0.5)}
    calls = [told for told in ended.said if told["outcome"] != "7"]
    spans = [(told["took"], *limits.get(told["outcome"], (0.0, LATE))) for told in calls]
    return all(least <= took <= most for took, least, most in spans)


@pytest.mark.slow
@pytest.mark.parametrize("met", [True, False], ids=["later", "from the start"])
def test_a_process_that_stays_away(met: bool) -> None:
    """The others are told when their time is over, at once when they ask again, and can leave."""
    waits, away = play("asks", "away", met=met)
    assert tells(waits) == [SILENCE, STILL]
    assert in_time(waits)
    assert waits.code == GAVE_UP
    # JAX ends the others as soon as process 0 is gone.
    assert away.code == ABORTED


@pytest.mark.slow
def test_a_process_that_comes_late() -> None:
    """The one that gave up has left, so the one that comes late is told, and again when it asks."""
    late, gave_up = play("late", "asks")
    assert tells(gave_up) == [SILENCE, STILL]
    assert [told.startswith(BROKEN) for told in tells(late)] == [True, True]
    assert all(told.endswith(f"{HERE} {LEAVE}") for told in tells(late))
    assert in_time(late)
    assert (late.code, gave_up.code) == (GAVE_UP, GAVE_UP)


@pytest.mark.slow
def test_a_process_killed_in_its_call() -> None:
    """The survivor is told at once that the connection broke, and again when it asks."""
    survivor, killed = play("late", "killed")
    assert killed.code == -signal.SIGKILL
    assert [told.startswith(BROKEN) for told in tells(survivor)] == [True, True]
    assert in_time(survivor)
    assert survivor.code == GAVE_UP


@pytest.mark.slow
def test_a_process_killed_while_others_wait() -> None:
    """The survivor is told within its time, though a third process keeps it waiting."""
    survivor, killed, _ = play("asks", "killed", "away")
    assert killed.code == -signal.SIGKILL
    first, second = tells(survivor)
    assert first == SILENCE or first.startswith(BROKEN)
    assert second == STILL or second.startswith(BROKEN)
    assert in_time(survivor)
    assert survivor.code == GAVE_UP


@pytest.mark.slow
def test_a_process_killed_before_they_met() -> None:
    """The survivor is told within its time also where JAX still waits for the other's devices."""
    survivor, killed = play("late", "killed", met=False)
    assert killed.code == -signal.SIGKILL
    assert tells(survivor) == [SILENCE, STILL]
    assert in_time(survivor)
    assert survivor.code == GAVE_UP


@pytest.mark.slow
def test_process_0_killed() -> None:
    """JAX itself aborts the survivors within a second, before they call anything."""
    killed, survivor = play("killed", "late")
    assert killed.code == -signal.SIGKILL
    assert survivor.code == ABORTED
    assert survivor.after - killed.after < LATE
    assert tells(survivor) == []
    assert "JAX distributed service detected fatal errors" in survivor.printed


@pytest.mark.slow
@pytest.mark.parametrize("acts", [("exits", "away"), ("away", "exits")], ids=["0", "1"])
def test_an_ordinary_exit_waits(acts: tuple[str, str]) -> None:
    """Without os._exit JAX waits for the others, as long as it was told, and then aborts all."""
    ended = play(*acts, shutdown_timeout_seconds=4)
    assert [one.code for one in ended] == [ABORTED, ABORTED]
    assert [tells(one) for one in ended] == [[SILENCE] if act == "exits" else [] for act in acts]
    assert all("Shutdown barrier has failed" in one.printed for one in ended)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ids", "count"), [((0, 1, 1), 3), ((0, 0), 2), ((0,), 2), ((1,), 2)], ids=str
)
def test_processes_that_never_meet(ids: tuple[int, ...], count: int) -> None:
    """Two with one id, or one that never comes: JAX aborts them all inside `initialize`."""
    plan = {"acts": ["asks"] * count, "met": True, "timeout": WAIT}
    plan["initialize"] = {"initialization_timeout": 2}
    ended = spawn("devices/fault_worker.py", count, json.dumps(plan), ids=ids, limit=90.0)
    assert [one.code for one in ended] == [ABORTED] * len(ids)
    assert [one.said for one in ended] == [[]] * len(ids)


@pytest.mark.slow
def test_processes_that_meet() -> None:
    """Where nothing fails nobody is told anything, and both leave in the ordinary way."""
    ended = play("exits", "exits")
    assert [[told["outcome"] for told in one.said] for one in ended] == [["7", "7"]] * 2
    assert [one.code for one in ended] == [GAVE_UP] * 2


@pytest.mark.fast
def test_a_call_that_ends_too_late_is_noticed() -> None:
    """A process that was told before its time, or long after it, isn't in time."""
    for took, right in ((WAIT - 1, False), (WAIT + 0.1, True), (WAIT + LATE + 1, False)):
        assert in_time(Ended(GAVE_UP, 0.0, [{"outcome": SILENCE, "took": took}], "")) is right
    assert not in_time(Ended(GAVE_UP, 0.0, [{"outcome": STILL, "took": WAIT}], ""))


@pytest.mark.fast
def test_the_page_names_what_was_tried() -> None:
    """Every test that docs/faults.md names exists, and each fault that is tried here is in it."""
    named = named_tests(PAGE)
    tried = {name for name in functions("devices/test_faults.py") if name.startswith("test_")}
    unsaid = tried - {name for _, name in named}
    assert missing_tests(named) == []
    assert sorted(unsaid) == [
        "test_a_call_that_ends_too_late_is_noticed",
        "test_processes_that_meet",
        "test_the_page_names_what_was_tried",
    ]
