"""Small programs that use keys in every way there is, each beside a plain loop that does too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import keystream as ks

Use = tuple[str, tuple[int, ...], tuple[int, ...]]
"""What was done, with which words, and how much of it."""


class Oracle:
    """`jax.random`, one key at a time, which writes down what it is asked for."""

    def __init__(self) -> None:
        self.uses: Counter[Use] = Counter()

    def bits(self, key: Any, shape: tuple[int, ...] = (), times: int = 1) -> Any:
        self._add("bits", key, shape, times)
        return jax.random.bits(key, shape)

    def split(self, key: Any, num: int = 2) -> Any:
        self._add("split", key, (num,))
        return jax.random.split(key, num)

    def fold_in(self, key: Any, data: int) -> Any:
        self._add("fold_in", key, ())
        return jax.random.fold_in(key, data)

    def seed(self, seed: int, **impl: Any) -> Any:
        key = jax.random.key(seed, **impl)
        self._add("seed", key, ())
        return key

    def gamma(self, key: Any, shape: tuple[int, ...] = ()) -> None:
        self._add("gamma", key, shape)

    def block(self, key: Any) -> None:
        self._add("block", key, ())

    def _add(self, kind: str, key: Any, shape: tuple[int, ...], times: int = 1) -> None:
        words = np.asarray(jax.random.key_data(key)) if _is_typed(key) else np.asarray(key)
        self.uses[kind, tuple(words.tolist()), shape] += times


def _is_typed(key: Any) -> bool:
    return bool(jnp.issubdtype(key.dtype, jax.dtypes.prng_key))


def uses_of(records: Any) -> Counter[Use]:
    """Return what was recorded, key by key."""
    return Counter(
        (each.kind, tuple(words.tolist()), each.shape) for each in records for words in each.words
    )


KEY = jax.random.key(42, impl="threefry2x32")

Case = tuple[Callable[[Any], Any], Callable[[Any, Oracle], Any]]
CASES: dict[str, Case] = {}


def case(name: str, run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Add a program, beside the loop that is being defined."""

    def add(loop: Callable[[Any, Oracle], Any]) -> Any:
        CASES[name] = run, loop
        return loop

    return add


def _train(key: Any, steps: int = 3) -> Any:
    def step(key: Any, _: Any) -> Any:
        key, use = jax.random.split(key)
        return key, jax.random.normal(use, (2,))

    return lax.scan(step, key, length=steps)[1]


def _carried(key: Any, oracle: Oracle, steps: int = 3) -> None:
    for _ in range(steps):
        key, use = oracle.split(key)
        oracle.bits(use, (2,))


case("scan", _train)(_carried)
case("scan, jit", jax.jit(_train))(_carried)
case(
    "scan, unrolled",
    jax.jit(
        lambda key: lax.scan(
            lambda c, i: (c, jax.random.bits(jax.random.fold_in(key, i))),
            0,
            jnp.arange(5),
            unroll=2,
        )[1]
    ),
)(lambda key, oracle: [oracle.bits(oracle.fold_in(key, i)) for i in range(5)])


@case("eager", lambda key: (jax.random.bits(key, (3,)), jax.random.split(key, 4)))
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(key, (3,))
    oracle.split(key, 4)


@case("eager fold and normal", lambda key: jax.random.normal(jax.random.fold_in(key, 7), (2, 2)))
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(oracle.fold_in(key, 7), (2, 2))


@case("seed", lambda _: jax.random.bits(jax.random.key(9, impl="threefry2x32")))
def _(_: Any, oracle: Oracle) -> None:
    oracle.bits(oracle.seed(9, impl="threefry2x32"))


@case(
    "seed, jit",
    lambda _: jax.jit(lambda n: jax.random.bits(jax.random.key(n, impl="threefry2x32")))(9),
)
def _(_: Any, oracle: Oracle) -> None:
    oracle.bits(oracle.seed(9, impl="threefry2x32"))


@case(
    "legacy", lambda _: [jax.random.uniform(use) for use in jax.random.split(jax.random.PRNGKey(3))]
)
def _(_: Any, oracle: Oracle) -> None:
    for use in oracle.split(oracle.seed(3, impl="threefry2x32")):
        oracle.bits(use)


@case(
    "legacy, jit",
    lambda key: jax.jit(lambda words: jax.random.normal(jax.random.fold_in(words, 1), (2,)))(
        jax.random.key_data(key)
    ),
)
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(oracle.fold_in(key, 1), (2,))


@jax.jit
def _drop(key: Any) -> Any:
    return jax.random.bernoulli(key, 0.5, (3,))


@case("one function twice", jax.jit(lambda key: [_drop(key), _drop(jax.random.fold_in(key, 1))]))
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(key, (3,))
    oracle.bits(oracle.fold_in(key, 1), (3,))


@case(
    "a compiled step in a loop",
    lambda key: [_drop(jax.random.fold_in(key, i % 2)) for i in range(4)],
)
def _(key: Any, oracle: Oracle) -> None:
    for i in range(4):
        oracle.bits(oracle.fold_in(key, i % 2), (3,))


@case(
    "dead draws aren't drawn",
    jax.jit(lambda key: (jax.random.bits(key, (9,)), jax.random.bits(key))[1]),
)
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(key)


def _while(key: Any) -> Any:
    def more(state: Any) -> Any:
        i, _ = state
        return (jax.random.bits(jax.random.fold_in(key, i), (2,)).sum() != 5) & (i < 3)

    def body(state: Any) -> Any:
        i, total = state
        return i + 1, total + jax.random.bits(jax.random.fold_in(key, i + 100))

    return lax.while_loop(more, body, (0, jnp.uint32(0)))


@case("while", _while)
@case("while, jit", jax.jit(_while))
def _(key: Any, oracle: Oracle) -> None:
    for i in range(4):
        oracle.bits(oracle.fold_in(key, i), (2,))
    for i in range(3):
        oracle.bits(oracle.fold_in(key, i + 100))


@case(
    "fori",
    lambda key: jax.jit(
        lambda key, n: lax.fori_loop(
            0, n, lambda i, x: x ^ jax.random.bits(jax.random.fold_in(key, i)), jnp.uint32(0)
        )
    )(key, 3),
)
def _(key: Any, oracle: Oracle) -> None:
    for i in range(3):
        oracle.bits(oracle.fold_in(key, i))


def _cond(key: Any, which: Any) -> Any:
    return lax.cond(
        which, lambda k: jax.random.bits(k, (2,)), lambda k: jax.random.bits(k, (5,))[:2], key
    )


@case("cond", lambda key: [_cond(key, True), jax.jit(_cond)(key, False)])
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(key, (2,))
    oracle.bits(key, (5,))


@case(
    "switch in scan",
    jax.jit(
        lambda key: lax.scan(
            lambda c, i: (
                c,
                lax.switch(
                    i % 3,
                    [
                        jax.random.bits,
                        lambda k: jax.random.bits(k, (2,))[0],
                        lambda _: jnp.uint32(0),
                    ],
                    jax.random.fold_in(key, i),
                ),
            ),
            0,
            jnp.arange(4),
        )[1]
    ),
)
def _(key: Any, oracle: Oracle) -> None:
    for i in range(4):
        use = oracle.fold_in(key, i)
        if i % 3 < 2:
            oracle.bits(use, ((), (2,))[i % 3])


def _each(key: Any) -> Any:
    return jax.random.normal(jax.random.fold_in(key, 5), (2,))


@case("vmap", lambda key: jax.vmap(_each)(jax.random.split(key, 3)))
@case("vmap, jit", lambda key: jax.jit(jax.vmap(_each))(jax.random.split(key, 3)))
@case("vmap of vmap", lambda key: jax.vmap(jax.vmap(_each))(jax.random.split(key, 3)[None]))
def _(key: Any, oracle: Oracle) -> None:
    for use in oracle.split(key, 3):
        oracle.bits(oracle.fold_in(use, 5), (2,))


@case(
    "vmap over what is folded in",
    lambda key: jax.jit(jax.vmap(lambda i: jax.random.bits(jax.random.fold_in(key, i))))(
        jnp.arange(3)
    ),
)
def _(key: Any, oracle: Oracle) -> None:
    for i in range(3):
        oracle.bits(oracle.fold_in(key, i))


@case(
    "one key for all lanes",
    lambda key: jax.jit(jax.vmap(lambda x: x + jax.random.normal(key)))(jnp.arange(3.0)),
)
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(key)


def _loss(x: Any, key: Any) -> Any:
    return (x * jax.random.uniform(key, (3,))).sum() ** 2


@case("grad", lambda key: jax.grad(_loss)(0.5, key))
@case("grad, jit", lambda key: jax.jit(jax.grad(_loss))(0.5, key))
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(key, (3,))


@jax.custom_vjp
def _noisy(x: Any, key: Any) -> Any:
    return x * jax.random.uniform(key)


_noisy.defvjp(
    lambda x, key: (_noisy(x, key), jax.random.split(key)[1]),
    lambda use, g: (g * jax.random.uniform(use, (2,)).sum(), None),
)


@case("custom_vjp", lambda key: jax.jit(jax.grad(_noisy))(0.5, key))
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(oracle.split(key)[1], (2,))


@case("custom_vjp, forward", lambda key: jax.jit(jax.value_and_grad(_noisy))(0.5, key))
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(key)
    oracle.bits(oracle.split(key)[1], (2,))


@jax.custom_jvp
def _rough(x: Any, key: Any) -> Any:
    return x * jax.random.uniform(key)


_rough.defjvp(lambda xs, ts: (_rough(*xs), ts[0] * jax.random.uniform(xs[1], (4,)).sum()))


@case("custom_jvp", jax.jit(lambda key: jax.jvp(lambda x: _rough(x, key), (1.0,), (1.0,))))
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(key)
    oracle.bits(key, (4,))


@case("permutation", lambda key: jax.random.permutation(key, 5))
@case("permutation, jit", jax.jit(lambda key: jax.random.permutation(key, 5)))
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(oracle.split(key)[1], (5,))


@case("gamma", lambda key: jax.random.gamma(key, 2.0, (3,)))
@case("gamma, jit", jax.jit(lambda key: jax.random.gamma(key, 2.0, (3,))))
def _(key: Any, oracle: Oracle) -> None:
    oracle.gamma(key, (3,))


@case("helpers", lambda key: [ks.derive(key, "dropout"), ks.keys(key, 3)])
@case(
    "helpers, jit",
    jax.jit(lambda key: [ks.derive(key, "dropout"), ks.keys(key, 3)]),
)
def _(key: Any, oracle: Oracle) -> None:
    oracle.block(key)
    oracle.split(key, 3)


@case(
    "a helper's loop",
    lambda key: ks.scan(lambda key, _, __: (None, jax.random.bits(key)), None, length=3, key=key),
)
def _(key: Any, oracle: Oracle) -> None:
    for use in oracle.split(key, 3):
        oracle.bits(use)


def _without_jit(key: Any) -> Any:
    with jax.disable_jit():
        return _drop(key)


@case("disabled jit", _without_jit)
def _(key: Any, oracle: Oracle) -> None:
    oracle.bits(key, (3,))


IMPLS = ("threefry4x32", "philox4x32", "rbg", "unsafe_rbg")
