"""SARIF: every finding once, at its place, in the form that the standard asks for."""

import json
import re
import urllib.parse

from hypothesis import given

from keystream._audit.reporting.report import make_report
from keystream._audit.rules import RULES
from keystream._audit.values import Place
from tests.audit import made

# What SARIF 2.1.0 allows of what is used here: the properties, and which must be there.
FORMS = {
    "log": ({"$schema", "version", "runs"}, {"version", "runs"}),
    "run": ({"tool", "columnKind", "invocations", "automationDetails", "results"}, {"tool"}),
    "driver": ({"name", "version", "rules"}, {"name"}),
    "rule": (
        {"id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration"},
        {"id"},
    ),
    "result": (
        {
            "ruleId",
            "ruleIndex",
            "level",
            "message",
            "locations",
            "relatedLocations",
            "partialFingerprints",
            "suppressions",
        },
        {"message"},
    ),
    "location": ({"id", "physicalLocation", "logicalLocations", "message"}, set()),
    "physical": ({"artifactLocation", "region"}, set()),
    "artifact": ({"uri", "uriBaseId"}, {"uri"}),
    "region": ({"startLine", "snippet"}, {"startLine"}),
    "suppression": ({"kind", "justification"}, {"kind"}),
}
URI = re.compile(r"(file:///)?[\w\-./~%]+")


def fits(form, value):
    allowed, needed = FORMS[form]
    assert needed <= set(value) <= allowed, (form, set(value))


def check(log):
    """Hold a log against the standard."""
    fits("log", log)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    fits("run", run)
    driver = run["tool"]["driver"]
    fits("driver", driver)
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(set(rules)) == len(rules)
    for rule in driver["rules"]:
        fits("rule", rule)
    for result in run["results"]:
        fits("result", result)
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        assert len(result["suppressions"]) <= 1
        for suppression in result["suppressions"]:
            fits("suppression", suppression)
        related = [location["id"] for location in result["relatedLocations"]]
        assert related == list(range(len(related)))
        for location in (*result["locations"], *result["relatedLocations"]):
            fits("location", location)
            physical = location["physicalLocation"]
            fits("physical", physical)
            fits("artifact", physical["artifactLocation"])
            assert URI.fullmatch(physical["artifactLocation"]["uri"])
            if "region" in physical:
                fits("region", physical["region"])
                assert physical["region"]["startLine"] >= 1
    return run


def results(*findings):
    return check(json.loads(make_report("f", findings).to_sarif()))["results"]


@given(made.parts())
def test_standard(parts):
    """Whatever was found, the log is of the standard's form and holds all findings."""
    report = make_report(*parts)
    run = check(json.loads(report.to_sarif()))
    assert [each["ruleId"] for each in run["results"]] == [f.rule for f in report.findings]
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert len(notes) == len(report.unseen)


def test_result():
    """A result stands where it went wrong, and the places before it are beside it."""
    (result,) = results(made.TWICE)
    (location,) = result["locations"]
    (before,) = result["relatedLocations"]
    assert location["physicalLocation"]["artifactLocation"] == {"uri": "file:///gone/train.py"}
    assert location["physicalLocation"]["region"]["startLine"] == 14
    assert location["message"]["text"] == "And drawn from again here."
    assert location["logicalLocations"] == [{"name": "step", "kind": "function"}]
    assert before["physicalLocation"]["region"]["snippet"]["text"] == made.FIRST.text
    assert before["message"]["text"] == "Drawn from here first, by jax.random.normal."
    assert "argument key → split[1]" in result["message"]["text"]
    assert RULES["KS01"].cure in result["message"]["text"]


def test_levels():
    """Each result has the level of its finding, in the order of the report."""
    assert [each["level"] for each in results(*made.FINDINGS)] == ["error", "warning", "note"]


def test_rules():
    """The whole table is there, with what a rule means and how to mend it."""
    (run,) = json.loads(make_report("f").to_sarif())["runs"]
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert set(rules) == set(RULES)
    assert rules["KS01"]["name"] == "DrawnTwice"
    assert rules["KS11"]["defaultConfiguration"] == {"level": "warning"}
    for rule in RULES.values():
        assert rule.cure in rules[rule.id]["help"]["text"]
        assert rule.cure in rules[rule.id]["help"]["markdown"]


def test_relative(tmp_path, monkeypatch):
    """A file below the working directory is named from there, so that CI finds it."""
    monkeypatch.chdir(tmp_path)
    place = Place(str(tmp_path / "a dir" / "ü.py"), 3, "f")
    (result,) = results(made.TWICE._replace(places=(place,)))
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact["uriBaseId"] == "%SRCROOT%"
    assert urllib.parse.unquote(artifact["uri"]) == "a dir/ü.py"
    assert " " not in artifact["uri"]


def test_fingerprint():
    """A finding keeps its fingerprint when its lines move, and differs from its neighbors."""
    moved = tuple(place._replace(line=place.line + 9) for place in made.TWICE.places)
    one, other = results(made.TWICE, made.TWICE._replace(places=moved))
    assert one["partialFingerprints"] == other["partialFingerprints"]
    third, *_ = results(made.TWICE._replace(lineage=("argument key", "split[0]")))
    assert third["partialFingerprints"] != one["partialFingerprints"]
