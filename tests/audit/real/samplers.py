"""Chains and variational inference: blackjax, numpyro and distrax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import one_key, styled

_, blackjax_program = styled("blackjax", "blackjax")
_, numpyro_program = styled("numpyro", "numpyro")
_, distrax_program = styled("distrax", "distrax")


def log_density(x: jax.Array) -> jax.Array:
    return -0.5 * (x**2).sum()


START = (0.5, -0.5)


def chain(algorithm: Any, key: jax.Array) -> Any:
    """Run three steps of an algorithm, as blackjax's own documents do."""
    first, key = random.split(key)
    state = algorithm.init(jnp.asarray(START), first)

    def step(state: Any, key: jax.Array) -> tuple[Any, Any]:
        state, _ = algorithm.step(key, state)
        return state, state.position

    return lax.scan(step, state, random.split(key, 3))[1]


def quiet() -> Callable[..., Any]:
    """Return the decorator: the results of these programs show nothing by themselves."""
    return blackjax_program(one_key, shows=None)


@quiet()
def blackjax_nuts(key):
    """Three steps of NUTS."""
    import blackjax

    return chain(blackjax.nuts(log_density, 0.1, jnp.ones(2)), key)


@quiet()
def blackjax_hmc(key):
    """Three steps of HMC."""
    import blackjax

    return chain(blackjax.hmc(log_density, 0.1, jnp.ones(2), 3), key)


@quiet()
def blackjax_dynamic_hmc(key):
    """Three steps of HMC with a drawn number of leapfrog steps."""
    import blackjax

    return chain(blackjax.dynamic_hmc(log_density, 0.1, jnp.ones(2)), key)


@quiet()
def blackjax_ghmc(key):
    """Three steps of generalized HMC."""
    import blackjax

    return chain(blackjax.ghmc(log_density, 0.1, jnp.ones(2), 0.9, 0.1), key)


@quiet()
def blackjax_random_walk(key):
    """Three steps of a random walk."""
    import blackjax

    walk = blackjax.additive_step_random_walk.normal_random_walk(log_density, jnp.eye(2))
    return chain(walk, key)


@quiet()
def blackjax_mala(key):
    """Three steps of MALA."""
    import blackjax

    return chain(blackjax.mala(log_density, 0.1), key)


@quiet()
def blackjax_mclmc(key):
    """Three steps of microcanonical Langevin dynamics."""
    import blackjax

    return chain(blackjax.mclmc(log_density, 1.0, 0.1), key)


@quiet()
def blackjax_elliptical_slice(key):
    """Three steps of elliptical slice sampling."""
    import blackjax

    return chain(blackjax.elliptical_slice(log_density, mean=jnp.zeros(2), cov=jnp.eye(2)), key)


@quiet()
def blackjax_sgld(key):
    """Three steps of stochastic gradient Langevin dynamics."""
    import blackjax

    sampler = blackjax.sgld(lambda x, batch: jax.grad(log_density)(x) + 0 * batch.sum())
    state = sampler.init(jnp.asarray(START))

    def step(state, key):
        state = sampler.step(key, state, jnp.ones(3), 0.01)
        return state, state

    return lax.scan(step, state, random.split(key, 3))[1]


@quiet()
def blackjax_window_adaptation(key):
    """Ten steps of Stan's window adaptation for NUTS."""
    import blackjax

    warmup = blackjax.window_adaptation(blackjax.nuts, log_density)
    (state, parameters), _ = warmup.run(key, jnp.asarray(START), num_steps=10)
    return state.position, parameters


@quiet()
def blackjax_tempered_smc(key):
    """One step of tempered sequential Monte Carlo over four particles."""
    import blackjax
    from blackjax.smc import resampling

    first, second = random.split(key)
    smc = blackjax.tempered_smc(
        log_density,
        lambda x: -(x**4).sum(),
        blackjax.hmc.build_kernel(),
        blackjax.hmc.init,
        {
            "step_size": jnp.full(1, 0.1),
            "inverse_mass_matrix": jnp.ones((1, 2)),
            "num_integration_steps": jnp.full(1, 2),
        },
        resampling.systematic,
        num_mcmc_steps=2,
    )
    state = smc.init(random.normal(first, (4, 2)))
    return smc.step(second, state, 0.5)[0].particles


@quiet()
def blackjax_pathfinder(key):
    """An approximation by Pathfinder and five draws from it."""
    import blackjax

    first, second = random.split(key)
    state, _ = blackjax.vi.pathfinder.approximate(first, log_density, jnp.asarray(START), 5)
    return blackjax.vi.pathfinder.sample(second, state, 5)[0]


def model(y: Any = None) -> None:
    """Draw a mean, and what is seen of it."""
    import numpyro
    from numpyro import distributions as dist

    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    with numpyro.plate("data", 3):
        numpyro.sample("y", dist.Normal(mean, 1.0), obs=y)


@numpyro_program(one_key, shows=None)
def numpyro_nuts(key):
    """Two steps of NUTS, from the initialisation on."""
    from numpyro.infer import NUTS

    kernel = NUTS(model)
    state = kernel.init(key, 4, None, (jnp.ones(3),), {})
    for _ in range(2):
        state = kernel.sample(state, (jnp.ones(3),), {})
    return state.z


@numpyro_program(one_key, shows=None, mode="run")
def numpyro_mcmc(key):
    """A whole run of MCMC with warmup, and what it predicts."""
    from numpyro.infer import MCMC, NUTS, Predictive

    first, second = random.split(key)
    mcmc = MCMC(NUTS(model), num_warmup=5, num_samples=5, progress_bar=False)
    mcmc.run(first, jnp.ones(3))
    samples = mcmc.get_samples()
    return samples, Predictive(model, samples)(second)["y"]


@numpyro_program(one_key, shows=None)
def numpyro_svi(key):
    """Two steps of SVI with a guide of independent normals."""
    from numpyro.infer import SVI, Trace_ELBO
    from numpyro.infer.autoguide import AutoNormal
    from numpyro.optim import Adam

    svi = SVI(model, AutoNormal(model), Adam(0.01), Trace_ELBO())
    state = svi.init(key, jnp.ones(3))
    for _ in range(2):
        state, _ = svi.update(state, jnp.ones(3))
    return svi.get_params(state)


@numpyro_program(one_key, shows=None)
def numpyro_predictive(key):
    """Four draws from the prior predictive."""
    from numpyro.infer import Predictive

    return Predictive(model, num_samples=4)(key)


@distrax_program(one_key, shows=None)
def distrax_sampling(key):
    """Samples of a normal, a mixture and a transformed distribution."""
    import distrax

    first, second, third = random.split(key, 3)
    normal = distrax.Normal(jnp.zeros(2), jnp.ones(2))
    mixture = distrax.MixtureSameFamily(distrax.Categorical(jnp.zeros(2)), normal)
    moved = distrax.Transformed(normal, distrax.ScalarAffine(1.0, 2.0))
    return (
        normal.sample(seed=first, sample_shape=3),
        mixture.sample(seed=second, sample_shape=3),
        moved.sample_and_log_prob(seed=third),
    )


@distrax_program(one_key, shows=None)
def distrax_hmm(key):
    """A path and what is seen of a hidden Markov model."""
    import distrax

    hmm = distrax.HMM(
        distrax.Categorical(jnp.zeros(2)),
        distrax.Categorical(jnp.zeros((2, 2))),
        distrax.Normal(jnp.arange(2.0), jnp.ones(2)),
    )
    return hmm.sample(seed=key, seq_len=4)
