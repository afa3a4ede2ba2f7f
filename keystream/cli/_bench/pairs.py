"""List each helper beside the code that one would write by hand in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

import keystream as ks

N = 1000
normal, fold_in = jax.random.normal, jax.random.fold_in


class Pair(NamedTuple):
    """A helper, and the form written by hand; both take the same arguments."""

    name: str
    helper: Callable[..., Any]
    by_hand: Callable[..., Any]
    more: tuple[Any, ...] = ()
    """Arguments after the key."""


def _step(key: jax.Array, carry: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return carry + x * normal(key), carry


def _scan(key: jax.Array, xs: jax.Array) -> Any:
    keys = jax.random.split(key, len(xs))
    return lax.scan(lambda carry, item: _step(item[0], carry, item[1]), 0.0, (keys, xs))


def _scan_carried(key: jax.Array, xs: jax.Array) -> Any:
    def body(state: Any, x: jax.Array) -> Any:
        key, carry = state
        key, use = jax.random.split(key)
        carry, y = _step(use, carry, x)
        return (key, carry), y

    (key, carry), ys = lax.scan(body, (key, 0.0), xs)
    return key, carry, ys


def _while(key: jax.Array) -> Any:
    def turn(state: Any) -> Any:
        i, val = state
        return i + 1, val + jax.random.uniform(fold_in(key, i))

    return lax.while_loop(lambda state: state[1] < N, turn, (0, 0.0))[1]


def _stream(key: jax.Array) -> Any:
    def body(i: Any, _: None) -> Any:
        return i + 1, normal(fold_in(key, i))

    return lax.scan(body, jnp.uint32(0), None, length=N)[1]


def _ks_stream(key: jax.Array) -> Any:
    def body(stream: ks.Stream, _: None) -> Any:
        use, stream = stream.next()
        return stream, normal(use)

    return lax.scan(body, ks.Stream(key), None, length=N)[1]


def _mesh() -> jax.sharding.Mesh:
    axes = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((1,), ("data",), axes, devices=jax.devices()[:1])


def _ks_shard_map() -> Callable[[jax.Array], Any]:
    return ks.shard_map(
        lambda key: normal(key, (N,)),
        mesh=_mesh(),
        in_specs=(),
        out_specs=jax.P("data"),
        vary="data",
    )


def _shard_map(child: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], Any]:
    return jax.shard_map(
        lambda key: normal(child(key), (N,)),
        mesh=_mesh(),
        in_specs=jax.P(),
        out_specs=jax.P("data"),
    )


def _own_child(key: jax.Array) -> jax.Array:
    return fold_in(key, lax.axis_index("data"))


def pairs() -> tuple[Pair, ...]:
    """List the helpers with what they stand for."""
    xs = jnp.linspace(0.0, 1.0, N)
    ids = jnp.arange(N, dtype=jnp.uint32)
    tree = {"w": 0, "b": [0, 0]}
    place = jax.tree.structure(tree)
    return (
        Pair("split", lambda k: ks.split(k, 3), lambda k: tuple(jax.random.split(k, 3))),
        Pair("keys", lambda k: ks.keys(k, N), lambda k: jax.random.split(k, N)),
        Pair(
            "keys(start=)",
            lambda k: ks.keys(k, N, start=5),
            lambda k: jax.vmap(lambda i: fold_in(k, i))(jnp.arange(5, N + 5, dtype=jnp.uint32)),
        ),
        Pair("derive(position)", ks.derive, fold_in, (jnp.uint32(7),)),
        Pair("derive(ids)", ks.derive, jax.vmap(fold_in, (None, 0)), (ids,)),
        Pair("derive(name)", lambda k: ks.derive(k, "noise"), lambda k: fold_in(k, 1234)),
        Pair(
            "split_tree",
            lambda k: ks.split_tree(k, tree),
            lambda k: jax.tree.unflatten(place, tuple(jax.random.split(k, 3))),
        ),
        Pair("Stream.next in a scan", _ks_stream, _stream),
        Pair("scan", lambda k, xs: ks.scan(_step, 0.0, xs, key=k), _scan, (xs,)),
        Pair(
            "scan_carried",
            lambda k, xs: ks.scan_carried(_step, 0.0, xs, key=k),
            _scan_carried,
            (xs,),
        ),
        Pair(
            "fori_loop",
            lambda k: ks.fori_loop(0, N, lambda k, _, val: val + normal(k), 0.0, key=k),
            lambda k: lax.fori_loop(0, N, lambda i, val: val + normal(fold_in(k, i)), 0.0),
        ),
        Pair(
            "while_loop",
            lambda k: ks.while_loop(
                lambda val: val < N, lambda k, val: val + jax.random.uniform(k), 0.0, key=k
            ),
            _while,
        ),
        Pair(
            "map",
            lambda k, xs: ks.map(lambda k, x: x + normal(k), xs, key=k),
            lambda k, xs: lax.map(lambda kx: kx[1] + normal(kx[0]), (jax.random.split(k, N), xs)),
            (xs,),
        ),
        Pair(
            "map(batch_size=)",
            lambda k, xs: ks.map(lambda k, x: x + normal(k), xs, key=k, batch_size=100),
            lambda k, xs: lax.map(
                lambda kx: kx[1] + normal(kx[0]), (jax.random.split(k, N), xs), batch_size=100
            ),
            (xs,),
        ),
        Pair(
            "vmap",
            ks.vmap(lambda k, x: x + normal(k)),
            lambda k, xs: jax.vmap(lambda k, x: x + normal(k))(jax.random.split(k, N), xs),
            (xs,),
        ),
        Pair(
            "batched",
            lambda k: ks.batched(normal)(jax.random.split(k, N)),
            lambda k: jax.vmap(normal)(jax.random.split(k, N)),
        ),
        Pair(
            "sample",
            lambda k: ks.sample(normal, k, N),
            lambda k: jax.vmap(normal)(jax.random.split(k, N)),
        ),
        Pair(
            "sample(batch_size=)",
            lambda k: ks.sample(normal, k, N, batch_size=100),
            lambda k: lax.map(normal, jax.random.split(k, N), batch_size=100),
        ),
        Pair(
            "window",
            lambda k: normal(ks.window(k, (4, N), (0, 0)), (1, N)),
            lambda k: normal(k, (1, N)),
        ),
        Pair("shard_map", _ks_shard_map(), _shard_map(_own_child)),
        Pair("for_axis", _shard_map(lambda k: ks.for_axis(k, "data")), _shard_map(_own_child)),
    )


def _scan_step(carry: jax.Array, item: Any) -> tuple[jax.Array, jax.Array]:
    return _step(item[0], carry, item[1])


def _carried_step(state: Any, x: jax.Array) -> Any:
    key, carry = state
    key, use = jax.random.split(key)
    carry, y = _step(use, carry, x)
    return (key, carry), y


def _counted_turn(i: Any, state: Any) -> Any:
    key, val = state
    return key, val + normal(fold_in(key, i))


def _asked_turn(state: Any) -> Any:
    key, i, val = state
    return key, i + 1, val + jax.random.uniform(fold_in(key, i))


def _below(state: Any) -> Any:
    return state[2] < N


def _item(item: Any) -> Any:
    return item[1] + normal(item[0])


STABLE: dict[str, Callable[..., Any]] = {
    "scan": lambda k, xs: lax.scan(_scan_step, 0.0, (jax.random.split(k, N), xs)),
    "scan_carried": lambda k, xs: lax.scan(_carried_step, (k, 0.0), xs),
    "fori_loop": lambda k: lax.fori_loop(0, N, _counted_turn, (k, 0.0))[1],
    "while_loop": lambda k: lax.while_loop(_below, _asked_turn, (k, 0, 0.0))[2],
    "map": lambda k, xs: lax.map(_item, (jax.random.split(k, N), xs)),
    "map(batch_size=)": lambda k, xs: lax.map(_item, (jax.random.split(k, N), xs), batch_size=100),
}
"""The loops by hand of functions that close over nothing and stay what they are: JAX compiles
an eager loop anew for each new function."""


def eager_pairs() -> tuple[Pair, ...]:
    """List the pairs that an eager program calls, again and again."""
    inside = ("Stream.next in a scan", "for_axis")
    return tuple(
        pair._replace(by_hand=STABLE.get(pair.name, pair.by_hand))
        for pair in pairs()
        if pair.name not in inside
    )
