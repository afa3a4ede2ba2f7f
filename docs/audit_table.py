"""Say of each program of the corpus what the audit and JAX's own checker find; write the table.

    python docs/audit_table.py            print the tables
    python docs/audit_table.py --write    put them into docs/audit-corpus.md as well
    python docs/audit_table.py --only KS07 legacy     programs of a rule, a style or a name

The corpus is `tests/audit/corpus`. Run it from the root of the repository, with the extra
`corpus` installed: programs whose libraries are missing are left out, and counted.
"""

from __future__ import annotations

import argparse
import pathlib
import platform
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import jax  # noqa: E402 - the corpus isn't installed: it is imported from the root

import keystream as ks  # noqa: E402
from tests.audit.corpus import PROGRAMS, Program  # noqa: E402
from tests.audit.corpus.jax_checker import verdict  # noqa: E402

PAGE = ROOT / "docs" / "audit-corpus.md"
BEGIN = "<!-- The tables begin: docs/audit_table.py writes them. -->"
END = "<!-- The tables end. -->"
UNSHOWN = "-"
WARNINGS = {"KS11", "KS15", "KS16"}
"""Rules whose programs count as found where the finding is no error."""


class Row(NamedTuple):
    """What is said of one program."""

    program: Program
    static: str
    run: str
    jax: str

    @property
    def ours(self) -> tuple[str, str]:
        """What keystream says, in both ways."""
        return self.static, self.run


def audited(program: Program, **options: Any) -> str:
    """Return the rules that an audit finds, with the mildest in brackets; or why it can't."""
    if not hasattr(ks, "audit"):
        return UNSHOWN
    try:
        report = ks.audit(program.fun, *program.args(), **options)
    except Exception as caught:
        return f"error: {type(caught).__name__}"
    found = {
        finding.rule if finding.severity == "error" else f"({finding.rule})"
        for finding in report.findings
        if finding.severity != "note" or finding.rule == program.rule
    }
    return " ".join(sorted(found, key=lambda rule: (rule.startswith("("), rule))) or "nothing"


def found(row: Row, said: str) -> bool:
    """Is the rule of a wrong program among what is said of it?"""
    rule = str(row.program.rule)
    words = said.split()
    return rule in words or (f"({rule})" in words and rule in WARNINGS)


def alarmed(said: str) -> bool:
    """Does what is said of a right program hold an error?"""
    return any(word.startswith("KS") or word == "found" for word in said.split())


def rows(programs: Iterable[Program], said: Callable[[str], None]) -> Iterator[Row]:
    """Yield what is said of one program after the other."""
    for program in programs:
        said(f"{program.style}: {program.name}")
        static = audited(program) if program.mode == "static" else UNSHOWN
        yield Row(program, static, audited(program, run=True), verdict(program))


def by_program(found_rows: Sequence[Row]) -> list[str]:
    """Return the table with a line for each program."""
    lines = [
        "| program | style | wrong by | static | run | JAX's checker |",
        "|---|---|---|---|---|---|",
    ]
    for row in found_rows:
        name, rule = row.program.name, row.program.rule or "right"
        lines.append(
            f"| `{name}` | {row.program.style} | {rule} | {row.static} | {row.run} | {row.jax} |"
        )
    return lines


def recall(found_rows: Sequence[Row]) -> list[str]:
    """Return the table with a line for each rule, and one for what is right."""
    lines = [
        "| rule | programs | static | static or run | JAX's checker |",
        "|---|---|---|---|---|",
    ]
    wrong = [row for row in found_rows if row.program.rule]
    right = [row for row in found_rows if not row.program.rule]
    rules = sorted({str(row.program.rule) for row in wrong})
    lines += [_counted(rule, [row for row in wrong if row.program.rule == rule]) for rule in rules]
    lines.append(_counted("all that is wrong: found", wrong))
    lines.append(_false("all that is right: false alarms", right))
    return lines


def _counted(what: str, some: Sequence[Row]) -> str:
    static = sum(found(row, row.static) for row in some)
    either = sum(any(found(row, said) for said in row.ours) for row in some)
    theirs = sum(row.jax == "found" for row in some)
    return _line(what, some, static, either, theirs)


def _false(what: str, some: Sequence[Row]) -> str:
    static = sum(alarmed(row.static) for row in some)
    either = sum(any(alarmed(said) for said in row.ours) for row in some)
    theirs = sum(row.jax != "nothing" for row in some)
    return _line(what, some, static, either, theirs)


def _line(what: str, some: Sequence[Row], static: int, either: int, theirs: int) -> str:
    ours = (static, either) if hasattr(ks, "audit") else (UNSHOWN, UNSHOWN)
    return f"| {what} | {len(some)} | {ours[0]} | {ours[1]} | {theirs} |"


def report(found_rows: Sequence[Row], left_out: Counter[str]) -> str:
    """Return the tables, and under what they were made."""
    versions = f"jax {jax.__version__}, Python {platform.python_version()}"
    lines = [f"Made with {versions}.", "", *recall(found_rows), "", *by_program(found_rows)]
    lines += [
        f"\nLeft out, as `{name}` isn't installed: {n} programs." for name, n in left_out.items()
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the tables between the two marks of the page."""
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE}: no line {BEGIN!r} with {END!r} below it")
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main(argv: Sequence[str] | None = None) -> None:
    """Make the tables, print them, and write them if asked to."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}, too")
    parser.add_argument("--only", nargs="*", default=[], help="rules, styles or names")
    options = parser.parse_args(argv)
    if options.write and options.only:
        parser.error("--write takes all programs, not --only some")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)
    warnings.simplefilter("ignore", DeprecationWarning)
    asked = [p for p in PROGRAMS if not options.only or {p.rule, p.style, p.name} & {*options.only}]
    left_out = Counter(p.missing for p in asked if p.missing)
    there = [p for p in asked if not p.missing]
    tell = sys.stderr.isatty()
    done = list(rows(there, lambda what: print(what, file=sys.stderr) if tell else None))
    text = report(done, left_out)
    print(text)
    if options.write:
        write(text)


if __name__ == "__main__":
    main()
