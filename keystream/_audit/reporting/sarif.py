"""Write the findings as SARIF 2.1.0, the form in which CI services take them.

References:
    OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0, 2020,
    https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; sections in the comments.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import pathlib
import urllib.parse
from typing import Any

from keystream._audit.reporting.content import Content, main_place
from keystream._audit.reporting.text import clean, path_of_key
from keystream._audit.rules import RULES, Rule, rule_of
from keystream._audit.values import Finding, Place, relative

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def write(whole: Content) -> str:
    """Return the findings as SARIF 2.1.0, those that a comment silences marked as such."""
    findings = (*whole.findings, *whole.silenced)
    named = sorted({finding.rule for finding in findings} | set(RULES))
    driver = {
        "name": "keystream",
        **_version(),
        "rules": [_rule(each) for each in named],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {"level": "note", "message": {"text": f"not looked at: {_text(each)}"}}
                    for each in whole.unseen
                ],
            }
        ],
        "automationDetails": {"id": f"keystream/{_text(whole.subject)}"},
        "results": [_result(finding, named.index(finding.rule)) for finding in findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def _version() -> dict[str, str]:
    try:
        return {"version": importlib.metadata.version("keystream")}
    except importlib.metadata.PackageNotFoundError:  # used from a folder, not installed
        return {}


def _rule(rule: str) -> dict[str, Any]:
    row = RULES.get(rule)
    if row is None:
        return {"id": rule}
    told = (f"{row.why} Write instead:", f"More: {row.more}")
    return {
        "id": rule,
        "name": _name(row),
        "shortDescription": {"text": _sentence(row.title)},
        "fullDescription": {"text": f"{_sentence(row.title)} {row.why}"},
        "help": {
            "text": f"\n\n    {row.cure}\n\n".join(told),
            "markdown": f"\n\n```python\n{row.cure}\n```\n\n".join(told),
        },
        "defaultConfiguration": {"level": row.severity},
    }


def _name(row: Rule) -> str:
    """Return a name as SARIF's are: `DrawnTwice`."""
    return "".join(part.capitalize() for part in row.anchor.split("-")[1:])


def _result(finding: Finding, index: int) -> dict[str, Any]:
    place = main_place(finding)
    label = finding.labels[len(finding.places) - 1 : len(finding.places)] if place else ()
    quiet = [{"kind": "inSource", "justification": _text(finding.silenced)}]
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": _message(finding)},
        "locations": [_location(place, *label)] if place else [],
        "relatedLocations": [
            {"id": number, **_location(each, *finding.labels[number : number + 1])}
            for number, each in enumerate(finding.places[:-1])
        ],
        "partialFingerprints": {"keystream/v1": _fingerprint(finding)},
        # 3.27.23: where one result of a run has suppressions, every one has a list of them.
        "suppressions": quiet if finding.silenced else [],
    }


def _message(finding: Finding) -> str:
    row = rule_of(finding)
    parts = [_sentence(finding.message)]
    if finding.lineage:
        parts.append(f"Path of the key: {path_of_key(finding.lineage)}.")
    parts += [row.why, f"Write instead: {row.cure}"] if row.why else []
    return " ".join(parts)


def _location(place: Place, label: str = "") -> dict[str, Any]:
    where: dict[str, Any] = {"artifactLocation": _artifact(place.file)}
    if place.line > 0:
        snippet = {"snippet": {"text": _text(place.text)}} if place.text else {}
        where["region"] = {"startLine": place.line, **snippet}
    location: dict[str, Any] = {"physicalLocation": where}
    if place.function:
        location["logicalLocations"] = [{"name": _text(place.function), "kind": "function"}]
    if label:
        location["message"] = {"text": _sentence(label)}
    return location


def _artifact(file: str) -> dict[str, Any]:
    """Return a file as a URI: below the working directory a relative one (3.4.4)."""
    below = relative(file)
    if pathlib.PurePath(below).is_absolute():
        return {"uri": pathlib.PurePath(below).as_uri()}
    uri = urllib.parse.quote(below.replace(os.sep, "/").encode(errors="backslashreplace"))
    return {"uri": uri or "unknown", "uriBaseId": "%SRCROOT%"}


def _fingerprint(finding: Finding) -> str:
    """Return what stays when lines move: the rule, the functions and the source lines."""
    parts = [finding.rule, *finding.lineage]
    parts += [part for place in finding.places for part in (place.function, place.text)]
    joined = "\0".join(parts).encode(errors="backslashreplace")
    return hashlib.sha256(joined).hexdigest()[:32]


def _sentence(text: str) -> str:
    text = _text(text)
    return text if text.endswith(".") else f"{text[:1].upper()}{text[1:]}."


def _text(text: str) -> str:
    return clean(text)
