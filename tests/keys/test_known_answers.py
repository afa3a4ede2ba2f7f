"""Law 9: the scheme is frozen. The library and a second implementation against one file."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keystream as ks
from keystream import _compat
from tests import reference
from tests.keys import make_known_answers
from tests.saving import make_saved
from tests.saving.make_saved import FOLDER
from tests.versions import WITHOUT_IMPLS

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


@pytest.mark.fast
def test_reference_alone():
    """The second implementation needs nothing but Python and its standard library."""
    tree = ast.parse(Path(reference.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {n.name for x in ast.walk(tree) if isinstance(x, ast.Import) for n in x.names}
    assert imported == {"__future__", "functools", "hashlib", "json", "math", "typing"}


@pytest.mark.fast
@given(entropy=st.lists(st.integers(0, 2**200), min_size=1, max_size=7), width=st.integers(1, 6))
def test_reference_seeds(entropy, width):
    """Its SeedSequence is NumPy's."""
    made = np.random.SeedSequence(entropy).generate_state(width, np.uint32)
    assert reference.seed_sequence(entropy, width) == tuple(made.tolist())


@pytest.mark.fast
@WITHOUT_IMPLS
@pytest.mark.parametrize("file", sorted(FOLDER.glob("v1-*.json")), ids=lambda file: file.stem)
def test_saved(file):
    """The saved files are read without the library, and their keys and streams go on alike."""
    text = file.read_text().removesuffix("\n")
    like = make_saved.trees()[file.stem.removeprefix("v1-")]
    found = _next_keys(ks.loads(text, like=like))
    nodes = [each for each in _nodes(reference.loads(text)) if _is_own(each)]
    assert [words for node in nodes for words in reference.next_keys(node)] == found
    assert reference.dumps(reference.loads(text)) == text


def _nodes(node):
    """Return the nodes of keys and streams, in the order in which they are written."""
    if node is None or _is_own(node):
        return [node] if node else []
    return [
        each
        for item in node["items"]
        for each in _nodes(item[1] if node["kind"] not in ("list", "tuple") else item)
    ]


def _is_own(node):
    return isinstance(node, dict) and node["kind"] in ("keys", "stream")


def _next_keys(tree):
    """Return the words of each key of a tree, and of the next key of each stream."""
    if isinstance(tree, dict):
        return [words for each in tree.values() for words in _next_keys(each)]
    if isinstance(tree, (list, tuple)):
        return [words for each in tree for words in _next_keys(each)]
    if isinstance(tree, ks.Streams):
        return [words for name in tree.names for words in _next_keys(tree[name])]
    if isinstance(tree, ks.Stream):
        key, words = jax.tree.leaves(tree)
        places = [int(hi) << 32 | int(lo) for hi, lo in np.asarray(words).reshape(-1, 2)]
        pairs = zip(key.reshape(-1), places, strict=True)
        return [words for one, place in pairs for words in _next_keys(ks.derive(one, place))]
    if tree is None:
        return []
    data = np.asarray(jax.random.key_data(tree))
    return [tuple(row) for row in data.reshape(-1, data.shape[-1]).tolist()]


@pytest.mark.fast
def test_saved_faults():
    """A saved text with another key, position or checksum is noticed, and so is another layout."""
    text = (FOLDER / "v1-state.json").read_text().removesuffix("\n")
    for one, other in (('"6"', '"7"'), ("548656db", "548656dc"), ("f7398fb3", "f7398fb4")):
        assert one in text
        with pytest.raises(AssertionError):
            reference.loads(text.replace(one, other))


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_shards(impl):
    """The vectors of axes are the keys of shards on a mesh, at their places."""
    for line in GROUPS["axis", impl]:
        _, _, given, known = reference.read_line(line)
        sizes, place = (tuple(map(int, given[x].split(","))) for x in ("sizes", "at"))
        axes = tuple(f"axis {i}" for i in range(len(sizes)))
        words = np.array(reference.read_words(given["key"]), np.uint32)
        keys = ks.shard_keys(
            jax.random.wrap_key_data(words, impl=impl), jax.make_mesh(sizes, axes), jax.P(*axes)
        )
        made = np.asarray(jax.random.key_data(keys))[place]
        assert reference.write_words(made.tolist()) == known


def test_fault():
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
    assert len(set(asked)) == len(asked) > 480
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
    with _compat.enable_x64(x64):
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
    with _compat.enable_x64(True):
        np.testing.assert_array_equal(derive(ids), words)


@pytest.mark.slow
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
    lines += [line for line in LINES if line.startswith(("axis", "process", "dumps threefry2x32"))]
    assert {line.split()[0] for line in lines} == {line.split()[0] for line in LINES}
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
        [sys.executable, "-m", "tests.keys.make_known_answers"],
        cwd=Path(__file__).parents[2],
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
