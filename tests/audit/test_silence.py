"""Comments that silence: at the line of a place, with a reason, and told where they are idle."""

import linecache

import pytest

from keystream._audit.reporting.report import make_report
from keystream._audit.values import Count, Finding, Place

SOURCE = """\
def step(key):
    noise = normal(key)  # keystream: ignore[KS01] the same noise is meant
    mask = bernoulli(key)
    return noise, mask


def other(key):
    return normal(
        key,
        (3,),  # keystream: ignore[KS12] the shards share a mask
    )


def above(key):
    # keystream: ignore[KS07, ks08] one table for all steps  # noqa: E501
    return normal(key), bits(key)


def careless(key):
    a = normal(key)  # keystream: ignore[KS01]
    b = normal(key)  # keystream: ignore
    c = normal(key)  # keystream: ignore[KS99] a reason
    return a, b, c


def text(key):
    return "# keystream: ignore[KS01] in a string"


main = normal(key)  # keystream: ignore[KS13] see issue #12
"""


@pytest.fixture
def file(tmp_path):
    """Return the name of a file with comments in it."""
    path = tmp_path / "train.py"
    path.write_text(SOURCE)
    yield str(path)
    linecache.clearcache()


def found(rule, file, *lines, function="step", text=""):
    places = tuple(Place(file, line, function, text) for line in lines)
    return Finding(rule, "error", "something happened", places)


def audited(*findings, seen=()):
    return make_report("train_step", findings, [Count(place, 1) for place in seen])


@pytest.mark.parametrize(
    ("rule", "lines", "reason"),
    [
        ("KS01", (2, 3), "the same noise is meant"),
        ("KS01", (3, 2), "the same noise is meant"),
        ("KS12", (8,), "the shards share a mask"),
        ("KS12", (11,), "the shards share a mask"),
        ("KS07", (16,), "one table for all steps"),
        ("KS08", (16,), "one table for all steps"),
        ("KS13", (30,), "see issue #12"),
    ],
)
def test_silenced(file, rule, lines, reason):
    """A comment on any line of a place's statement, or alone above it, silences its rules."""
    report = audited(found(rule, file, *lines))
    assert [finding.silenced for finding in report.silenced] == [reason]
    assert report.ok
    assert "1 silenced" in str(report)
    report.raise_if_found("error")


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ("KS02", (2, 3)),  # another rule
        ("KS01", (3,)),  # another line
        ("KS12", (7,)),  # above the statement
        ("KS01", (20,)),  # no reason
        ("KS01", (21,)),  # no rule
        ("KS01", (22,)),  # another one, which isn't
        ("KS01", (27,)),  # no comment
    ],
)
def test_not_silenced(file, rule, lines):
    """A comment for another rule or line, or without a reason or a rule, silences nothing."""
    report = audited(found(rule, file, *lines))
    assert not report.silenced
    assert not report.ok


def test_careless(file):
    """A comment without a reason or a rule is a warning, and says what it should be."""
    report = audited(seen=[Place(file, 20, "careless", "a = normal(key)")])
    assert [(f.rule, f.severity, f.message, f.places[0].line) for f in report.findings] == [
        ("KS00", "warning", "this comment gives no reason, so it silences nothing", 20),
        ("KS00", "warning", "this comment names no rule, so it silences nothing", 21),
        (
            "KS00",
            "warning",
            "this comment names 'KS99', which is no rule, so it silences nothing",
            22,
        ),
    ]
    assert report.findings[0].places[0].function == "careless"
    assert "# keystream: ignore[KS12] the reason why this is meant" in str(report)


def test_idle(file):
    """A comment that hides nothing is noted, if the function that it stands in was looked at."""
    report = audited(seen=[Place(file, 3, "step", "mask = bernoulli(key)")])
    (finding,) = report.findings
    assert (finding.rule, finding.severity) == ("KS00", "note")
    assert finding.message == "this comment hides nothing: no KS01 was found at its line"
    assert finding.places[0].line == 2
    assert finding.places[0].text == SOURCE.splitlines()[1].strip()
    assert finding.cure == "delete the comment"
    assert report.ok


def test_idle_in_part(file):
    """Of a comment that names two rules, the one that was not found is told."""
    report = audited(found("KS07", file, 16, function="above"))
    (finding,) = report.findings
    assert finding.message == "this comment hides nothing: no KS08 was found at its line"
    assert finding.cure == "# keystream: ignore[KS07] one table for all steps"
    assert len(report.silenced) == 1


def test_used_is_not_idle(file):
    """A comment that hides something is no finding."""
    assert audited(found("KS01", file, 2, 3)).findings == ()


def test_both_places(file):
    """Each of the places will do, and other files are read too."""
    report = audited(
        Finding("KS01", "error", "m", (Place("/gone.py", 2, "f"), Place(file, 2, "step")))
    )
    assert len(report.silenced) == 1


@pytest.mark.parametrize("name", ["", "<stdin>", "/gone/train.py", "a\0b", "<ipython-input-1-abc>"])
def test_gone(name):
    """Source that is gone silences nothing, and is no error."""
    assert not audited(found("KS01", name, 2, 3)).ok


@pytest.mark.parametrize(
    "broken", ["%matplotlib inline\n", "x = (\n", "    y\n  z\n", "'''\n", "$ ls\n", "\0\n"]
)
def test_no_python(tmp_path, broken):
    """A comment above text that is no Python counts, and the text is no error."""
    path = tmp_path / "cell.py"
    path.write_text("normal(key)  # keystream: ignore[KS01] meant\n" + broken)
    report = audited(found("KS01", str(path), 1), found("KS01", str(path), 2))
    assert [finding.places[0].line for finding in report.silenced] == [1]
    assert [finding.places[0].line for finding in report.findings] == [2]


def test_cell():
    """The source of a notebook's cell is found where Python keeps it."""
    lines = ["normal(key)  # keystream: ignore[KS01] meant\n"]
    name = "<ipython-input-9-keystream>"
    linecache.cache[name] = (len(lines[0]), None, lines, name)
    try:
        assert audited(found("KS01", name, 1)).ok
    finally:
        linecache.clearcache()


def test_silenced_in_every_form(file):
    """What is silenced is told with its reason in JSON, SARIF and HTML."""
    report = audited(found("KS01", file, 2, 3))
    for written in (report.to_json(), report.to_sarif(), report.to_html()):
        assert "the same noise is meant" in written
