"""What drawn numbers meet: which shards and lanes are to share them, and which aren't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from jax import lax, random

import keystream as ks

pytestmark = pytest.mark.fast

P = jax.P
KEY = ks.key(0)
W, X = jnp.ones((2, 3)), jnp.ones((16, 2))
ERROR, NOTHING = {("KS12", "error")}, set[tuple[str, str]]()


def rules(fun: Callable[..., Any], *args: Any) -> set[tuple[str, str]]:
    found = ks.audit(fun, *args).findings
    return {(each.rule, each.severity) for each in found if each.severity != "note"}


class Shard(NamedTuple):
    """What a shard is given: the weights of all, and rows of its own."""

    w: jax.Array
    x: jax.Array


def sharded(body: Callable[[Shard], Any], out: Any, **options: Any) -> Callable[..., Any]:
    """Map a function of what a shard is given; the key that it draws from is outside."""
    mesh = jax.make_mesh((8,), ("data",), (jax.sharding.AxisType.Auto,))
    specs = {"in_specs": (P(), P("data")), "out_specs": out}
    return jax.shard_map(lambda w, x: body(Shard(w, x)), mesh=mesh, **specs, **options)


def normal(*shape: int) -> jax.Array:
    """Draw from the key that every shard has."""
    return random.normal(KEY, shape)


def loss(w: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.tanh(x @ w).sum()


def mean_gradient(w: jax.Array, x: jax.Array) -> jax.Array:
    return lax.pmean(jax.grad(loss)(w, x), "data")


def steps(start: jax.Array, step: Callable[[jax.Array], jax.Array]) -> jax.Array:
    return lax.scan(lambda carry, _: (step(carry), None), start, length=3)[0]


def _projection(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    w = normal(2, 3)
    return x @ w, w


@pytest.mark.parametrize("check_vma", [True, False])
@pytest.mark.parametrize(
    ("body", "out", "found"),
    [
        # What all shards hold alike.
        (lambda s: s.w - mean_gradient(s.w, s.x) + normal(2, 3), P(), NOTHING),
        (lambda s: s.w - jax.jit(jnp.add)(mean_gradient(s.w, s.x), normal(2, 3)), P(), NOTHING),
        (lambda s: jnp.floor(mean_gradient(s.w, s.x) + normal(2, 3)), P(), NOTHING),
        (lambda s: lax.pmean(loss(s.w * normal(2, 3), s.x), "data"), P(), NOTHING),
        (lambda s: lax.pmean(loss(s.w + normal(2, 1), s.x), "data"), P(), NOTHING),
        (lambda s: lax.pmean(jax.grad(loss)(s.w * normal(2, 3), s.x), "data"), P(), NOTHING),
        (lambda s: _projection(s.x), (P("data"), P()), NOTHING),
        # Numbers that all rows share.
        (lambda s: s.x * normal(), P("data"), NOTHING),
        (lambda s: s.x * normal(2), P("data"), NOTHING),
        (lambda s: jnp.where(normal() > 0, s.x, -s.x), P("data"), NOTHING),
        (lambda s: lax.cond(normal() > 0, jnp.sin, jnp.cos, s.x), P("data"), NOTHING),
        (lambda s: lax.dynamic_slice(s.x, (0, random.randint(KEY, (), 0, 2)), (2, 1)),
         P("data"), NOTHING),
        # A part of its own for each.
        (lambda s: s.x + normal(8, 2, 2)[lax.axis_index("data")], P("data"), NOTHING),
        # What differs.
        (lambda s: s.x + normal(2, 2), P("data"), ERROR),
        (lambda s: s.x + s.w[0, :2] * normal(2, 2), P("data"), ERROR),
        (lambda s: jax.jit(jnp.add)(s.x, normal(2, 2)), P("data"), ERROR),
        (lambda s: jax.checkpoint(jnp.add)(s.x, normal(2, 2)), P("data"), ERROR),
        (lambda s: s.x * normal(2, 1), P("data"), ERROR),
        (lambda s: s.x.sum() * normal(2, 3), P("data"), ERROR),
        (lambda s: jnp.vdot(s.x, normal(2, 2))[None], P("data"), ERROR),
        (lambda s: jnp.where(normal(2, 2) > 0, s.x, -s.x), P("data"), ERROR),
        (lambda s: s.x[random.randint(KEY, (2,), 0, 2)], P("data"), ERROR),
        (lambda s: random.bernoulli(KEY, jnp.abs(s.x) / 9), P("data"), ERROR),
        (lambda s: random.permutation(KEY, s.x), P("data"), ERROR),
        (lambda s: jnp.concatenate([s.x, normal(3, 2)]), P("data"), ERROR),
        (lambda s: steps(s.x, lambda x: x + normal(2, 2)), P("data"),
         {*ERROR, ("KS07", "error")}),
        (lambda s: jax.vmap(lambda key, x: x + random.normal(key))(random.split(KEY, 2), s.x),
         P("data"), ERROR),
        (lambda s: lax.pmean(jax.grad(lambda w: (s.x @ w * normal(2, 3)).sum())(s.w), "data"),
         P(), ERROR),
        # What is put together.
        (lambda _: normal(2, 3), P("data"), ERROR),
        (lambda s: s.w + normal(2, 3), P("data"), ERROR),
        (lambda s: jnp.tanh(normal(2, 2) @ s.w), P("data"), ERROR),
        (lambda _: jnp.broadcast_to(normal(), (2,)), P("data"), ERROR),
    ],
)  # fmt: skip
def test_shards(
    body: Callable[..., Any], out: Any, found: set[tuple[str, str]], check_vma: bool
) -> None:
    """Draws that all shards share are wrong where they meet, row by row, what differs."""
    assert rules(sharded(body, out, check_vma=check_vma), W, X) == found


def _printed(x: jax.Array) -> jax.Array:
    noise = normal(2, 2)
    jax.debug.print("{}", noise)
    return x + noise


def test_what_is_only_looked_at() -> None:
    """Numbers that are printed as well, which has no result, are followed all the same."""
    assert rules(sharded(lambda s: _printed(s.x), P("data"), check_vma=False), W, X) == ERROR
    assert rules(jax.vmap(lambda x: _printed(x)[0]), X) == {("KS11", "warning")}


def test_a_gathering() -> None:
    """Equal draws that are gathered stand beside each other."""
    gather = sharded(lambda _: lax.all_gather(normal(3), "data"), P(), check_vma=False)
    assert rules(gather, W, X) == ERROR


def test_one_row_for_each_shard() -> None:
    """With one row for each shard, one number for all rows is one for each."""
    fun = sharded(lambda s: s.x * normal(2), P("data"))
    assert rules(fun, W, X[:8]) == ERROR
    assert rules(fun, W, X) == NOTHING


def test_each_axis_by_itself() -> None:
    """Noise on weights that are split over one of two axes has to differ over that one alone."""
    mesh = jax.make_mesh((4, 2), ("data", "model"), (jax.sharding.AxisType.Auto,) * 2)

    def step(key: jax.Array, w: jax.Array, x: jax.Array) -> jax.Array:
        grad = lax.pmean(x.sum() * w, "data")
        return w - grad + random.normal(key, w.shape)

    def own(key: jax.Array, w: jax.Array, x: jax.Array) -> jax.Array:
        return step(ks.for_axis(key, "model"), w, x)

    specs = {"in_specs": (P(), P(None, "model"), P("data")), "out_specs": P(None, "model")}
    [finding] = ks.audit(jax.shard_map(step, mesh=mesh, **specs), KEY, jnp.ones((2, 4)), X).findings
    assert finding.message == "all shards over the mesh axis 'model' draw the same numbers"
    assert rules(jax.shard_map(own, mesh=mesh, **specs), KEY, jnp.ones((2, 4)), X) == NOTHING


def test_pmap() -> None:
    """A pmap returns all for each device: weights are no finding, or a warning once they change."""
    axes = {"in_axes": (None, 0), "axis_name": "data"}
    x = X.reshape(8, 2, 2)
    assert rules(jax.pmap(lambda w, x: (x @ w, normal(2, 3)), **axes), W, x) == NOTHING
    changed = jax.pmap(lambda w, x: w - mean_gradient(w, x) + normal(2, 3), **axes)
    assert rules(changed, W, x) == {("KS12", "warning")}
    assert rules(jax.pmap(lambda w, x: x + w[:, :2] * normal(2, 2), **axes), W, x) == ERROR
    assert rules(jax.pmap(lambda w, _: w[0, 0] * normal(2, 2), **axes), W, x) == ERROR


def test_the_help_names_both_ways() -> None:
    """The help says what to write where shards are to differ, and where they are not."""
    report = str(ks.audit(sharded(lambda s: s.x + normal(2, 2), P("data")), W, X))
    assert 'vary="data"' in report
    assert "vary=()" in report


# --- lanes ------------------------------------------------------------------------------------

SHARED = {("KS11", "warning")}


def _plain(x: jax.Array) -> jax.Array:
    return jnp.tanh(x + normal(2))


def _hidden(x: jax.Array) -> jax.Array:
    h = jnp.tanh(x @ W)
    return jnp.tanh(h * random.bernoulli(KEY, 0.5, h.shape))


def _projected(x: jax.Array) -> jax.Array:
    return jnp.tanh(x @ normal(2, 3))


def _walked(x: jax.Array) -> jax.Array:
    keys = random.split(KEY, 3)
    return lax.scan(lambda h, key: (h + random.normal(key, h.shape), None), x, keys)[0]


def _hutchinson(fun: Callable[..., Any], x: jax.Array, vs: jax.Array) -> jax.Array:
    grad = jax.grad(lambda x: fun(x).sum())
    return jax.vmap(lambda v: v @ jax.jvp(grad, (x,), (v,))[1])(vs)


def _gauss_newton(fun: Callable[..., Any], x: jax.Array, vs: jax.Array) -> jax.Array:
    out, push = jax.linearize(fun, x)
    pull = jax.linear_transpose(push, x)
    return jax.vmap(lambda v: pull(push(v))[0])(vs) + out.sum()


@pytest.mark.parametrize("around", [lambda fun: fun, jax.jit])
@pytest.mark.parametrize("fun", [_plain, _hidden, _projected, _walked])
def test_lanes_of_tangents(fun: Callable[..., Any], around: Callable[..., Any]) -> None:
    """Where lanes are tangents of one value they share its noise; examples don't."""
    wrapped, x, rows = around(fun), X[0], X[:5]

    def total(x: jax.Array) -> jax.Array:
        return wrapped(x).sum()

    assert rules(jax.jacfwd(wrapped), x) == NOTHING
    assert rules(jax.jacrev(wrapped), x) == NOTHING
    assert rules(jax.hessian(total), x) == NOTHING
    assert rules(lambda x, vs: _hutchinson(wrapped, x, vs), x, rows) == NOTHING
    assert rules(lambda x, vs: _gauss_newton(wrapped, x, vs), x, rows) == NOTHING
    assert rules(jax.vmap(wrapped), rows) == SHARED
    assert rules(jax.vmap(jax.grad(total)), rows) == SHARED
    assert rules(jax.vmap(jax.jacfwd(wrapped)), rows) == SHARED
    pairs = jax.vmap(lambda x, v: jax.jvp(wrapped, (x,), (v,))[1])
    assert rules(pairs, rows, rows) == SHARED


def test_lanes_with_keys_of_their_own() -> None:
    """Examples with a key each may have a Jacobian each."""

    def jacobian(key: jax.Array, x: jax.Array) -> jax.Array:
        return jax.jacfwd(lambda x: jnp.tanh(x + random.normal(key, x.shape)))(x)

    assert rules(jax.vmap(jacobian), random.split(KEY, 5), X[:5]) == NOTHING
