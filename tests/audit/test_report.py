"""What a report says of what was found: in order, once, in full, and the same in every form."""

import copy
import json
import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given

import keystream as ks
from keystream import _errors
from keystream._audit.reporting import content
from keystream._audit.reporting.report import Report, fill, make_report, read
from keystream._audit.rules import RULES
from keystream._audit.values import Branch, Count, Finding, Place
from tests.audit import made

DOCS = Path(__file__).parents[2] / "docs" / "audit.md"
EMPTY_REPORT = "train_step: no findings; looked at 0 draws, 0 splits, 0 folds, 0 keys"


def report(*findings, **more):
    return make_report("train_step", findings, **more)


def test_order():
    """Findings come from the worst to the mildest, then by the place where it went wrong."""
    early = made.TWICE._replace(places=(made.SECOND, made.FIRST))
    nowhere = made.TWICE._replace(places=())
    found = report(nowhere, made.UNUSED, made.TWICE, made.LANES, early)
    assert found.findings == (early, made.TWICE, nowhere, made.LANES, made.UNUSED)


def test_repeats():
    """A finding that comes twice is one."""
    assert report(made.TWICE, made.LANES, made.TWICE).findings == (made.TWICE, made.LANES)


def test_ok():
    """Warnings and notes are no errors."""
    assert report().ok
    assert report(made.LANES, made.UNUSED).ok
    assert not report(made.UNUSED, made.TWICE).ok


def test_lineage_follows_its_findings():
    """A branch marks the findings that it marked before they were put in order."""
    found = report(*made.FINDINGS, lineage=made.TREE)
    before = [[made.FINDINGS[i] for i in row.findings] for row in content.flatten(made.TREE)]
    after = [[found.findings[i] for i in row.findings] for row in content.flatten(found.lineage)]
    assert [set(each) for each in before] == [set(each) for each in after]


@given(made.branches)
def test_trees_as_rows(branch):
    """Trees become rows, parents first, and trees again."""
    rows = content.flatten((branch, branch))
    assert all(row.parent < place for place, row in enumerate(rows))
    assert content.grow(rows) == (branch, branch)


def test_deep_lineage():
    """A lineage ten thousand deep comes through every form, the page of which shows its top."""
    found = report(made.TWICE, lineage=made.staircase(10_000))
    assert len(content.flatten(read(found.to_json()).lineage)) == 20_001
    assert pickle.loads(pickle.dumps(found)) == found
    assert "fold_in(9999)" in found.to_html()
    assert found.to_sarif()
    assert str(found)


def test_counts():
    """What is counted on one line is added up, and lines come in their order."""
    found = report(counts=[*reversed(made.COUNTS), Count(made.FIRST, 1, 32)])
    assert found.counts == (Count(made.FIRST, 3, 224), made.COUNTS[1])
    assert found.summary() == found.counts


def test_summary():
    """The summary is a table, with the sums below it."""
    assert str(report(counts=made.COUNTS).summary()) == (
        "place                      draws    bits  splits  folds\n"
        "/gone/train.py:12 in step      2     192       0      0\n"
        "/gone/train.py:14 in step  1,000  96,000       1      3\n"
        "in all                     1,002  96,192       1      3"
    )
    assert str(report().summary()).splitlines()[-1].split() == ["in", "all", "0", "0", "0", "0"]


def test_raise_if_found():
    """An audit that found something raises, with the report in hand and what was asked for."""
    found = report(*made.FINDINGS)
    with pytest.raises(_errors.KeyAuditError) as caught:
        found.raise_if_found()
    told = str(caught.value)
    begins = "audit: train_step must be free of errors, got 1 error. They are:\n\nerror[KS01]: "
    assert told.startswith(begins)
    assert "KS11" not in told
    assert caught.value.report is found
    assert isinstance(caught.value, (AssertionError, ks.KeystreamError))
    assert pickle.loads(pickle.dumps(caught.value)).report == found


def test_raise_if_found_level():
    """A level takes in what is worse than it."""
    found = report(made.LANES, made.UNUSED)
    found.raise_if_found()
    with pytest.raises(_errors.KeyAuditError, match="free of warnings and worse, got 1 warning"):
        found.raise_if_found("warning")
    with pytest.raises(AssertionError, match="got 1 warning, 1 note"):
        found.raise_if_found("note")
    report(made.UNUSED).raise_if_found("warning")
    assert found.at_least("warning") == (made.LANES,)


@pytest.mark.parametrize("level", ["errors", "", None, 1, ["error"]])
def test_no_level(level):
    """What is no level is an error, also where nothing was found."""
    with pytest.raises(ks.ArgumentValueError) as caught:
        report().raise_if_found(level)
    assert str(caught.value) == (
        "Report.raise_if_found: level must be 'error', 'warning' or 'note', got "
        f"{_errors.summary(level)}. For warnings and errors: report.raise_if_found('warning')."
    )


def test_immutable():
    """Nothing can be assigned to a report, and nothing deleted."""
    found = report(made.TWICE)
    with pytest.raises(ks.ImmutableError) as caught:
        found.findings = ()
    assert str(caught.value) == (
        "Report: findings must be left as it is, got an assignment. "
        "For another one: ks.audit(fun, *args)."
    )
    with pytest.raises(ks.ImmutableError):
        del found._content
    with pytest.raises(ks.ImmutableError):
        found.mine = 1
    assert copy.deepcopy(found) == found
    assert hash(copy.copy(found)) == hash(found)


def test_still_recording():
    """A report that still records says so, and is filled once."""
    filled = Report()
    assert "still recording" in str(filled)
    assert "still recording" in repr(filled)
    for ask in (
        lambda: filled.findings,
        lambda: filled.ok,
        filled.raise_if_found,
        filled.summary,
        filled.to_html,
        lambda: filled.at_least("note"),
    ):
        with pytest.raises(_errors.RecordingError) as caught:
            ask()
        assert "must be complete, got one that still records" in str(caught.value)
        assert isinstance(caught.value, RuntimeError)
    assert pickle.loads(pickle.dumps(filled)) == filled
    fill(filled, report(made.TWICE))
    assert filled == report(made.TWICE)
    with pytest.raises(AssertionError):
        fill(filled, report())


def test_text():
    """A report reads like a compiler's."""
    found = report(*made.FINDINGS, counts=made.COUNTS, unseen=["compiled ahead of time: f"], keys=7)
    assert str(found) == Path(__file__).with_name("text.txt").read_text().rstrip("\n")


def test_clean_text():
    """A clean report says what was looked at."""
    assert str(report(counts=made.COUNTS, keys=1)) == (
        "train_step: no findings; looked at 1,002 draws, 1 split, 3 folds, 1 key"
    )


def test_text_across_files():
    """Places in other files and functions have an arrow of their own, in the program's order."""
    other = Place("/gone/model.py", 140, "loss", "jax.random.split(key)")
    lines = str(report(made.TWICE._replace(places=(made.FIRST, other)))).splitlines()
    assert lines[1] == "   --> /gone/train.py:12 in step"
    assert lines[3] == "12  | noise = jax.random.normal(key, (3,))"
    assert lines[6] == "   ::: /gone/model.py:140 in loss"
    assert lines[8] == "140 | jax.random.split(key)"


def test_text_of_one_line_twice():
    """A line that is both places is shown once, with both labels."""
    told = str(report(made.TWICE._replace(places=(made.FIRST, made.FIRST))))
    assert told.count(made.FIRST.text) == 1
    assert f"   | {'-' * 36} drawn from here first, by jax.random.normal\n" in told
    assert f"   | {'^' * 36} and drawn from again here\n" in told


def test_text_without_source():
    """Where the source is gone the place and the label stay."""
    told = str(report(made.TWICE._replace(places=(Place("<stdin>", 3, "<lambda>"),))))
    assert " --> <stdin>:3 in <lambda>\n  |\n3 | …\n  | ^ drawn from here first" in told


def test_text_of_long_lines():
    """Long lines are cut, and their labels stand below them."""
    long = made.FIRST._replace(text="x = " + "f(key) + " * 40)
    told = str(report(made.TWICE._replace(places=(long, made.SECOND))))
    assert all(len(line) <= 100 for line in told.splitlines())
    assert "…\n" in told
    assert "   | drawn from here first, by jax.random.normal\n" in told


def test_text_of_long_paths():
    """A step that repeats is told once, and the middle of a long path is left out."""
    repeated = made.TWICE._replace(lineage=("argument key", *["split[0]"] * 37, "split[1]"))
    assert "= path: argument key → split[0] (37 times) → split[1]\n" in str(report(repeated))
    long = made.TWICE._replace(lineage=tuple(f"fold_in({i})" for i in range(2000)))
    told = " ".join(str(report(long)).split())
    assert "fold_in(5) → … 1,988 more steps … → fold_in(1994) →" in told


def test_text_of_many():
    """Of many findings of one kind five are shown and the rest is counted, with some places."""
    many = [made.TWICE._replace(places=(made.FIRST._replace(line=i),)) for i in range(1, 13)]
    told = str(report(*many, made.UNUSED))
    assert told.count("error[KS01]: a key is drawn from twice") == 5
    assert told.count("= why: One key gives") == 1
    assert (
        "error[KS01]: and 7 more like it, at /gone/train.py:6, /gone/train.py:7, "
        "/gone/train.py:8 and 4 other places\n"
    ) in told
    assert told.splitlines()[-1].startswith("train_step: 12 errors, 1 note;")


def test_text_of_many_keys():
    """Findings that differ in the key alone are told once."""
    many = [made.TWICE._replace(lineage=("argument key", f"split[{i}]")) for i in range(12)]
    told = str(report(*many))
    assert told.count("error[KS01]") == 1
    assert "= also: 11 other keys, at the same lines\n" in told


def test_own_reason_and_cure():
    """A finding's own reason and cure stand in place of the table's, line by line."""
    told = str(report(made.TWICE._replace(why="So it is.", cure="a = 1\nb = 2")))
    assert "   = why: So it is.\n   = help: a = 1\n           b = 2\n" in told
    assert RULES["KS01"].why not in told


@given(made.parts())
def test_text_of_anything(parts):
    """No content, however odd, keeps a report from being printed, in lines without controls."""
    found = make_report(*parts)
    for told in (str(found), repr(found), str(found.summary())):
        assert all(line.isprintable() for line in told.split("\n"))
        told.encode()


@given(made.parts())
def test_json_comes_back(parts):
    """JSON holds all of a report."""
    found = make_report(*parts)
    assert read(found.to_json()) == found
    assert read(found.to_json())._content == found._content
    document = json.loads(found.to_json())
    assert document["ok"] is found.ok
    assert document["complete"] is found.complete
    assert [each["message"] for each in document["findings"]] == [f.message for f in found.findings]
    assert pickle.loads(pickle.dumps(found)) == found


def test_json():
    """JSON names what stands in a report, and the rules that were broken."""
    document = json.loads(report(*made.FINDINGS, lineage=made.TREE).to_json())
    assert document["format"] == 1
    assert document["subject"] == "train_step"
    assert not document["ok"]
    first = document["findings"][0]
    assert (first["rule"], first["severity"]) == ("KS01", "error")
    assert first["places"][1]["line"] == 14
    assert document["lineage"][2]["parent"] == 0
    assert list(document["rules"]) == ["KS01", "KS11", "KS15"]


def test_equal():
    """Reports with other content differ."""
    assert report(made.TWICE) == report(made.TWICE)
    assert report(made.TWICE) != report(made.LANES)
    assert report() != "train_step"
    assert Report() != report()


def test_place(monkeypatch, tmp_path):
    """A file below the working directory is named from there."""
    monkeypatch.chdir(tmp_path)
    assert str(Place(str(tmp_path / "a" / "b.py"), 3, "step")) == f"{Path('a') / 'b.py'}:3 in step"
    assert str(Place("/elsewhere/b.py", 3, "")) == "/elsewhere/b.py:3"
    assert str(Place("<stdin>", 0, "f")) == "<stdin> in f"
    assert str(Place("<stdin>", 1, "train.<locals>.body")) == "<stdin>:1 in train.body"
    assert str(Place("", 0, "")) == "<unknown>"


def test_rules():
    """Each rule has a severity, a sentence that says why, code that compiles and a heading."""
    assert sorted(RULES) == [f"KS{i:02}" for i in range(17)]
    headings = {
        line.lstrip("# ").lower().replace(" ", "-")
        for line in DOCS.read_text().splitlines()
        if line.startswith("## ")
    }
    for rule in RULES.values():
        assert rule.anchor in headings
        assert rule.why.endswith(".")
        assert not rule.title.endswith(".")
        compile(rule.cure, rule.id, "exec")
    assert [RULES[f"KS{i:02}"].severity for i in (0, 11, 15, 16)] == [
        "warning",
        "warning",
        "note",
        "warning",
    ]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_cures(rule):
    """The cure of a rule runs, and what it makes out of one key are different keys."""
    scope = {
        "ks": ks,
        "key": ks.key(0),
        "seed": 0,
        "step": 3,
        "i": 4,
        "init": 0.0,
        "xs": jnp.arange(3.0),
        "body": lambda key, carry, x: (carry, x + jax.random.uniform(key)),
        "fun": lambda key, x: x + jax.random.uniform(key),
    }
    before = set(scope)

    def run(_):
        exec(rule.cure, scope)
        return 0

    jax.vmap(run, axis_name="data")(jnp.arange(2)) if rule.id == "KS12" else run(0)
    made = [value for name, value in scope.items() if name not in before and name != "use"]
    keys = [
        each for each in made if jnp.issubdtype(getattr(each, "dtype", None), jax.dtypes.prng_key)
    ]
    if len(keys) > 1:
        ks.check_distinct(jnp.stack(keys))


def test_unknown_rule():
    """A finding of a rule that isn't in the table is told as it is."""
    found = report(Finding("MY01", "error", "mine"))
    assert str(found).startswith("error[MY01]: mine\n\ntrain_step: 1 error;")
    assert "MY01" in found.to_html()
    assert "MY01" in found.to_sarif()


def test_roots():
    """A report of nothing is a report."""
    assert str(report()) == EMPTY_REPORT
    assert report(lineage=[Branch("seed 0")]).lineage == (Branch("seed 0"),)
