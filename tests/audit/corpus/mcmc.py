"""Markov chains: proposals, acceptance and momenta."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import one_key, one_legacy, styled

wrong, right = styled("mcmc")


def log_density(x: jax.Array) -> jax.Array:
    return -0.5 * (x**2).sum()


def metropolis(propose: jax.Array, accept: jax.Array, x: jax.Array) -> jax.Array:
    proposal = x + random.normal(propose, x.shape)
    threshold = jnp.log(random.uniform(accept))
    return jnp.where(threshold < log_density(proposal) - log_density(x), proposal, x)


@wrong("KS01", shows=None)
def proposal_and_acceptance(key):
    """The proposal and the coin that accepts it come from one key."""
    return metropolis(key, key, jnp.zeros(2))


@right(shows=None)
def proposal_and_acceptance_apart(key):
    """Proposal and coin have a key each."""
    return metropolis(*random.split(key), jnp.zeros(2))


@wrong("KS09", shows=None)
def chain_key_carried_used(key):
    """The chain carries on the key that the proposal was drawn from."""

    def step(carry, _):
        key, x = carry
        use, accept = random.split(key)
        x = metropolis(use, accept, x)
        return (use, x), x

    return lax.scan(step, (key, jnp.zeros(2)), length=3)[1]


@right(shows=None)
def chain(key):
    """The chain splits its key in three, carries one and uses two."""

    def step(carry, _):
        key, x = carry
        key, propose, accept = random.split(key, 3)
        x = metropolis(propose, accept, x)
        return (key, x), x

    return lax.scan(step, (key, jnp.zeros(2)), length=3)[1]


@wrong("KS02", one_legacy, shows=None)
def start_and_chain(rng):
    """The start of the chain is drawn from the key whose split drives it."""
    start = random.normal(rng, (2,))
    keys = random.split(rng, 6).reshape(3, 2, 2)
    return lax.scan(lambda x, pair: (metropolis(*pair, x), x), start, keys)[1]


@right(one_legacy, shows=None)
def start_and_chain_apart(rng):
    """The start has a child, and the chain the split of another."""
    first, rng = random.split(rng)
    keys = random.split(rng, 6).reshape(3, 2, 2)
    return lax.scan(lambda x, pair: (metropolis(*pair, x), x), random.normal(first, (2,)), keys)[1]


@wrong("KS11", shows=lambda result: bool((result[0] == result[1]).all()))
def chains_of_one_key(key):
    """Four chains start at four points and take the same steps."""
    steps = jax.vmap(lambda x: random.normal(key, x.shape) + 0 * x)
    return steps(jnp.arange(8.0).reshape(4, 2))


@right(shows=None)
def chains(key):
    """Four chains, each with a key for every step."""
    keys = random.split(key, (4, 3, 2))

    def run(keys, x):
        return lax.scan(lambda x, pair: (metropolis(*pair, x), x), x, keys)[1]

    return jax.vmap(run)(keys, jnp.ones((4, 2)))


def leapfrog(x: jax.Array, momentum: jax.Array) -> tuple[jax.Array, jax.Array]:
    force = jax.grad(log_density)
    momentum = momentum + 0.05 * force(x)
    x = x + 0.1 * momentum
    return x, momentum + 0.05 * force(x)


@wrong("KS08")
def momentum_of_one_fold(key):
    """The momentum of each step is folded from the name of the momentum alone."""

    def step(x, _):
        momentum = random.normal(random.fold_in(key, 1), x.shape)
        x, _ = leapfrog(x, momentum)
        return x, momentum

    return lax.scan(step, jnp.zeros(2), length=3)[1]


@right()
def momentum_of_each_step(key):
    """The momentum of each step is folded from the name and the step."""
    named = random.fold_in(key, 1)

    def step(x, i):
        momentum = random.normal(random.fold_in(named, i), x.shape)
        x, _ = leapfrog(x, momentum)
        return x, momentum

    return lax.scan(step, jnp.zeros(2), jnp.arange(3))[1]


@wrong("KS07")
def langevin_one_noise(key):
    """Langevin dynamics with one noise for all steps, which drifts away."""

    def step(x, _):
        noise = random.normal(key, x.shape)
        return x + 0.1 * jax.grad(log_density)(x) + 0.4 * noise, noise

    return lax.scan(step, jnp.zeros(2), length=3)[1]


@right()
def langevin(key):
    """Langevin dynamics with a noise for each step."""

    def step(x, key):
        noise = random.normal(key, x.shape)
        return x + 0.1 * jax.grad(log_density)(x) + 0.4 * noise, noise

    return lax.scan(step, jnp.zeros(2), random.split(key, 3))[1]


@wrong("KS06", one_key, shows=None)
def swap_beside_folds(key):
    """Temperatures fold their number into the key that then decides on the swap."""
    fold = jax.vmap(lambda i: random.normal(random.fold_in(key, i)))
    heat = fold(jnp.arange(3))
    return jnp.where(random.uniform(key) < 0.5, heat, heat[::-1])


@right(one_key)
def swap_apart_from_folds(key):
    """The swap has a child of its own."""
    swap, key = random.split(key)
    fold = jax.vmap(lambda i: random.normal(random.fold_in(key, i)))
    heat = fold(jnp.arange(3))
    return jnp.where(random.uniform(swap) < 0.5, heat, heat[::-1])


@wrong("KS04", shows=None)
def chains_and_adaptation(key):
    """Chains take the rows of a split; adaptation folds the number of one of them."""
    moves = jax.vmap(random.normal)(random.split(key, 4))
    return moves, random.uniform(random.fold_in(key, 2))
