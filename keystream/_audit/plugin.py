"""The pytest plugin: record tests, and fail those that use a key wrongly.

It is loaded by `keystream_pytest` (see `entry.py`) wherever keystream is installed, so it
imports pytest and the standard library, and nothing of keystream before the first test that
is to be audited begins: by then the test modules, and the fixtures of a session, have set
what JAX reads from the environment.

What is recorded of a test: its fixtures of function scope, from the first of them on, and its
body (of a unittest.TestCase `setUp` and `tearDown` too). Wider fixtures are set up by
whichever test comes first, and it isn't that test's fault what they draw; what a fixture does
when it is torn down is no part of what the test claims.
"""

from __future__ import annotations

import collections
import importlib
import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

NAME = "keystream-audit"
FACTS = "keystream_audit"
"""The attribute of a test's report that crosses processes."""
BASELINE = "keystream_baseline"
"""The input of a worker that has the accepted findings."""
IGNORED = "audit_keys_ignore"

LEVELS = ("error", "warning", "note")
MARKER = (
    "audit_keys(on=True, /, *, level=None): record which JAX keys the test uses, and fail it where "
    'one is used wrongly; level="warning" is stricter, audit_keys(False) leaves the test out'
)
MOST = 10
"""How many places the summary names."""


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options, and the hooks."""
    if pluginmanager.has_plugin(NAME):
        return  # `-p keystream._audit.plugin` where keystream is installed too
    group = parser.getgroup("keystream", "audit of keys (keystream)")
    group.addoption(
        "--audit-keys",
        action="store_true",
        help="record which JAX keys each test uses, and fail those that use one wrongly",
    )
    group.addoption(
        "--audit-level",
        choices=LEVELS,
        default=LEVELS[0],
        help="the mildest finding that fails a test (default: error)",
    )
    group.addoption(
        "--audit-baseline",
        metavar="FILE",
        help="findings that are accepted: where there is no such file, those of this run",
    )
    parser.addini(IGNORED, "files and folders of tests that --audit-keys leaves out", type="paths")
    pluginmanager.register(Plugin(), NAME)


class Plugin:
    """The hooks: the test under way, and what was found in those before."""

    def __init__(self) -> None:
        self._level: str | None = None
        """At which the test is to be audited, or None."""
        self._subject = ""
        self._span: Any = None
        """The recording under way."""
        self._report: Any = None
        """What it has found."""
        self._accepted: list[list[str]] = []
        """What it has found besides, and is accepted."""
        self._raised: BaseException | None = None
        self._facts: list[dict[str, Any]] = []
        self._baseline: Baseline | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        """Make the marker known, to --strict-markers too, and read what is accepted."""
        config.addinivalue_line("markers", MARKER)
        given = config.getoption("--audit-baseline")
        if given:
            file = config.invocation_params.dir / given
            text = getattr(config, "workerinput", {BASELINE: _read(file)})[BASELINE]
            self._baseline = Baseline(file, config.rootpath, text)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give xdist's workers what was read here, before any of them began."""
        node.workerinput[BASELINE] = self._baseline and self._baseline.text

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """Begin anew; where the setup fails there is no more to record."""
        self._forget()
        self._level, self._subject = level_of(item), item.nodeid
        try:
            yield
        except BaseException:
            self._end()
            raise

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object, object]:
        """Record from the first fixture that is the test's own."""
        if fixturedef.scope == "function":
            self._begin()
        return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Generator[None]:
        """Record the test's body; where that passes, fail it for what was found."""
        self._begin()
        try:
            yield
        finally:
            self._end()
        told = self._report and _verdict().failure(self._report, self._level)
        if told:
            self._raised = pytest.fail.Exception(told, pytrace=False)
            raise self._raised

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put what was found into pytest's report, which may go to another process."""
        told = yield
        if self._report and (call.when == "call" or told.failed):
            facts = _verdict().facts(self._report, self._level)
            setattr(told, FACTS, {**facts, "test": told.nodeid, "accepted": self._accepted})
            # A unittest.TestCase reports a failure of its own in the place of ours.
            ours = call.excinfo is not None and call.excinfo.value is self._raised
            if not ours and (text := _verdict().section(self._report)):
                told.sections.append(("audit of keys", text))
        return told

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        """Record no longer."""
        self._forget()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what the summary needs; with xdist this is another process than the test's."""
        facts = getattr(report, FACTS, None)
        if facts is not None:
            self._facts.append(facts)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write what is accepted from now on, where nothing was before."""
        whole = exitstatus in (0, 1) and not (session.shouldfail or session.shouldstop)
        if self._baseline and self._facts and whole and not hasattr(session.config, "workerinput"):
            self._baseline.write(self._facts)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say how many tests were audited, and where most of them went wrong."""
        if self._facts:
            terminalreporter.section(f"audit of keys: {tally(self._facts)}", sep="-")
            accepted = self._baseline.lines(self._facts) if self._baseline else ()
            for line in (*most(self._facts), *accepted):
                terminalreporter.write_line(line)

    def _begin(self) -> None:
        if self._level is not None and self._span is None and self._report is None:
            self._span = importlib.import_module("keystream._audit.conclude").Span(self._subject)

    def _end(self) -> None:
        span, self._span = self._span, None
        if span is not None:
            self._report = span.end()
        if span is not None and self._baseline:
            known, root = self._baseline.known, self._baseline.root
            self._report, self._accepted = _verdict().accept(self._report, self._level, known, root)

    def _forget(self) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.drop()
        self._level = self._report = self._raised = None
        self._accepted = []


Name = tuple[str, ...]
"""What a finding is known by: its rule, and its places without their lines."""


class Baseline:
    """The findings that a suite accepts: of its first run with this file, which is then written."""

    def __init__(self, file: Path, root: Path, text: str | None) -> None:
        self.file, self.root, self.text = file, root, text
        self.written: int | None = None
        self.known: dict[Name, str] | None = None
        """What is accepted, and a test that found it; None where everything is."""
        if text is not None:
            try:
                rows = json.loads(text)["accepted"]
                self.known = {(row["rule"], *row["places"]): row["test"] for row in rows}
            except (ValueError, LookupError, TypeError) as problem:
                cure = "Delete it, and the next run writes it anew."
                raise pytest.UsageError(f"--audit-baseline: can't read {file}. {cure}") from problem

    def write(self, facts: Iterable[dict[str, Any]]) -> None:
        """Write what tests have found, if there is no file yet: sorted, each part on its line."""
        if self.known is not None:
            return
        found = sorted(_accepted(facts).items(), key=lambda pair: (pair[0][1:], pair[0]))
        rows = [{"rule": n[0], "places": n[1:], "test": test} for n, test in found]
        text = json.dumps({"format": 1, "accepted": rows}, indent=1, ensure_ascii=False)
        self.file.write_text(f"{text}\n", encoding="utf-8")
        self.written = len(rows)

    def lines(self, facts: Sequence[dict[str, Any]]) -> Iterator[str]:
        """Yield what is to be said: what was accepted, and what isn't found any more."""
        found, name = _accepted(facts), self.file.name
        if self.known is not None:
            tests = {each["test"] for each in facts}
            yield f"{_count(len(found))} in {name} accepted"
            for (rule, *places), test in self.known.items():
                if (rule, *places) not in found and test in tests:
                    yield f"gone, and can be deleted from {name}: {rule} at {places[-1]}, by {test}"
        elif self.written is None:
            yield f"{name} isn't written: the run was stopped"
        else:
            yield f"{_count(self.written)} written to {name}, and accepted from now on"


def _read(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.exists() else None


def _accepted(facts: Iterable[dict[str, Any]]) -> dict[Name, str]:
    """Return what was found and accepted, with the first test by name that found it."""
    found = [(tuple(name), each["test"]) for each in facts for name in each["accepted"]]
    return dict(sorted(found, reverse=True))


def _count(number: int) -> str:
    return f"{number:,} {'finding' if number == 1 else 'findings'}"


def level_of(item: pytest.Item) -> str | None:
    """Return the level at which a test is to be audited, or None if it isn't."""
    level: str = item.config.getoption("--audit-level")
    marker = item.get_closest_marker("audit_keys")
    if marker is None:
        ignored = any(map(item.path.is_relative_to, item.config.getini(IGNORED)))
        return level if item.config.getoption("--audit-keys") and not ignored else None

    on, *more = marker.args or (True,)
    level, others = marker.kwargs.get("level", level), marker.kwargs.keys() - {"level"}
    if more or others or not isinstance(on, bool):
        given = [*map(repr, marker.args), *(f"{name}=..." for name in marker.kwargs)]
        wanted = "audit_keys, audit_keys(False) or audit_keys(level=...)"
        _refuse("marker", wanted, f"audit_keys({', '.join(given)})")
    if level not in LEVELS:
        _refuse("level", "'error', 'warning' or 'note'", repr(level))
    return level if on else None


def _refuse(argument: str, wanted: str, got: str) -> NoReturn:
    words = importlib.import_module("keystream._errors")
    cure = 'For warnings and errors: @pytest.mark.audit_keys(level="warning").'
    cls, got = words.ArgumentValueError, words.Phrase(got)
    refused = words.complete(words.error(cls, argument, wanted, got, cure), "audit_keys")
    pytest.fail(
        str(refused),
        pytrace=False,
    )


def _verdict() -> Any:
    return importlib.import_module("keystream._audit.reporting.verdict")


def tally(facts: Sequence[dict[str, Any]]) -> str:
    """Return how many tests there were, by the worst that was found in each."""
    worst = collections.Counter(each["worst"] for each in facts)
    tests = "test" if worst["error"] == 1 else "tests"
    told = [f"{worst['error']:,} {tests} with errors"]
    if worst["warning"]:
        told.append(f"{worst['warning']:,} with warnings")
    return ", ".join([*told, f"{len(facts):,} audited"])


def most(facts: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the places that were found in the most tests, a line each."""
    found = collections.Counter(tuple(one) for each in facts for one in each["found"])
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    width = max((len(where) for (_, where, _), _ in ranked[:MOST]), default=0)
    for (rule, where, message), count in ranked[:MOST]:
        tests = f"{count:,} {'test' if count == 1 else 'tests'}"
        yield f"{rule}  {where:<{width}}  {tests:>9}  {message}"
    if len(ranked) > MOST:
        yield f"and {len(ranked) - MOST:,} more"
