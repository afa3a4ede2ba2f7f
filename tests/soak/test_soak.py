"""The soak itself: outputs are read rightly, a stopped run goes on, and faulty sources fail.

What the programs said is recorded from runs of `bits --layout keys --seed 1`.
"""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.soak import __main__ as soak
from tests.soak import batteries, feed, journal, plan, sources, table, testu01

RECORDED = Path(__file__).with_name("recorded")
ENTRY = journal.Entry(
    battery="ent",
    layout="tree",
    reverse=True,
    seed=1,
    test="bytes",
    bytes=2 * 10**9,
    found=[("mean", 0.3), ("pi", 0.001)],
    again=[],
    date="2026-01-02T03:04:05+00:00",
    versions="jax 0",
)
BAD = replace(ENTRY, found=[("mean", 1e-9), ("pi", 0.2)], again=[[("mean", 1e-5)]] * 2)


def _said(name):
    return (RECORDED / name).read_text()


def test_dieharder_is_read():
    """Each statistic gets the exact Kolmogorov-Smirnov p-value of its p-samples."""
    found = batteries.read_dieharder(_said("dieharder-d15.txt"))
    assert [name for name, _ in found] == ["diehard_runs 0 0", "diehard_runs 0 1"]
    # The distance of the printed p-samples is 1 - 0.41482646: as many of 4,000,000 simulated
    # sets of three are as far away.
    assert found[0][1] == pytest.approx(0.1661, abs=1e-3)
    found = batteries.read_dieharder(_said("dieharder-d102.txt"))
    assert len(found) == len({name for name, _ in found}) == 4
    assert batteries.read_dieharder(_said("dieharder-d209.txt")) == [
        ("dab_monobit2 12 0", 0.21595912)
    ]


def test_ent_is_read():
    """The figures of ent become p-values by their known distributions."""
    found = dict(batteries.read_ent(_said("ent.txt")))
    assert found["chi-squared"] == pytest.approx(0.1194, abs=1e-3)
    assert found["mean"] == pytest.approx(0.771, abs=2e-3)
    assert found["serial"] == pytest.approx(0.847, abs=2e-3)
    assert 0.01 < found["pi"] < 0.99


def test_rngtest_is_read():
    """The counts of failed blocks become p-values by how often a sound block fails."""
    found = dict(batteries.read_fips(_said("rngtest.txt")))
    assert found["Monobit"] == pytest.approx(1 - np.exp(-0.2067) / 2, abs=1e-3)
    assert plan.alarmed([*found.items()]) == []  # no failure in 2,000 blocks is as it should be
    said = _said("rngtest.txt").replace("Long run: 0", "Long run: 9")
    assert dict(batteries.read_fips(said))["Long run"] < 1e-7


@pytest.mark.parametrize("read", [batteries.read_dieharder, batteries.read_ent, testu01.read])
def test_nonsense_is_refused(read):
    """An output that holds no result is an error, not a pass."""
    with pytest.raises(ValueError, match="said something else"):
        read("sorry\n")


def test_unsound_tests_are_left_out():
    """OPSO, OQSO, DNA and sums, which dieharder's own list warns of, are not run."""
    commands = [test.command for test in batteries.dieharder(20).tests]
    run = {int(command[command.index("-d") + 1]) for command in commands}
    assert run == {*range(18), *range(100, 103), *range(200, 210)} - {5, 6, 7, 14}


def test_a_failure_repeats_on_two_keys():
    """A low p-value counts when the same statistic is low on both fresh keys too."""
    first = [("a", 1e-6), ("b", 0.5)]
    assert plan.alarmed(first) == ["a"]
    low, fine = [("a", 1e-4), ("b", 0.5)], [("a", 0.4), ("b", 1e-6)]
    assert plan.failed(first, [low, low]) == ["a"]
    assert plan.failed(first, [low, fine]) == plan.failed(first, [fine, fine]) == []
    assert plan.failed([("a", 0.5), ("b", 0.5)], []) == []
    assert plan.alarmed([("a", 1 - 1e-6)]) == ["a"]  # too good to be true


def test_journal_goes_on(tmp_path):
    """What was written is read again; a line that a kill cut short is taken away."""
    path = tmp_path / "journal.jsonl"
    assert journal.load(path) == []
    journal.append(path, ENTRY)
    journal.append(path, BAD)
    whole = path.read_text()
    path.write_text(whole + whole[:50])
    assert journal.load(path) == [ENTRY, BAD]
    journal.append(path, ENTRY)
    assert [json.loads(line)["bytes"] for line in path.read_text().splitlines()] == [2 * 10**9] * 3
    assert [entry.failed for entry in journal.load(path)] == [[], ["mean"], []]


def test_table(tmp_path):
    """The table has a row for each layout, battery and direction, between its two marks."""
    page = tmp_path / "page.md"
    page.write_text(f"above\n{table.BEGIN}\nold\n{table.END}\nbelow\n")
    good = replace(ENTRY, reverse=False)
    assert table.write(page, [ENTRY, good, replace(good, seed=2)]) == 2
    assert table.write(page, [ENTRY, BAD]) == 1  # again, over what stands there
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("above", "below")
    assert lines.count(table.HEAD) == 1
    assert lines[-4] == (
        "| tree | ent | reversed | 1 | 2 | 4 | 4 GB | 2e-09 | "
        "**failed** (1 p-values, such as bytes: mean) | 2026-01-02 | jax 0 |"
    )
    page.write_text("no marks")
    with pytest.raises(ValueError, match="must have one line"):
        table.write(page, [ENTRY])


def test_feed_counts_what_is_read():
    """A program gets the words' bytes, as many as it reads or as it is meant to have."""
    count = "import sys; print(sum(sys.stdin.buffer.read()) % 1000)"
    ones = iter([np.full(1000, 0x01010101, np.uint32)] * 3)
    assert feed.run([sys.executable, "-c", count], ones, 10_000) == feed.Read("0\n", 10_000)
    few = "import sys; sys.stdin.buffer.read(4); print('done')"
    read = feed.run([sys.executable, "-c", few], sources.words("short", 1, 0, reverse=False))
    assert read.out == "done\n"
    assert 4 <= read.bytes < 2**22
    with pytest.raises(RuntimeError, match="ended with 3"):
        feed.run([sys.executable, "-c", "raise SystemExit(3)"], iter([]))


def test_sources():
    """Tests of one seed read different parts of a layout; RANDU and the short faulty are so."""
    one = next(sources.words("stream", 1, 0, reverse=False))
    assert (next(sources.words("stream", 1, 0, reverse=False)) == one).all()
    assert not (next(sources.words("stream", 1, 1, reverse=False)) == one).any()
    made = next(sources.words("randu", 1, 0, reverse=False)).astype(np.int64) >> 1
    assert ((6 * made[1:-1] - 9 * made[:-2] - made[2:]) % 2**31 == 0).all()
    words = sources.words("short", 1, 0, reverse=True)
    assert (np.asarray(next(words)) == np.asarray(next(words))).all()


class _Counted(batteries.Battery):
    def there(self):
        return True


def _fake(found):
    """Return a battery of two tests that reads four bytes and finds what it is told to."""
    program = sys.executable, "-c", "import sys; sys.stdin.buffer.read(4)"
    tests = tuple(batteries.Test(name, program, 64) for name in ("one", "two"))
    return _Counted("fake", sys.executable, tests, lambda _: next(found), lambda: "fake 1")


def test_a_stopped_soak_goes_on(tmp_path, monkeypatch, capsys):
    """A second run does only what the first one left, and its status tells of a failure."""
    path = tmp_path / "journal.jsonl"
    told = ["--journal", str(path), "--layouts", "keys"]
    sound, low = [("p", 0.5)], [("p", 1e-9)]
    found = iter([sound, sound, sound])
    monkeypatch.setattr(soak, "_batteries", lambda _: [_fake(found)])
    with pytest.raises(StopIteration):  # the fourth test is cut short
        soak.main(told)
    assert len(journal.load(path)) == 3
    found = iter([low, low, low])
    monkeypatch.setattr(soak, "_batteries", lambda _: [_fake(found)])
    assert soak.main(told) == 1
    assert [(e.test, e.reverse) for e in journal.load(path)] == [
        ("one", False),
        ("two", False),
        ("one", True),
        ("two", True),
    ]
    assert soak.main(told) == 1  # nothing is left to do, and what failed has failed
    assert "1 in the journal failed" in capsys.readouterr().out


def test_a_battery_that_is_not_there():
    """A battery that isn't on this machine is refused by name."""
    with pytest.raises(SystemExit, match="--batteries must be on this machine, got 'nist'"):
        soak.main(["--journal", "none.jsonl", "--batteries", "nist"])


CAUGHT = [
    ("ent", "biased", "bytes"),
    ("ent", "short", "bytes"),
    ("ent", "randu", "bytes"),
    ("fips", "randu", "blocks"),
    ("dieharder", "randu", "d2"),
    ("dieharder", "short", "d2"),
]


@pytest.mark.outside
@pytest.mark.parametrize(("name", "faulty", "test"), CAUGHT)
def test_faults_fail(name, faulty, test):
    """Each battery fails a bad generator on three keys, where the machine has its program."""
    known = {"ent": batteries.ent(), "fips": batteries.fips(), "dieharder": batteries.dieharder(20)}
    battery = known[name]
    if not shutil.which(battery.program):
        pytest.skip(f"{battery.program} isn't on this machine")
    number = [each.name for each in battery.tests].index(test)
    unit = plan.Unit(name, faulty, False, 1, test)
    assert soak.outcome(battery, number, battery.tests[number], unit).failed
