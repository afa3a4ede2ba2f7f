"""What no jaxpr shows: Python loops around compiled steps, files, and numbers from data."""

from __future__ import annotations

import copy
import io
import pickle

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, random

from tests.audit.corpus.program import one_key, one_legacy, styled

wrong, right = styled("at run time")


@jax.jit
def noise(key: jax.Array) -> jax.Array:
    return random.normal(key, (3,))


@jax.jit
def advance(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    key, use = random.split(key)
    return key, random.normal(use, (3,))


@wrong("KS07", mode="run")
def loop_until_small(key):
    """A loop that stops by a value calls its compiled step with the same key."""
    draws = []
    while len(draws) < 3 and sum(float(draw[0]) for draw in draws) < 9.0:
        draws.append(noise(key))
    return draws


@right(mode="run")
def loop_until_small_advanced(key):
    """A loop that stops by a value keeps the key that comes back."""
    draws = []
    while len(draws) < 3 and sum(float(draw[0]) for draw in draws) < 9.0:
        key, draw = advance(key)
        draws.append(draw)
    return draws


@wrong("KS07", mode="run")
def returned_key_dropped(key):
    """The compiled step gives a new key back, and the loop calls it with the old one."""
    draws = []
    while len(draws) < 3:
        _, draw = advance(key)
        draws.append(np.asarray(draw))
    return draws


@wrong("KS01", mode="run")
def resumed_from_an_old_key(key):
    """The checkpoint is written before the key advances: the run repeats a draw when it resumes."""
    saved = pickle.dumps(np.asarray(random.key_data(key)))
    first = noise(key)
    return first, noise(random.wrap_key_data(pickle.loads(saved)))


@right(mode="run")
def resumed_from_a_new_key(key):
    """The checkpoint is written after the key has advanced."""
    key, first = advance(key)
    saved = pickle.dumps(np.asarray(random.key_data(key)))
    return first, advance(random.wrap_key_data(pickle.loads(saved)))[1]


@wrong("KS01", one_legacy, mode="run")
def copied_state(rng):
    """Two members of a population begin as copies of one state, its key among it."""
    state = {"rng": rng, "step": 0}
    members = [copy.deepcopy(state) for _ in range(2)]
    return [noise(member["rng"]) for member in members]


@right(one_legacy, mode="run")
def copied_state_folded(rng):
    """Two members of a population begin as copies, and fold their number."""
    state = {"rng": rng, "step": 0}
    members = [copy.deepcopy(state) for _ in range(2)]
    return [noise(random.fold_in(member["rng"], i)) for i, member in enumerate(members)]


@wrong("KS01", one_legacy, mode="run")
def through_a_file(rng):
    """Words go through an npz file and are drawn from on both sides of it."""
    file = io.BytesIO()
    np.savez(file, rng=np.asarray(rng))
    file.seek(0)
    return noise(rng), noise(jnp.asarray(np.load(file)["rng"]))


@right(one_legacy, mode="run")
def through_a_file_once(rng):
    """Words go through an npz file and are drawn from behind it only."""
    file = io.BytesIO()
    np.savez(file, rng=np.asarray(rng))
    file.seek(0)
    return noise(jnp.asarray(np.load(file)["rng"]))


@wrong("KS01", lambda: (*one_key(), np.array([2, 0, 2])), mode="run")
def rows_by_data(key, which):
    """Keys are picked by numbers in the data, where one comes twice."""
    keys = random.split(key, 4)
    return lax.map(lambda row: random.normal(keys[row]), jnp.asarray(which))


@right(lambda: (*one_key(), np.array([2, 0, 3])), mode="run")
def rows_by_distinct_data(key, which):
    """Keys are picked by numbers in the data, which are distinct."""
    keys = random.split(key, 4)
    return lax.map(lambda row: random.normal(keys[row]), jnp.asarray(which))


@wrong("KS05", mode="run")
def sum_of_counters_folded(key):
    """The sum of epoch and step is folded: epoch 1, step 0 is epoch 0, step 1."""
    draw = jax.jit(lambda i, j: random.normal(random.fold_in(key, i + j)))
    return [draw(epoch, step) for epoch in range(2) for step in range(2)]


@right(mode="run")
def counters_folded_in_one_number(key):
    """Epoch times steps plus step is a number of its own for each pair."""
    draw = jax.jit(lambda i, j: random.normal(random.fold_in(key, 2 * i + j)))
    return [draw(epoch, step) for epoch in range(2) for step in range(2)]


@wrong("KS13", lambda: (np.array([7, 8, 7]),), mode="run")
def seeds_from_data(seeds):
    """Workers read their seeds from a table, where one comes twice."""
    start = jax.jit(lambda seed: random.normal(random.key(seed), (3,)))
    return [start(seed) for seed in seeds]


@right(lambda: (np.array([7, 8, 9]),), mode="run")
def distinct_seeds_from_data(seeds):
    """Workers read their seeds from a table, where each comes once."""
    start = jax.jit(lambda seed: random.normal(random.key(seed), (3,)))
    return [start(seed) for seed in seeds]


@wrong("KS01", mode="run")
def counter_wraps_around(key):
    """A loop picks its key by the counter modulo the number of keys, which are too few."""
    keys = random.split(key, 2)
    return lax.map(lambda i: random.normal(keys[i % 2]), jnp.arange(3))


@right(mode="run")
def counter_within_the_keys(key):
    """A loop picks its key by the counter modulo a number that it doesn't reach."""
    keys = random.split(key, 4)
    return lax.map(lambda i: random.normal(keys[i % 4]), jnp.arange(3))


@wrong("KS01", lambda: (*one_key(), np.array([11, 12, 11])), mode="run")
def ids_with_a_duplicate(key, ids):
    """Examples are keyed by their numbers, and one number was given out twice."""
    return jax.vmap(lambda i: random.normal(random.fold_in(key, i)))(jnp.asarray(ids))


@right(lambda: (*one_key(), np.array([11, 12, 13])), mode="run")
def ids_without_duplicates(key, ids):
    """Examples are keyed by their numbers, each its own."""
    return jax.vmap(lambda i: random.normal(random.fold_in(key, i)))(jnp.asarray(ids))


@wrong("KS02", mode="run", shows=None)
def warmed_up_with_the_run_key(key):
    """The compiled step is warmed up with a draw from the key that the run then splits."""
    first = float(noise(key)[0])
    key, draw = advance(key)
    return jnp.asarray(first), draw


@wrong("KS01", mode="run")
def lost_in_a_host_callback(key):
    """A callback on the host hands the key's words back, and both are drawn from."""
    words = random.key_data(key)
    back = jax.pure_callback(np.asarray, jax.ShapeDtypeStruct(words.shape, words.dtype), words)
    return noise(key), noise(random.wrap_key_data(back))
