"""The page: all that was found, escaped, linked, in one file that asks for no other."""

import html.parser
import re

import pytest
from hypothesis import given

from keystream._audit.reporting import html as html_page
from keystream._audit.reporting.report import make_report
from keystream._audit.reporting.text import clean
from keystream._audit.values import Branch
from tests.audit import made

TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "strong", "span",
    "details", "summary", "div", "pre", "a", "ul", "li", "code", "table", "tr", "th", "td",
}  # fmt: skip
VOID = {"meta"}
ATTRIBUTES = {
    "lang", "charset", "name", "content", "http-equiv", "class", "id", "href", "open"
}  # fmt: skip


class Page(html.parser.HTMLParser):
    """What a browser reads out of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.ids, self.hrefs, self.attributes = [], [], [], set()
        self.open, self.deepest, self.text = [], 0, ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.hrefs += [found["href"]] if "href" in found else []
        if tag not in VOID:
            self.open.append(tag)
            self.deepest = max(self.deepest, len(self.open))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


def page(*parts, **more):
    return Page(make_report(*parts, **more).to_html())


def spaced(text):
    """Return text as a page shows it, with one space where it has any: a tab may be several."""
    return " ".join(clean(text).split())


@given(made.parts())
def test_escaped(parts):
    """Whatever the content, it comes out as text, and no tag or attribute is made of it."""
    report = make_report(*parts)
    written = report.to_html()
    read = Page(written)
    assert read.open == []
    assert set(read.tags) <= TAGS
    assert read.attributes <= ATTRIBUTES
    assert len(set(read.ids)) == len(read.ids)
    assert {href[1:] for href in read.hrefs} <= set(read.ids)
    written.encode()
    for finding in report.findings:
        shown = [finding.message, *(place.function for place in finding.places)]
        shown += finding.labels[: len(finding.places)]
        for told in shown:
            assert spaced(told) in spaced(read.text)
    for branch in report.lineage:
        assert spaced(branch.label) in spaced(read.text)
    for told in report.unseen:
        assert spaced(told) in spaced(read.text)


def test_escaped_script():
    """A script in a source line is text."""
    bad = "</pre></script><script>alert('1')</script>&amp;"
    place = made.FIRST._replace(text=bad, function=bad, file=bad)
    finding = made.TWICE._replace(places=(place,), cure=bad, why=bad, message=bad, lineage=(bad,))
    written = make_report(bad, [finding], [], [Branch(bad, place, (0,))], [bad]).to_html()
    assert "<script" not in written
    assert Page(written).text.count(bad) >= 12


def test_alone():
    """The page asks for nothing else, and forbids it."""
    written = make_report("f", made.FINDINGS, made.COUNTS, made.TREE).to_html()
    assert "default-src 'none'" in written
    assert not re.search(r"https?:|src=|@import|url\(", written)
    assert all(href.startswith("#") for href in Page(written).hrefs)


def test_linked():
    """A finding leads to its key in the tree, and the branches lead to their findings."""
    report = make_report("f", made.FINDINGS, made.COUNTS, made.TREE)
    read = Page(report.to_html())
    assert read.hrefs.count("#finding-0") == 2
    assert read.hrefs.count("#key-2") == 1
    assert {href[1:] for href in read.hrefs} <= set(read.ids)


def test_whole():
    """A finding's places, path, reason and cure are on the page, and so are the counts."""
    text = page("train_step", made.FINDINGS, made.COUNTS, made.TREE, ["compiled: g"]).text
    for told in (
        "Key audit of train_step",
        "1 error, 1 warning, 1 note",
        "error[KS01]: a key is drawn from twice",
        "/gone/train.py:14 in step",
        made.SECOND.text,
        "argument key → split[1]",
        "first, second = ks.split(key)",
        "96,000",
        "compiled: g",
    ):
        assert told in text


@pytest.mark.parametrize("depth", [5, 60, 400])
def test_deep(depth):
    """A deep tree goes on in further trees, which lead to each other, and nests no deeper."""
    read = page("f", [made.TWICE], [], made.staircase(depth))
    assert read.deepest < 3 * html_page.DEEPEST + 20
    assert read.text.count("uniform ()") == 1
    assert {href[1:] for href in read.hrefs} <= set(read.ids)
    assert len(set(read.ids)) == len(read.ids)


def test_loop_written_out():
    """A key that is split again and again is a list, not a staircase."""
    branch = Branch("normal (3,)")
    for _ in range(300):
        branch = Branch("split[0]", None, (), (branch, Branch("split[1]")))
    read = page("f", [], [], (branch,))
    assert read.deepest < 20
    assert read.text.count("↳ split[0]") == 299


def test_large():
    """A page of many branches shows those that lead to a finding, and counts the rest."""
    many = tuple(Branch(f"normal {i}") for i in range(20_000))
    last = Branch("split[1]", None, (), (Branch("the culprit", None, (0,)),))
    read = page("f", [made.TWICE], [], (Branch("argument key", None, (), (*many, last)),))
    assert "the culprit" in read.text
    assert "and 17,003 more" in read.text
    assert len(read.tags) < 20_000


def test_many_findings():
    """A page of many findings shows the first ones, and opens a few of each kind."""
    many = [made.TWICE._replace(lineage=(str(i),)) for i in range(600)]
    tree = tuple(Branch(str(i), None, (i,)) for i in range(600))
    written = make_report("f", many, [], tree).to_html()
    read = Page(written)
    assert written.count('<details class="finding error" id="finding-1" open="open">') == 1
    assert '<details class="finding error" id="finding-9">' in written
    assert "and 100 more, which the JSON of this report holds" in read.text
    assert {href[1:] for href in read.hrefs} <= set(read.ids)


def test_clean():
    """A report without findings is a page that says so."""
    read = page("f", [], made.COUNTS)
    assert "no findings; looked at 1,002 draws" in read.text
    assert "Findings" not in read.text
