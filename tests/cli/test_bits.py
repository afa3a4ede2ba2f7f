"""`python -m keystream bits`: the words are the keys and draws that programs get."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import keystream as ks
from keystream.__main__ import main
from keystream.cli import bits
from keystream.cli._bits.layouts import LAYOUTS, WORDS
from keystream.cli._bits.reading import read, words
from tests.cli.layout_oracle import ORACLES
from tests.commands import assert_refused

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
KEY = ks.key(1)
PLACES = (0, 1, 2, 7, 8, 9, 65, 130, 8191, 8192, 20000)
FAR = (WORDS - 1, WORDS, WORDS + 5, 2 * WORDS + 8321)


def _at(layout, key, places):
    """Return a layout's words at places, out of whole blocks."""
    blocks = {turn: np.asarray(layout.block(key, turn)) for turn in {p // WORDS for p in places}}
    return [int(blocks[place // WORDS][place % WORDS]) for place in places]


@pytest.mark.parametrize("name", LAYOUTS)
def test_words_are_those_of_a_loop(name):
    """Each word of a layout is what a slow loop over keys and draws gives at its place."""
    places = PLACES if name == "carried" else PLACES + FAR  # a chain is walked step by step
    want = [ORACLES[name](KEY, place) for place in places]
    assert _at(LAYOUTS[name], KEY, places) == want


@pytest.mark.parametrize("name", ["named", "seeds", "keys"])
def test_words_of_another_implementation(name):
    """The same holds for keys that have no public cipher."""
    key = ks.key(1, impl="philox4x32")
    places = PLACES[:5]
    assert _at(LAYOUTS[name], key, places) == [ORACLES[name](key, place) for place in places]


def test_every_layout_has_an_oracle():
    """No layout is left out of the tests, and each tells what it is."""
    assert list(ORACLES) == list(LAYOUTS)
    assert all(name == row.name and row.told for name, row in LAYOUTS.items())


def test_far_turns():
    """Turns whose positions need 64 bits go on as they should, and sparse seeds come again."""
    for name, turn in (("stream", 2**45), ("children", 2**30), ("epochs", 2**40), ("sparse", 1897)):
        place = turn * WORDS + 70000
        assert _at(LAYOUTS[name], KEY, [place]) == [ORACLES[name](KEY, place)], name


def test_shards_are_those_of_a_mesh():
    """The layout of device shards holds the draws of 8 devices of a mesh."""
    mesh = jax.make_mesh((8,), ("data",), (jax.sharding.AxisType.Auto,))
    on_mesh = ks.shard_map(
        lambda key: jax.random.bits(key, (16,), np.uint32),
        mesh=mesh,
        in_specs=(),
        out_specs=jax.P("data"),
        vary="data",
    )(ks.derive(KEY, 3))
    found = words(LAYOUTS["shards"], KEY, 128, 3 * WORDS)
    assert (np.asarray(on_mesh).reshape(8, 16).T.ravel() == found).all()


@pytest.mark.parametrize("name", ["children", "keys"])
@pytest.mark.parametrize("start", [1000, WORDS - 3, 2 * WORDS])
def test_start_and_size_change_no_word(name, start):
    """Words asked for from any place on, in any number, are those of one long reading."""
    whole = words(LAYOUTS[name], KEY, start + 1200)
    assert (words(LAYOUTS[name], KEY, 1200, start) == whole[start:]).all()
    assert (words(LAYOUTS[name], KEY, 700, start) == whole[start : start + 700]).all()


@pytest.mark.parametrize("name", LAYOUTS)
def test_frozen(name):
    """The first 64 KiB of each layout for seed 1 stay as they were, and seed 2 has others."""
    lines = (HERE / "layouts.txt").read_text().splitlines()
    frozen = dict(line.split() for line in lines if not line.startswith("#"))
    made = words(LAYOUTS[name], KEY, 2**14)
    assert hashlib.sha256(made.astype("<u4").tobytes()).hexdigest() == frozen[name]
    assert list(frozen) == list(LAYOUTS)
    other = words(LAYOUTS[name], ks.key(2), 2**14)
    assert (made == other).sum() < 4  # 3.8e-6 of them are expected to be equal by chance


def test_layouts_differ():
    """No two layouts are one stream, although some begin with a few words in common."""
    begun = {tuple(words(row, KEY, 16).tolist()[8:]) for row in LAYOUTS.values()}
    assert len(begun) == len(LAYOUTS)


def test_reverse():
    """With `reverse`, the bits of each word are written the other way round."""
    plain = words(LAYOUTS["first"], KEY, 100)
    back = words(LAYOUTS["first"], KEY, 100, reverse=True)
    assert [f"{word:032b}"[::-1] for word in plain] == [f"{word:032b}" for word in back]


def test_settings_change_no_word():
    """What jax_threefry_partitionable says doesn't change what is written."""
    with jax.threefry_partitionable(False):
        other = next(read(LAYOUTS["stream"], KEY))[:100]
    assert (other == words(LAYOUTS["stream"], KEY, 100)).all()


@pytest.mark.parametrize("more", [(), ("--reverse",)])
def test_command_writes_the_words(capfdbinary, more):
    """The command writes the words as bytes, the lowest first, as many as were asked for."""
    told = "bits", "--layout", "keys", "--seed", "x", "--bytes", str(4 * WORDS + 40), *more
    assert main(told) == 0
    want = words(LAYOUTS["keys"], ks.key("x"), WORDS + 10, reverse=bool(more))
    assert capfdbinary.readouterr() == (want.astype("<u4").tobytes(), b"")


def _started(*words, stdout=subprocess.PIPE, **variables):
    """Start the command in a process of its own, from this checkout."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), **variables}
    told = [sys.executable, "-m", "keystream", "bits", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(told, stdin=pipe, stdout=stdout, stderr=pipe, env=environment)


def _ended(*words, **more):
    """Run the command to its end."""
    with _started(*words, **more) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.mark.parametrize(("more", "code"), [((), 0), (("--bytes", "1G"), bits.BROKEN)])
def test_broken_pipe(more, code):
    """A reader that leaves ends the command without a word, and its status tells if too early."""
    with _started("--layout", "keys", *more) as process:
        assert len(process.stdout.read(2**16)) == 2**16
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("more", [(), ("--bytes", "64")])
def test_full(more):
    """A disk that is full is told of in one line, and the status is 1."""
    with Path("/dev/full").open("wb") as out:
        ended = _ended("--layout", "keys", *more, stdout=out)
    assert ended.stderr.decode() == (
        "bits: standard output must take all that is written, "
        "got '[Errno 28] No space left on device'. "
        "For a mebibyte: python -m keystream bits --layout keys --bytes 1M\n"
    )
    assert ended.returncode == 1


def test_long_seed():
    """An integer above the length that Python converts is one, whatever the environment says."""
    number = 10**5000 + 7
    want = words(LAYOUTS["keys"], ks.key(number), 4).astype("<u4").tobytes()
    told = "--layout", "keys", "--bytes", "16", f"--seed=1{'0' * 4999}7"
    for digits in ("640", "0"):
        assert _ended(*told, PYTHONINTMAXSTRDIGITS=digits).stdout == want


class _Terminal:
    def isatty(self):
        return True


@pytest.mark.parametrize(("out", "told"), [(_Terminal(), "a terminal"), (None, "none")])
def test_terminal(monkeypatch, capsys, out, told):
    """A terminal and no output at all are refused, with a command that works."""
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["bits", "--layout", "tree"]) == 2
    assert capsys.readouterr().err == (
        f"bits: standard output must be a pipe or a file, got {told}. "
        "For example: python -m keystream bits --layout tree | ent\n"
    )


def test_no_layout(capsys):
    """Without a layout the command says what is missing."""
    assert main(["bits"]) == 2
    told = f"bits: --layout must be given. For example: {bits.EXAMPLE} | dieharder -a -g 200\n"
    assert capsys.readouterr().err == told


def test_end_of_the_positions(monkeypatch, capsys):
    """Where an implementation has no more positions, the command says so and ends with 1."""

    def ended(*_, **__):
        raise ks.ArgumentValueError("keys: start must be lower.")

    monkeypatch.setattr(bits, "read", ended)
    assert main(["bits", "--layout", "keys", "--impl", "philox4x32"]) == 1
    assert capsys.readouterr().err == "bits: keys: start must be lower.\n"


def test_list(capsys):
    """--list has a line for each layout."""
    assert main(["bits", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(LAYOUTS)


KNOWN = ", ".join(map(repr, LAYOUTS))
SIZES = "must be a count of bytes that 4 divides, with K, M, G or T, got {}. "


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (
            "--layout",
            "childern",
            f"must be one of {KNOWN}, got 'childern'. Did you mean: --layout children",
        ),
        ("--layout", "xyz", f"must be one of {KNOWN}, got 'xyz'. To see what they are: --list"),
        ("--bytes", "10", SIZES.format("'10'") + "For a gibibyte: --bytes 1G"),
        ("--bytes", "0", SIZES.format("'0'") + "For a gibibyte: --bytes 1G"),
        ("--bytes", "1.5G", SIZES.format("'1.5G'") + "For a gibibyte: --bytes 1G"),
        ("--seed", "", "must not be empty, got ''. For example: --seed 42"),
        (
            "--seed",
            "\udcff",
            "must be text that UTF-8 can encode, got '\\udcff'. For example: --seed 42",
        ),
    ],
)
def test_bad_options(capsys, option, value, message):
    """A bad option says what it must be, and its cure is taken."""
    assert_refused(capsys, "bits", option, value, message)
