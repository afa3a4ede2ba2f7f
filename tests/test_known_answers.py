"""Law 9: the scheme is frozen. The library and a second implementation against one file."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import jax
import numpy as np
import pytest

import keystream as ks
from tests import make_known_answers, reference

LINES = [
    line
    for line in make_known_answers.FILE.read_text().splitlines()
    if line and not line.startswith("#")
]
GROUPS: dict[tuple[str, str], list[str]] = defaultdict(list)
for _line in LINES:
    GROUPS[reference.read_line(_line)[:2]].append(_line)


def differing(lines, answer):
    """Return the vectors that `answer` answers otherwise."""
    pairs = [line.split(" -> ") for line in lines]
    return [(asked, told) for asked, known in pairs if (told := answer(asked)) != known]


@pytest.mark.fast
def test_reference():
    """An implementation without JAX, written from the document, gives every vector."""
    assert differing(LINES, reference.answer) == []


@pytest.mark.fast
@pytest.mark.parametrize("group", GROUPS, ids="-".join)
def test_library(group):
    """The library gives every vector."""
    assert differing(GROUPS[group], make_known_answers.library_answer) == []


def test_liar():
    """A single wrong digit in the file, or a counter off by one, is noticed."""
    line = GROUPS["derive", "threefry2x32"][7]
    wrong = line[:-1] + format(int(line[-1], 16) ^ 1, "x")
    assert differing([line, wrong], reference.answer) == [tuple(line.split(" -> "))]

    def off_by_one(asked):
        _, impl, given, _ = reference.read_line(asked)
        path = [p + 1 if isinstance(p, int) else p for p in reference.read_path(given["path"])]
        return reference.write_words(
            reference.derive(impl, reference.read_words(given["key"]), *path)
        )

    positions = [line for line in GROUPS["derive", "threefry2x32"] if "path=int:" in line]
    assert len(differing(positions, off_by_one)) == len(positions) > 100


@pytest.mark.fast
def test_complete():
    """The file holds a vector for each question of its program, in order, and no other."""
    asked = [q for q in make_known_answers.questions() if not q.startswith("\n")]
    assert [line.split(" -> ")[0] for line in LINES] == asked
    assert len(set(asked)) == len(asked) > 380
    assert f"derivation scheme, version {ks.SCHEME}." in make_known_answers.HEADER
    assert make_known_answers.FILE.read_text().startswith(make_known_answers.HEADER)


def _positions():
    """Return the positions among the vectors of the first key, and their keys' words."""
    found = {}
    for line in GROUPS["derive", "threefry2x32"]:
        _, _, given, known = reference.read_line(line)
        path = reference.read_path(given["path"])
        number = path[0]
        alone = given["key"] == make_known_answers.KEYS[0] and len(path) == 1
        if alone and isinstance(number, int) and -(2**62) <= number < 2**63:
            found[number] = reference.read_words(known)
    return np.array(list(found)), np.array(list(found.values()), np.uint32)


@pytest.mark.fast
@pytest.mark.parametrize("x64", [False, True], ids=["x32", "x64"])
def test_arrays(x64):
    """The frozen positions come out of one array, 64 bits wide, with 64-bit types off and on."""
    ids, words = _positions()
    assert ids.dtype == np.int64
    assert ids.size == len(make_known_answers.SEAMS)
    with jax.enable_x64(x64):
        made = jax.random.key_data(ks.derive(ks.key(42), ids))
        np.testing.assert_array_equal(made, words)


@pytest.mark.fast
def test_traced():
    """The frozen positions come out of traced integers: int32, and int64 where JAX has it."""
    ids, words = _positions()
    derive = jax.jit(lambda i: jax.random.key_data(ks.derive(ks.key(42), i)))
    narrow = (ids >= -(2**31)) & (ids < 2**31)
    assert 4 < narrow.sum() < ids.size
    np.testing.assert_array_equal(derive(ids[narrow].astype(np.int32)), words[narrow])
    unsigned = (ids >= 0) & (ids < 2**32)
    np.testing.assert_array_equal(derive(ids[unsigned].astype(np.uint32)), words[unsigned])
    with jax.enable_x64(True):
        np.testing.assert_array_equal(derive(ids), words)


@pytest.mark.parametrize(
    "setting",
    [
        {"jax_threefry_partitionable": False},
        {"jax_enable_x64": True},
        {"jax_default_prng_impl": "rbg"},
        {"jax_random_seed_offset": 7},
        {"jax_numpy_dtype_promotion": "strict", "jax_numpy_rank_promotion": "raise"},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_settings(setting):
    """No setting of JAX changes a vector."""
    before = {name: getattr(jax.config, name) for name in setting}
    lines = [*LINES[::8], *(line for line in LINES if line.startswith("chain"))]
    assert len({line.split()[0] for line in lines}) == 6
    try:
        for name, value in setting.items():
            jax.config.update(name, value)
        assert differing(lines, make_known_answers.library_answer) == []
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def test_program_checks(monkeypatch, capsys):
    """`--check` makes the file anew, letter by letter, and agrees."""
    monkeypatch.setattr(sys, "argv", ["make_known_answers", "--check"])
    assert make_known_answers.main() == 0
    assert capsys.readouterr().out == f"known_answers.txt: {len(LINES)} vectors agree\n"


def test_program_refuses():
    """Without a flag the program neither writes nor compares, and says which flags there are."""
    before = make_known_answers.FILE.read_bytes()
    ran = subprocess.run(
        [sys.executable, "-m", "tests.make_known_answers"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 2
    assert "--check" in ran.stderr
    assert "--overwrite" in ran.stderr
    assert make_known_answers.FILE.read_bytes() == before


def test_program_notices(tmp_path, monkeypatch, capsys):
    """`--check` fails on a changed file, names the vector, and leaves the file alone."""
    changed = make_known_answers.FILE.read_text().replace("0000002a\n", "0000002b\n", 1)
    copy = tmp_path / "known_answers.txt"
    copy.write_text(changed)
    monkeypatch.setattr(make_known_answers, "FILE", copy)
    monkeypatch.setattr(make_known_answers, "library_answer", reference.answer)
    monkeypatch.setattr(sys, "argv", ["make_known_answers", "--check"])
    assert make_known_answers.main() == 1
    told = capsys.readouterr().out
    assert "frozen key threefry2x32 seed=int:42 -> 00000000:0000002b" in told
    assert "now    key threefry2x32 seed=int:42 -> 00000000:0000002a" in told
    assert copy.read_text() == changed
