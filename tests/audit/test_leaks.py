"""A function that keeps traced values is refused, and nothing else is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import keystream as ks

pytestmark = pytest.mark.fast

KEY = jax.random.key(0)


class Layer:
    """Eager code that keeps state."""

    last: Any = None

    def __init__(self) -> None:
        self.key, self.memo, self.seen = KEY, dict[str, Any](), list[Any]()

    def step(self, x: jax.Array) -> jax.Array:
        self.key, use = jax.random.split(self.key)
        return x + jax.random.normal(use, x.shape)

    def memoize(self, x: jax.Array) -> jax.Array:
        if "noise" not in self.memo:
            self.memo["noise"] = jax.random.normal(KEY, x.shape)
        return x + self.memo["noise"]

    def append(self, x: jax.Array) -> jax.Array:
        self.seen.append((x, jax.random.normal(KEY)))
        return x

    def in_class(self, x: jax.Array) -> jax.Array:
        type(self).last = x
        return x


memo: dict[Any, Any] = {}


@functools.cache
def cached(number: int) -> jax.Array:
    return jax.random.normal(jax.random.fold_in(KEY, number))


def in_global(x: jax.Array) -> jax.Array:
    memo[len(x)] = x + jax.random.normal(KEY)
    return x


def in_default(x: jax.Array, into: list[Any] = []) -> jax.Array:  # noqa: B006 - that is the case
    into.append(x)
    return x


def in_nonlocal() -> Callable[[jax.Array], jax.Array]:
    last = None

    def fun(x: jax.Array) -> jax.Array:
        nonlocal last
        last = x if last is None else last
        return x

    return fun


def in_gradient(layer: Layer, x: jax.Array) -> Any:
    return jax.grad(lambda x: layer.append(x).sum())(x)


def in_lanes(layer: Layer, x: jax.Array) -> Any:
    return jax.vmap(layer.append)(x)


KEEPING: dict[str, tuple[Callable[[], Callable[..., Any]], str]] = {
    "an attribute": (lambda: Layer().step, "Layer.key"),
    "a dict": (lambda: Layer().memoize, "Layer.memo"),
    "a list": (lambda: Layer().append, "Layer.seen"),
    "a class": (lambda: Layer().in_class, "Layer.last"),
    "a global": (lambda: in_global, "memo"),
    "a cache": (lambda: lambda x: x + cached(1), "cached"),
    "a default": (lambda: in_default, ""),
    "a closure": (in_nonlocal, "last"),
    "a partial function": (lambda: functools.partial(Layer.step, Layer()), "Layer.key"),
    "a gradient": (lambda: functools.partial(in_gradient, Layer()), "Layer.seen"),
    "lanes": (lambda: functools.partial(in_lanes, Layer()), "Layer.seen"),
}


@pytest.mark.parametrize("kept", KEEPING)
def test_kept_values_are_refused(kept: str) -> None:
    """Whatever keeps a traced value is named, and the cure runs on what is made anew."""
    make, name = KEEPING[kept]
    try:
        with pytest.raises(ks.ArgumentTypeError, match=r"run=True") as raised:
            ks.audit(make(), jnp.ones(4))
        assert f"kept a traced value in {name}" in str(raised.value)
    finally:
        memo.clear()
        cached.cache_clear()
    assert ks.audit(make(), jnp.ones(4), run=True).unseen == ()


def test_kept_without_arguments() -> None:
    """A function without arguments is watched too."""
    layer = Layer()
    with pytest.raises(ks.ArgumentTypeError, match=r"Layer\.key"):
        ks.audit(lambda: layer.step(jnp.ones(3)))


def closes_over(key: jax.Array) -> jax.Array:
    """Have rules of derivatives that hold a traced key for later."""

    @jax.custom_jvp
    def scale(x: jax.Array) -> jax.Array:
        return x * jax.random.normal(key)

    scale.defjvp(lambda primals, tangents: (scale(*primals), tangents[0]))
    return scale(jnp.ones(()))


@functools.lru_cache
def wrapped(fun: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(fun)


def cached_by_function(key: jax.Array) -> jax.Array:
    """Have a function that holds a traced key as the key of a cache, as libraries do."""
    return wrapped(lambda x: x + jax.random.normal(key))(1.0)


def keeps_constants(key: jax.Array) -> jax.Array:
    """Keep what isn't traced."""
    memo["ones"] = jnp.shape(jax.random.key_data(key))
    return jax.random.normal(key)


@pytest.mark.parametrize("fun", [closes_over, cached_by_function, keeps_constants, jax.random.t])
def test_others_are_not(fun: Callable[..., Any]) -> None:
    """What nobody will ask for again isn't kept."""
    args = (KEY, 2.0) if fun is jax.random.t else (KEY,)
    assert ks.audit(fun, *args).ok
