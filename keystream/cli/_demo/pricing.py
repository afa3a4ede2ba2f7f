"""Price a European call by simulated paths, each with the key at its own position.

Under Black and Scholes the price is known exactly, so that an error bar can be held against it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

import keystream as ks
from keystream.cli._demo.options import MOST_DEVICES

PATHS = 4096
"""Paths in one experiment, and in one batch of a simulation that is resumed."""

SPOT, STRIKE, RATE, VOLATILITY, YEARS = 100.0, 100.0, 0.05, 0.2, 1.0
SPREAD = VOLATILITY * math.sqrt(YEARS)
DISCOUNT = math.exp(-RATE * YEARS)
LEVEL = 0.95
NORMAL = NormalDist()
WIDTH = NORMAL.inv_cdf((1 + LEVEL) / 2)
"""Standard errors on each side of an estimate in its interval."""


def simulate_devices(count: int = MOST_DEVICES) -> None:
    """Let the CPU count as several devices, wherever this runs; before JAX starts a backend."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", count)


def exact_price() -> float:
    """Return the price by the formula of Black and Scholes (1973)."""
    ahead = (math.log(SPOT / STRIKE) + RATE * YEARS) / SPREAD + SPREAD / 2
    return SPOT * NORMAL.cdf(ahead) - STRIKE * DISCOUNT * NORMAL.cdf(ahead - SPREAD)


def path(key: jax.Array, spot: jax.Array | float = SPOT) -> tuple[jax.Array, jax.Array]:
    """Return what the call pays at the end of one path, discounted, and the key that was used."""
    drift = RATE * YEARS - SPREAD**2 / 2
    end = spot * jnp.exp(drift + SPREAD * jax.random.normal(key))
    return DISCOUNT * jnp.maximum(end - STRIKE, 0), jax.random.key_data(key)


class Drawn(NamedTuple):
    """What the devices drew."""

    payoffs: Any
    """(paths,), over the devices."""
    words: Any
    """(paths, 2) uint32: the key that each path really used."""
    sums: Any
    """(2,): of the payoffs, and of their squares."""


Program = Callable[[jax.Array, int], Drawn]
"""`program(key, start)` draws paths, the first of them at position `start`."""


def make_mesh(devices: int) -> jax.sharding.Mesh:
    """Return a mesh of the first devices, along which paths are laid out."""
    return jax.make_mesh((devices,), ("paths",), devices=jax.devices()[:devices])


def compile_right(devices: int, paths: int = PATHS) -> Program:
    """Compile the simulation: path i gets child i of the key, whichever device it is on."""
    over = NamedSharding(make_mesh(devices), jax.P("paths"))

    def draw(key: jax.Array, start: int) -> Drawn:
        return add_sums(*ks.sample(path, key, paths, start=start, out_sharding=over))

    return compile_over(over, draw)


def compile_mistaken(devices: int) -> Program:
    """Compile the mistake: the key is replicated, and each device counts its paths from 0."""
    over = NamedSharding(make_mesh(devices), jax.P("paths"))
    spots = jax.device_put(np.full(PATHS, SPOT, np.float32), over)
    on_each_device = jax.shard_map(
        ks.vmap(path), mesh=over.mesh, in_specs=(jax.P(), over.spec), out_specs=over.spec
    )

    def draw(key: jax.Array, start: int) -> Drawn:  # noqa: ARG001 - that is the mistake
        return add_sums(*on_each_device(key, spots))

    return compile_over(over, draw)


def add_sums(payoffs: jax.Array, words: jax.Array) -> Drawn:
    """Return what was drawn with its sums over all devices."""
    return Drawn(payoffs, words, jnp.stack([payoffs.sum(), (payoffs**2).sum()]))


def compile_over(over: NamedSharding, draw: Program) -> Program:
    """Compile a program whose paths stay over the devices, and whose sums are on each."""
    return jax.jit(draw, out_shardings=Drawn(over, over, NamedSharding(over.mesh, jax.P())))


def interval(count: float, total: float, squares: float) -> tuple[float, float]:
    """Return the estimate after so many paths, and half the width of its 95 % interval."""
    mean = total / count
    variance = (squares / count - mean**2) * count / (count - 1)
    return mean, WIDTH * math.sqrt(variance / count)


def count_distinct(words: np.ndarray) -> int:
    """Count the different keys among those of some paths."""
    return len(np.unique(np.ascontiguousarray(words).view(np.uint64)))


@dataclass(frozen=True)
class Run:
    """What some experiments on a number of devices came to."""

    devices: int
    estimates: np.ndarray
    """(experiments, 2): the estimate, and half the width of its interval."""
    digest: str
    """SHA-256 of the keys that all paths used, in order."""
    distinct: int
    """Different keys within an experiment, summed over the experiments."""
    payoffs: np.ndarray
    """(paths,): of the first experiment."""

    @property
    def hits(self) -> np.ndarray:
        """Say of each interval whether it holds the exact price."""
        holds: np.ndarray = np.abs(self.estimates[:, 0] - exact_price()) <= self.estimates[:, 1]
        return holds


def run_experiments(
    program: Program,
    key: jax.Array,
    devices: int,
    experiments: int,
    *,
    tick: Callable[[], Any] = lambda: None,
) -> Run:
    """Run a program with a key for each experiment, and `tick` after each."""
    digest, distinct, estimates, payoffs = hashlib.sha256(), 0, [], np.empty(0)
    for number in range(experiments):
        drawn = jax.device_get(program(ks.derive(key, "call", number), 0))
        digest.update(drawn.words.tobytes())
        distinct += count_distinct(drawn.words)
        estimates.append(interval(len(drawn.payoffs), *drawn.sums.tolist()))
        payoffs = payoffs if number else drawn.payoffs
        tick()
    return Run(devices, np.array(estimates), digest.hexdigest(), distinct, payoffs)
