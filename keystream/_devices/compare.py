"""Compare keys on several devices and processes: `check_distinct`, `check_replicated`."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from keystream import _compat
from keystream._checks.key import check_concrete, check_keys
from keystream._devices.exchange import check_timeout, exchange
from keystream._errors import (
    KeysDifferError,
    KeysEqualError,
    Phrase,
    error,
    public,
)


@public
def check_distinct(keys: jax.Array, /, *, timeout: float = 60.0) -> None:
    """Raise if two keys of an array are equal, naming where they are.

    Reach for it once after laying keys out over devices: equal keys there are the same
    noise on two devices, which nothing else reports.

    Args:
        keys: A concrete typed key array of any shape, sharded or not. The copies that a
            replicated array has of one key count as one.
        timeout: Seconds to wait for other processes, where they hold parts of the array;
            every process must then make the call.

    Key use:
        Consumes nothing.

    Guarantees:
        Exact. Waits for the keys, copies their words to the host and sorts them: about 0.1 s
        for a million keys. Of copies with equal words one process sends one to the others.

    Raises:
        KeysEqualError: Two keys are equal. Names the places of the first such pair, its
            devices and how many keys are not the first of their kind.
        KeyTypeError, KeyImplError: Not typed keys, traced ones, or refused.
        PeerError: Another process stayed away or is in another call, the connection to
            it broke, or an earlier call of this process still waits.
        ArgumentTypeError, ArgumentValueError: A `timeout` that is no positive number.

    Example:
        >>> import keystream as ks
        >>> ks.check_distinct(ks.keys(ks.key(42), 8))
    """
    parts = _parts("check_distinct", keys, "keys", timeout)
    contents = parts.fetch(parts.held)
    repeats = _repeats(keys.shape, contents) if contents else None
    if repeats:
        first, place, count = repeats
        device, other = (parts.device_of(*held) for held in (first, place))
        at, there = (_place(np.unravel_index(held[1], keys.shape)) for held in (first, place))
        more = f", {count} repeats in all" if count > 1 else ""
        cure = "For one key per shard: ks.shard_keys(key, mesh, spec)."
        got = Phrase(f"equal keys at {at} on {device} and {there} on {other}{more}")
        raise error(KeysEqualError, "keys", "distinct", got, cure)


@public
def check_replicated(key: jax.Array, /, *, timeout: float = 60.0) -> None:
    """Raise if the copies of a key on several devices differ, naming the devices.

    Reach for it where every device must hold the same key, as for shared parameters or a
    shuffle: JAX takes it on trust that the parts of a replicated array are equal.

    Args:
        key: A concrete typed key or key array; each part that several devices hold is
            compared between them.
        timeout: Seconds to wait for other processes, where they hold parts of the array;
            every process must then make the call.

    Key use:
        Consumes nothing.

    Guarantees:
        Exact up to a collision of SHA-256. Waits for the keys and copies their words to the
        host; processes exchange a digest of each copy, and words where digests differ. A key
        on a single device passes.

    Raises:
        KeysDifferError: Two copies differ. Names their place and devices.
        KeyTypeError, KeyImplError: Not typed keys, traced ones, or refused.
        PeerError: Another process stayed away or is in another call, the connection to
            it broke, or an earlier call of this process still waits.
        ArgumentTypeError, ArgumentValueError: A `timeout` that is no positive number.

    Example:
        >>> import keystream as ks
        >>> ks.check_replicated(ks.key(42))
    """
    parts = _parts("check_replicated", key, "key", timeout)
    by_start: dict[tuple[int, ...], list[_Held]] = defaultdict(list)
    for held in parts.held:
        by_start[held.start].append(held)
    unlike = [
        held
        for copies in by_start.values()
        if len({h.digest for h in copies}) > 1
        for held in copies
    ]
    contents = parts.fetch(unlike)
    found = min(
        (
            _first_difference([(held, contents[held.content]) for held in copies])
            for copies in by_start.values()
            if copies[0] in unlike
        ),
        default=None,
    )
    if found:
        place, where, others = found
        at = f" at {_place(place)}" if place else ""
        got = Phrase(f"a key{at} on {where} that differs from {', '.join(others)}")
        cure = (
            "To make it so: jax.device_put(jax.device_put(key, jax.devices()[0]), "
            "jax.sharding.NamedSharding(mesh, jax.P()))."
        )
        if jax.process_count() > 1:
            cure = "To start all processes from one: ks.key(ks.agree_on_seed(seed))."
        raise error(KeysDifferError, "key", "the same everywhere", got, cure)


class _Held(NamedTuple):
    """One device's part of a key array."""

    start: tuple[int, ...]
    """The place of its first key."""
    digest: str
    device: str

    @property
    def content(self) -> tuple[tuple[int, ...], str]:
        """What is one and the same on all devices that hold equal copies."""
        return self.start, self.digest


class _Parts(NamedTuple):
    """The parts of a key array on every device, and the words of those of this process."""

    held: list[_Held]
    words: dict[tuple[tuple[int, ...], str], np.ndarray]
    ask: Callable[[Any], list[Any]] | None
    """Sends something to every process, and returns what all of them sent, if there are any."""

    def fetch(self, wanted: list[_Held]) -> dict[tuple[tuple[int, ...], str], np.ndarray]:
        """Return the words of parts, each content once; all processes want the same ones."""
        if not wanted:
            return {}
        chosen = {held.content for held in wanted}
        mine = {content: words for content, words in self.words.items() if content in chosen}
        if self.ask is None:
            return mine
        found = {}
        sent = [[*content, words.shape, words.tobytes().hex()] for content, words in mine.items()]
        for start, digest, shape, text in itertools.chain(*self.ask(sent)):
            data = np.frombuffer(bytes.fromhex(text), np.uint32)
            found[tuple(start), digest] = data.reshape(shape)
        return found

    def device_of(self, content: tuple[tuple[int, ...], str], _: int) -> str:
        """Return the first device that holds a part."""
        return next(held.device for held in self.held if held.content == content)


def _parts(name: str, keys: Any, argument: str, timeout: Any) -> _Parts:
    """Return who holds what: places, digests of the words, devices."""
    check_keys(keys, argument=argument)
    limit = check_timeout(timeout)
    cure = f"Outside of jit: ks.{name}({argument})."
    array = check_concrete(keys, cure, argument)

    def ask(message: Any) -> list[Any]:
        texts = exchange(name, argument, json.dumps(message).encode(), limit)
        return [json.loads(text) for text in texts]

    held: list[_Held] = []
    words: dict[tuple[tuple[int, ...], str], np.ndarray] = {}
    for shard in array.addressable_shards:
        data = np.ascontiguousarray(shard.data)
        start = tuple(piece.start or 0 for piece in shard.index[:-1])
        digest = hashlib.sha256(data.tobytes()).hexdigest()
        part = _Held(start, digest, _compat.device_name(shard.device))
        held.append(part)
        words.setdefault(part.content, data)
    if array.is_fully_addressable:
        return _Parts(held, words, None)
    everyone = [_Held(tuple(s), *rest) for sent in ask(held) for s, *rest in sent]
    return _Parts(everyone, words, ask)


def _repeats(
    shape: tuple[int, ...], contents: dict[tuple[tuple[int, ...], str], np.ndarray]
) -> tuple[Any, Any, int] | None:
    """Return the first two equal keys, each by its part and place, and how many repeat others.

    Places are numbered in C order. What is equal at one place are copies of one key.
    """
    names = list(contents)
    # First their beginnings alone: where those differ, as they nearly always do, so do the keys.
    begins = np.sort(np.concatenate([_begins(words) for words in contents.values()]))
    if (begins[1:] != begins[:-1]).all():
        return None
    rows = [contents[name].reshape(-1, contents[name].shape[-1]) for name in names]
    whole = np.arange(math.prod(shape)).reshape(shape)
    places = np.concatenate([_cut(whole, name[0], contents[name].shape[:-1]) for name in names])
    owner = np.repeat(np.arange(len(names)), [len(row) for row in rows])
    words = np.concatenate(rows)
    # By words, and equal ones by place: then each group begins with its first key.
    order = np.lexsort((places, *words.T))
    words, places, owner = words[order], places[order], owner[order]
    new = np.ones(len(order), bool)
    new[1:] = (words[1:] != words[:-1]).any(axis=1)
    begin = np.flatnonzero(new)[np.cumsum(new) - 1]
    repeated = np.flatnonzero(places != places[begin])
    if not len(repeated):
        return None
    place = repeated[places[repeated].argmin()]
    pair = [(names[owner[i]], int(places[i])) for i in (begin[place], place)]
    return pair[0], pair[1], len(np.unique(places[repeated]))


def _begins(words: np.ndarray) -> np.ndarray:
    """Return the first two words of each key as one integer."""
    first, second = words[..., :2].reshape(-1, 2).T.astype(np.uint64)
    return first << np.uint64(32) | second


def _cut(whole: np.ndarray, start: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    pieces = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    return whole[pieces].ravel()


def _first_difference(
    copies: list[tuple[_Held, np.ndarray]],
) -> tuple[tuple[int, ...], str, list[str]]:
    """Return the first place at which copies of a part differ: there, on whom, from whom."""
    held, words = copies[0]
    unlike = [(other.device, (data != words).any(axis=-1)) for other, data in copies]
    local = min(tuple(map(int, np.argwhere(mask)[0])) for _, mask in unlike if mask.any())
    place = tuple(a + b for a, b in zip(held.start, local, strict=True))
    return place, held.device, [device for device, mask in unlike if mask[local]]


def _place(place: Sequence[Any]) -> str:
    return f"[{', '.join(map(str, place))}]"
