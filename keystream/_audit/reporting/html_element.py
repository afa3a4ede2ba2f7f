"""Elements of a page: the standard library escapes what stands in them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from keystream._audit.reporting import words


def element(tag: str, text: str = "", kind: str = "", **attributes: str) -> ET.Element:
    """Return an element with text in it, of a kind that the style sheet knows."""
    made = ET.Element(tag, {**({"class": kind} if kind else {}), **attributes})
    made.text = words.clean(text)
    return made


def add(parent: ET.Element, tag: str, text: str = "", kind: str = "", **more: str) -> ET.Element:
    """Put an element into another one, as its last, and return it."""
    made = element(tag, text, kind, **more)
    parent.append(made)
    return made
