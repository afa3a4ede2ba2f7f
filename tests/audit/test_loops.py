"""Loops are looked at as they are written, wherever differentiation moves what is in them."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax, random

import keystream as ks
from keystream import _compat

KEY = ks.key(0)
X = jnp.ones(4)


def loss(weights: jax.Array, key: jax.Array) -> jax.Array:
    def layer(state: jax.Array, _: None) -> tuple[jax.Array, None]:
        return jnp.tanh(state * random.bernoulli(key, 0.5, state.shape) * weights), None

    return lax.scan(layer, X, length=3)[0].sum()


def rules(report: ks.Report) -> list[tuple[str, str]]:
    return [(found.rule, found.severity) for found in report.findings]


FORMS: dict[str, Callable[..., Any]] = {
    "as it is": loss,
    "jvp": lambda w, k: jax.jvp(lambda w: loss(w, k), (w,), (w,)),
    "grad": jax.grad(loss),
    "jit of value_and_grad": jax.jit(jax.value_and_grad(loss)),
    "grad of jit": jax.grad(jax.jit(loss)),
    "vmap of grad": lambda w, k: jax.vmap(jax.grad(loss), (0, None))(jnp.stack([w, w]), k),
    "hvp": lambda w, k: jax.jvp(jax.grad(functools.partial(loss, key=k)), (w,), (w,)),
    "grad of checkpoint": jax.grad(jax.checkpoint(loss)),
    "grad in a scan": lambda w, keys: lax.scan(
        lambda w, key: (w - jax.grad(loss)(w, key), None), w, keys
    )[0],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_transform(form: str) -> None:
    """One key for all layers is found under every transform, at the line that draws."""
    key = random.split(KEY, 2) if form == "grad in a scan" else KEY
    report = ks.audit(FORMS[form], X, key)
    assert rules(report) == [("KS07", "error")]
    assert "bernoulli(key" in report.findings[0].places[0].text


@pytest.mark.parametrize("form", FORMS)
def test_every_transform_compiled(form: str) -> None:
    """A run of what is compiled finds it as well: what was moved out of the loop says so."""
    key = random.split(KEY, 2) if form == "grad in a scan" else KEY
    report = ks.audit(jax.jit(FORMS[form]), X, key, run=True)
    assert rules(report) == [("KS07", "error")]
    assert "bernoulli(key" in report.findings[0].places[0].text


def test_what_was_traced_before() -> None:
    """A step that ran before it is audited is traced once more, and found; it runs as before."""
    step = jax.jit(jax.grad(loss))
    before = step(X, KEY)
    for _ in range(2):
        assert rules(ks.audit(step, X, KEY)) == [("KS07", "error")]
    assert (step(X, KEY) == before).all()


def test_leaves_no_mark() -> None:
    """What is traced after an audit has no names of ours."""
    step = jax.jit(jax.grad(loss))
    ks.audit(step, X, KEY)
    ks.audit(step, X, KEY, run=True)
    text = step.lower(X, KEY).as_text(debug_info=True)
    assert "keystream: " not in text
    assert _compat.__file__ not in text


def test_moved_out_of_the_right_loop() -> None:
    """What is moved out of an inner loop may differ between the steps of the outer one."""

    def layers(weights: jax.Array, keys: jax.Array) -> jax.Array:
        def outer(state: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
            noise = random.normal(key, state.shape)
            inner = lambda state, _: (jnp.tanh(state * weights * noise), None)
            return lax.scan(inner, state, length=2)[0], None

        return lax.scan(outer, X, keys)[0].sum()

    for fun in (jax.grad(layers), jax.jit(jax.grad(layers)), jax.jacfwd(jax.grad(layers))):
        assert ks.audit(fun, X, random.split(KEY, 3)).ok
        assert not rules(ks.audit(fun, X, random.split(KEY, 3), run=True))


def test_replays_are_counted_once() -> None:
    """The counts of a checkpointed function under a gradient are those of its forward pass."""
    plain = lambda w, key: (w * random.normal(key, w.shape)).sum()
    for fun in (jax.grad(plain), jax.grad(jax.checkpoint(plain))):
        report = ks.audit(fun, X, KEY)
        assert not report.findings
        assert [(count.draws, count.bits) for count in report.counts] == [(1, 128)]


def test_versions_that_do_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where JAX's equations don't tell where they were written, the report says so."""
    monkeypatch.setattr(_compat, "tells_loops", lambda: False)
    assert any("KS07" in what for what in ks.audit(loss, X, KEY).unseen)


def test_keeps_nothing_alive() -> None:
    """What a loop closes over is freed after the audit."""

    class Weights:
        value = X

    def audited() -> weakref.ref[Weights]:
        weights = Weights()

        def step(key: jax.Array) -> jax.Array:
            body = lambda state, _: (state * weights.value * random.normal(key), None)
            return lax.scan(body, X, length=2)[0]

        assert not ks.audit(step, KEY).ok
        return weakref.ref(weights)

    held = audited()
    jax.clear_caches()
    gc.collect()
    assert held() is None


@pytest.mark.parametrize("run", [False, True])
def test_replays_of_any_order(run: bool) -> None:
    """What a checkpoint draws again is no reuse in derivatives of derivatives either."""

    def layer(state: jax.Array, weights: jax.Array, key: jax.Array) -> jax.Array:
        return jnp.tanh(state * weights * random.normal(key, state.shape))

    def network(weights: jax.Array, key: jax.Array) -> jax.Array:
        step = jax.checkpoint(lambda state, key: (layer(state, weights, key), None))
        return lax.scan(step, X, random.split(key, 2))[0].sum()

    for fun in (network, jax.checkpoint(network)):
        slope = lambda w, key, fun=fun: jax.grad(fun)(w, key).sum()
        third = jax.grad(lambda w, key, slope=slope: jax.grad(slope)(w, key).sum())
        for derived in (slope, jax.grad(slope), jax.jit(jax.grad(slope)), third):
            assert not rules(ks.audit(derived, X, KEY, run=run))
