"""What is cut, damaged, or lies elsewhere ends in an error of ours, and never as other keys."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keystream as ks
from keystream._saving import document
from tests.saving import make_saved
from tests.saving.trees import content
from tests.spawn import spawn

REFUSED = (ks.SavedError, ks.KeyImplError)
TREE = {"key": ks.key(2**40 + 1), "noise": [ks.Stream(ks.key(7)).skip(2**33), None]}
TEXT = ks.dumps(TREE)
WORDS = ks.to_words(TREE)
NAMED = ks.dumps(make_saved.trees()["streams"])


def misread(load: Callable[[Any], Any], damaged: Iterable[Any], want: str = TEXT) -> list[Any]:
    """Return what of the damaged is neither refused by us nor read as what was saved."""
    found = []
    for each in damaged:
        try:
            loaded = load(each)
        except REFUSED:
            continue
        if ks.dumps(loaded) != want:
            found.append(each)
    return found


def cut(whole: Any) -> list[Any]:
    """Return a text or bytes cut at every place."""
    return [whole[:end] for end in range(len(whole))]


def with_header(header: bytes) -> dict[str, np.ndarray]:
    """Return the arrays with another text in the first of them."""
    return {**WORDS, "keystream": np.frombuffer(header, np.uint8)}


def resealed(change: Callable[[dict[str, Any]], None]) -> str:
    """Return the text with a changed document and a checksum that fits it, by the docs alone."""
    document = json.loads(TEXT)
    document.pop("checksum")
    change(document)
    plain = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    document["checksum"] = f"sha256:{hashlib.sha256(plain.encode()).hexdigest()}"
    return json.dumps(document)


@pytest.mark.fast
def test_cut_at_every_character() -> None:
    """A text cut anywhere is refused, none of its beginnings is read as something else."""
    for text in (TEXT, NAMED):
        assert misread(ks.loads, cut(text)) == []
        for each in cut(text):
            with pytest.raises(ks.SavedError, match="got a break at character"):
                ks.loads(each)


@given(
    at=st.integers(0, len(TEXT) - 1),
    character=st.sampled_from('0123456789abcdef"{}[]:,.- \\nE\x00\u00e9'),
    insert=st.booleans(),
)
def test_a_changed_character(at: int, character: str, insert: bool) -> None:
    """A text with one character changed or put in is refused, or it is the same tree."""
    assert misread(ks.loads, [TEXT[:at] + character + TEXT[at + (not insert) :]]) == []


@pytest.mark.fast
def test_every_digit_counts() -> None:
    """Another digit at any place of the text is refused, whatever it is a digit of."""
    for place in re.finditer("[0-9a-f]", TEXT):
        other = "0" if place[0] != "0" else "1"
        with pytest.raises(REFUSED):
            ks.loads(TEXT[: place.start()] + other + TEXT[place.end() :])


@pytest.mark.fast
def test_a_missing_checksum_test_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the checksum were not looked at, these tests would find what is misread."""
    places = [place.start() for place in re.finditer('(?<=")[0-9a-f]{16}(?=")', TEXT)]
    assert len(places) == 2
    damaged = [f"{TEXT[:at]}f{TEXT[at + 1 :]}" for at in places]
    assert misread(ks.loads, damaged) == []
    monkeypatch.setattr(document, "checksum", lambda _: json.loads(TEXT)["checksum"])
    assert misread(ks.loads, damaged) == damaged


@pytest.mark.fast
def test_damaged_arrays() -> None:
    """Arrays with any word changed, or the text among them cut anywhere, are refused."""
    header = WORDS["keystream"].tobytes()
    assert misread(ks.from_words, map(with_header, cut(header))) == []
    for name, array in WORDS.items():
        for at in range(array.size):
            other = array.copy()
            other.flat[at] ^= 1
            with pytest.raises(REFUSED):
                ks.from_words({**WORDS, name: other})
    for name, array in WORDS.items():
        for other in (array[:-1], array[None], array[0], array.astype(float), None, "text", [1]):
            with pytest.raises(ks.SavedError):
                ks.from_words({**WORDS, name: other})
        with pytest.raises(ks.SavedError):
            ks.from_words({n: a for n, a in WORDS.items() if n != name})


@given(at=st.integers(0, WORDS["keystream"].size - 1), byte=st.integers(0, 255))
def test_a_changed_byte_of_the_header(at: int, byte: int) -> None:
    """Any byte of the text among the arrays may be another: refused, or the same tree."""
    header = bytearray(WORDS["keystream"])
    header[at] = byte
    assert misread(ks.from_words, [with_header(bytes(header))]) == []


@pytest.mark.fast
def test_a_damaged_file() -> None:
    """A NumPy file is refused where it is damaged: by NumPy as it opens, by us as it is read."""
    file = io.BytesIO()
    np.savez(file, **WORDS)
    whole = file.getvalue()
    for end in range(0, len(whole), 7):
        with pytest.raises((zipfile.BadZipFile, ValueError, EOFError)):
            np.load(io.BytesIO(whole[:end]))
    damaged = bytearray(whole)
    damaged[whole.index(b'"threefry2x32"') + 3] ^= 1
    with pytest.raises(ks.SavedError, match=r"words\['keystream'\] must be readable, got BadZip"):
        ks.from_words(np.load(io.BytesIO(damaged)))


def tree_of(node: Any) -> Callable[[dict[str, Any]], None]:
    """Return the change that puts another tree into a document."""
    return lambda document: document.update(tree=node)


KEYS = {"kind": "keys", "impl": "threefry2x32", "shape": [], "data": "0" * 16}
STREAM = {"kind": "stream", "keys": KEYS, "position": "0"}
MALFORMED = {
    "no node": [3, "", [], {}, True, {"kind": None}, {"kind": []}],
    "shape": [{**KEYS, "shape": s} for s in (None, "2", {}, [True], [2**31], [0] * 33, [0, "1"])],
    "data": [
        {**KEYS, "data": d}
        for d in (None, 0, "", "0" * 8, "0" * 24, "G" * 16, "0" * 8 + " " + "0" * 8, "A" * 16)
    ],
    "implementation": [{**KEYS, "impl": i} for i in (None, [], "philox2x32", "fry", "rbg")],
    "position": [
        {**STREAM, "position": p}
        for p in (None, 0, [], ["0"], "", "-1", "01", "+1", "\u0661", "1.0", str(2**63), "9" * 5000)
    ],
    "keys of a stream": [{**STREAM, "keys": k} for k in (None, STREAM, [], {**KEYS, "more": 0})],
    "items": [
        {"kind": kind, "items": items}
        for kind in ("dict", "streams", "list", "tuple")
        for items in (None, {}, "", [["a"]], [["a", None, None]], [[None, None]], [[0, None]], [0])
    ],
    "names": [
        {"kind": "dict", "items": [[name, None]]}
        for name in ({"int": 1}, {"int": "01"}, {"int": "1_0"}, {"int": str(2**63)}, {"bytes": "F"},
                     {"bytes": "AA"}, {"str": "a"}, {"int": "1", "bytes": ""}, {}, [], 1.0 == 1)
    ],
    "streams": [{"kind": "streams", "items": [i]} for i in (["a", KEYS], [{"int": "1"}, STREAM])],
    "nested": [json.loads("[" * 400 + "]" * 400)],
    "another class": [{"kind": "node", "type": "Pair", "items": []}],
}  # fmt: skip


@pytest.mark.fast
@pytest.mark.parametrize("what", MALFORMED)
def test_malformed(what: str) -> None:
    """A document with a right checksum that is not as we write it is refused, whoever made it."""
    for node in MALFORMED[what]:
        with pytest.raises(REFUSED):
            ks.loads(resealed(tree_of(node)))
        with pytest.raises(REFUSED):
            ks.loads(resealed(tree_of({"kind": "list", "items": [node]})), like=[0])


@pytest.mark.fast
def test_well_formed() -> None:
    """The same by hand with nothing wrong in it is read: the test above refuses for a reason."""
    assert bool(ks.loads(resealed(tree_of(KEYS))) == ks.key(0))
    loaded = ks.loads(resealed(tree_of({**STREAM, "position": str(2**63 - 1)})))
    assert loaded.position == 2**63 - 1
    assert content(ks.loads(resealed(lambda _: None))) == content(TREE)


ENVELOPES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "format version 2": lambda document: document.update(version=2),
    "format version True": lambda document: document.update(version=True),
    "no format version": lambda document: document.pop("version"),
    "another scheme": lambda document: document.update(scheme=2),
    "scheme True": lambda document: document.update(scheme=True),
    "another format": lambda document: document.update(format="other"),
    "one field more": lambda document: document.update(more=None),
    "no tree": lambda document: document.pop("tree"),
}


@pytest.mark.fast
@pytest.mark.parametrize("what", ENVELOPES)
def test_other_envelopes(what: str) -> None:
    """Another version, scheme, format or set of fields is refused, its checksum right or not."""
    with pytest.raises(ks.SavedError):
        ks.loads(resealed(ENVELOPES[what]))


@pytest.mark.fast
def test_deep_trees() -> None:
    """A tree as deep as can be saved is also read, and one level more is not saved."""
    tree: Any = ks.Streams(ks.key(1), ("a",))
    for _ in range(63):
        tree = {-1: tree}
    text = ks.dumps(tree)
    assert ks.dumps(ks.loads(text)) == ks.dumps(ks.from_words(ks.to_words(tree))) == text
    with pytest.raises(ks.ArgumentValueError):
        ks.dumps([tree, [tree]])


@pytest.mark.fast
def test_messages_hold_no_words() -> None:
    """No message about saved keys holds a word of them."""
    secret = "5ec2e75ec2e75ec2"
    words = np.frombuffer(bytes.fromhex(secret), ">u4").astype(np.uint32)
    text = ks.dumps([jax.random.wrap_key_data(words)])
    ends = [text[start:] for start in range(1, len(text))]
    bad = [*cut(text), *ends, text.replace(secret, secret[:-1] + "f"), text.replace("[]", "[3]")]
    for each in [*bad, text.encode()]:
        with pytest.raises(ks.KeystreamError) as caught:
            ks.loads(each)
        assert "5ec2e7" not in str(caught.value)


@pytest.mark.fast
def test_a_path_for_a_text(tmp_path: Path) -> None:
    """The path of a file in the place of its text is cured by code that reads that file."""
    path = tmp_path / "state.json"
    path.write_text(TEXT)
    for wrong in (str(path), path):
        with pytest.raises(ks.KeystreamError) as caught:
            ks.loads(wrong)
        code = str(caught.value).partition("For a file: ")[2].removesuffix(".")
        assert ks.dumps(eval(code, {"ks": ks, "path": path})) == TEXT


def test_keys_on_other_processes() -> None:
    """A key array with parts on another process is refused; its own parts and copies are saved."""
    ended = spawn("saving/save_worker.py", 2)
    assert [one.code for one in ended] == [0, 0], ended[0].printed[-3000:]
    said = [one.said[-1] for one in ended]
    for one in said:
        assert one["parted"] == (
            "dumps: tree['keys'] must be held by this process as a whole, "
            "got key<fry>[4] with parts on other processes. For this process's parts: "
            "ks.dumps([shard.data for shard in keys.addressable_shards])."
        )
        assert bool(ks.loads(one["replicated"]) == ks.key(42))
    parts = [part for one in said for part in ks.loads(one["own"])]
    assert ks.dumps(jax.numpy.concatenate(parts)) == ks.dumps(ks.keys(ks.key(42), 4))
