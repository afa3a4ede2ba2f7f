"""Measure what recording costs: a training step, and single draws, beside the same unrecorded.

    python docs/measure_recording.py             print ratios, each with its spread
    python docs/measure_recording.py --rounds 5  a quicker look

Rounds with and without recording alternate, so that both meet the same noise; what is printed
is the median of their ratios.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import keystream as ks
from keystream._audit.recording.record import record_uses

SIZES = (64, 256, 256, 256, 10)
BATCH = 128


def main(arguments: list[str] | None = None) -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--steps", type=int, default=50, help="calls in each round")
    options = parser.parse_args(arguments)
    for name, make in CASES.items():
        call = make()
        first, count = _first(call)
        ratios, plain = _ratios(call, options.rounds, options.steps)
        print(
            f"{name:34} {count:4} records  {plain * 1e6:9.0f} us plain  "
            f"ratio: median {statistics.median(ratios):.2f}, "
            f"from {min(ratios):.2f} to {max(ratios):.2f}  (compiled in {first:.2f} s)"
        )


def _first(call: Callable[[int], Any]) -> tuple[float, int]:
    jax.block_until_ready(call(0))
    with record_uses() as recording:
        start = time.perf_counter()
        jax.block_until_ready(call(0))
        first = time.perf_counter() - start
        before = len(recording.records)
        jax.block_until_ready(call(1))
    return first, len(recording.records) - before


def _ratios(call: Callable[[int], Any], rounds: int, steps: int) -> tuple[list[float], float]:
    ratios, plain = [], []
    for _ in range(rounds):
        plain.append(_time(call, steps))
        with record_uses():
            ratios.append(_time(call, steps) / plain[-1])
    return ratios, statistics.median(plain)


def _time(call: Callable[[int], Any], steps: int) -> float:
    start = time.perf_counter()
    for step in range(steps):
        made = call(step)
    jax.block_until_ready(made)
    return (time.perf_counter() - start) / steps


def training(batch: int = BATCH, sizes: tuple[int, ...] = SIZES) -> Callable[[int], Any]:
    """Return one step of a network with dropout behind each hidden layer."""
    key = ks.key(0)
    sizes_of = list(itertools.pairwise(sizes))
    weights = [
        jax.random.normal(ks.derive(key, "weights", i), shape) / shape[0] ** 0.5
        for i, shape in enumerate(sizes_of)
    ]
    x = jax.random.normal(ks.derive(key, "x"), (batch, sizes[0]))
    y = jax.random.normal(ks.derive(key, "y"), (batch, sizes[-1]))

    def loss(weights: Any, key: Any) -> Any:
        hidden = x
        keys = jax.random.split(key, len(weights) - 1)
        for i, weight in enumerate(weights[:-1]):
            hidden = jax.nn.relu(hidden @ weight)
            hidden = jnp.where(jax.random.bernoulli(keys[i], 0.9, hidden.shape), hidden, 0.0)
        return ((hidden @ weights[-1] - y) ** 2).mean()

    @jax.jit
    def step(weights: Any, key: Any, number: Any) -> Any:
        slopes = jax.grad(loss)(weights, jax.random.fold_in(key, number))
        return jax.tree.map(lambda weight, slope: weight - 0.01 * slope, weights, slopes)

    state = [weights]

    def call(number: int) -> Any:
        state[0] = step(state[0], key, number)
        return state[0]

    return call


def eager() -> Callable[[int], Any]:
    """Return a draw that isn't inside any program of the user."""
    key = ks.key(0)
    return lambda _: jax.random.normal(key, (16,))


def loop() -> Callable[[int], Any]:
    """Return a scan that does nothing but draw."""
    key = ks.key(0)

    @jax.jit
    def scanned(key: Any) -> Any:
        def step(total: Any, number: Any) -> Any:
            return total + jax.random.uniform(jax.random.fold_in(key, number)), None

        return jax.lax.scan(step, 0.0, jnp.arange(100))[0]

    return lambda _: scanned(key)


CASES: dict[str, Callable[[], Callable[[int], Any]]] = {
    "a training step": training,
    "a training step, a tiny network": lambda: training(16, (16, 32, 32, 32, 4)),
    "an eager draw": eager,
    "a scan of 100 draws": loop,
}


if __name__ == "__main__":
    main()
