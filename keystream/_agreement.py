"""Do keys on several devices differ, or agree, as they should?"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import jax
import numpy as np

from keystream import _check_key
from keystream._errors import (
    KeysDifferError,
    KeysEqualError,
    Words,
    error,
)
from keystream._processes import exchange, seconds


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
        Exact. Waits for the keys and copies their words to the host.

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
    copies = _copies("check_distinct", keys, "keys", timeout)
    seen: dict[str, tuple[tuple[int, ...], str]] = {}
    repeated: list[str] = []
    for place in sorted(copies):
        for words, device in copies[place]:
            first, where = seen.setdefault(words, (place, device))
            if first != place:
                repeated.append(
                    f"equal keys at {_place(first)} on {where} and {_place(place)} on {device}"
                )
                break
    if repeated:
        more = f", {len(repeated)} repeats in all" if len(repeated) > 1 else ""
        cure = "For one key per shard: ks.shard_keys(key, mesh, spec)."
        got = Words(repeated[0] + more)
        raise error(KeysEqualError, "check_distinct", "keys", "distinct", got, cure)


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
        Exact. Waits for the keys and copies their words to the host. A key on a single
        device passes.

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
    copies = _copies("check_replicated", key, "key", timeout)
    for place in sorted(copies):
        words, where = copies[place][0]
        others = [device for other, device in copies[place] if other != words]
        if others:
            at = f" at {_place(place)}" if place else ""
            got = Words(f"a key{at} on {where} that differs from {', '.join(others)}")
            cure = (
                "To make it so: jax.device_put(jax.device_put(key, jax.devices()[0]), "
                "jax.sharding.NamedSharding(mesh, jax.P()))."
            )
            if jax.process_count() > 1:
                cure = "To start all processes from one: ks.key(ks.agree_on_seed(seed))."
            raise error(
                KeysDifferError, "check_replicated", "key", "the same everywhere", got, cure
            )


def _copies(
    function: str, keys: Any, argument: str, timeout: Any
) -> dict[tuple[int, ...], list[tuple[str, str]]]:
    """Return, by place, the words that each device holds there."""
    _check_key.key_array(function, keys, argument=argument)
    limit = seconds(function, timeout)
    cure = f"Outside of jit: ks.{function}({argument})."
    words = _check_key.concrete_words(function, keys, cure, argument)
    held = [record for shard in words.addressable_shards for record in _records(shard)]
    if not words.is_fully_addressable:
        texts = exchange(function, argument, json.dumps(held).encode(), limit)
        held = [record for text in texts for record in json.loads(text)]
    found: dict[tuple[int, ...], list[tuple[str, str]]] = defaultdict(list)
    for place, content, device in held:
        found[tuple(place)].append((content, device))
    return found


def _records(shard: Any) -> list[tuple[tuple[int, ...], str, str]]:
    first = [piece.start or 0 for piece in shard.index[:-1]]
    data = np.asarray(shard.data)
    return [
        (
            tuple(a + b for a, b in zip(first, local, strict=True)),
            data[local].tobytes().hex(),
            str(shard.device),
        )
        for local in np.ndindex(data.shape[:-1])
    ]


def _place(place: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, place))}]"
