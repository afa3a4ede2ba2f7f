"""The report as JSON, and back."""

from __future__ import annotations

import json
from typing import Any

from keystream._audit.reporting import trees
from keystream._audit.reporting.content import Content, at_least
from keystream._audit.rules import RULES
from keystream._audit.values import Count, Finding, Place

FORMAT = 1


def write(whole: Content) -> str:
    """Return a report as JSON.

    The lineage is a list of rows, each with the position of its parent in that list: a tree
    of thousands of levels can't be nested.
    """
    document = {
        "format": FORMAT,
        "subject": whole.subject,
        "ok": not at_least(whole.findings, "error"),
        "findings": [_finding(each) for each in whole.findings],
        "silenced": [_finding(each) for each in whole.silenced],
        "counts": [{**each._asdict(), "place": each.place._asdict()} for each in whole.counts],
        "lineage": [_row(each) for each in trees.flatten(whole.lineage)],
        "unseen": whole.unseen,
        "keys": whole.keys,
        "rules": {each: RULES[each]._asdict() for each in sorted(_named(whole))},
    }
    return json.dumps(document, indent=1)


def read(text: str) -> Content:
    """Return the report that `write` wrote."""
    document = json.loads(text)
    return Content(
        subject=document["subject"],
        findings=tuple(map(_finding_of, document["findings"])),
        silenced=tuple(map(_finding_of, document["silenced"])),
        counts=tuple(Count(**{**e, "place": Place(**e["place"])}) for e in document["counts"]),
        lineage=trees.grow([_row_of(each) for each in document["lineage"]]),
        unseen=tuple(document["unseen"]),
        keys=document["keys"],
    )


def _named(whole: Content) -> set[str]:
    return {each.rule for each in (*whole.findings, *whole.silenced)} & set(RULES)


def _finding(finding: Finding) -> dict[str, Any]:
    return {**finding._asdict(), "places": [place._asdict() for place in finding.places]}


def _finding_of(fields: dict[str, Any]) -> Finding:
    places = tuple(Place(**place) for place in fields["places"])
    parts = {"labels": tuple(fields["labels"]), "lineage": tuple(fields["lineage"])}
    return Finding(**{**fields, **parts, "places": places})


def _row(row: trees.Row) -> dict[str, Any]:
    return {**row._asdict(), "place": row.place._asdict() if row.place else None}


def _row_of(fields: dict[str, Any]) -> trees.Row:
    place = Place(**fields["place"]) if fields["place"] else None
    return trees.Row(**{**fields, "place": place, "findings": tuple(fields["findings"])})
