"""The statistical checks on samplers that aren't ours: what they say is in docs/testing.md.

Each takes seconds to minutes, so they stand outside the gate; what isn't installed is skipped.
By the rule each fails a perfect sampler with probability 1e-9 at most.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import keystream as ks
from keystream import testing

pytestmark = pytest.mark.outside
KEY = ks.key("neighbors")


def _have(name):
    return pytest.importorskip(name, reason=f"{name} isn't installed")


def _told(seen):
    print(f"\n{seen}")


NUMPYRO = {
    "StudentT(5)": (lambda d: d.StudentT(5.0), stats.t(5)),
    "Gamma(0.3)": (lambda d: d.Gamma(0.3), stats.gamma(0.3)),
    "Beta(0.5, 2)": (lambda d: d.Beta(0.5, 2.0), stats.beta(0.5, 2)),
    "Gumbel": (lambda d: d.Gumbel(), stats.gumbel_r()),
    "Weibull(2, 1.5)": (lambda d: d.Weibull(2.0, 1.5), stats.weibull_min(1.5, scale=2)),
    "InverseGamma(3)": (lambda d: d.InverseGamma(3.0), stats.invgamma(3)),
    "HalfCauchy": (lambda d: d.HalfCauchy(1.0), stats.halfcauchy()),
    "VonMises(0, 2)": (lambda d: d.VonMises(0.0, 2.0), stats.vonmises(2)),
    "TruncatedNormal": (
        lambda d: d.TruncatedNormal(0.0, 1.0, low=0.5, high=2.0),
        stats.truncnorm(0.5, 2),
    ),
    "Poisson(3.5)": (lambda d: d.Poisson(3.5), stats.poisson(3.5)),
    "Poisson(40)": (lambda d: d.Poisson(40.0), stats.poisson(40)),
    "Binomial(50, 0.1)": (lambda d: d.Binomial(50, 0.1), stats.binom(50, 0.1)),
    "NegativeBinomial2": (
        lambda d: d.NegativeBinomial2(4.0, 2.0),
        stats.nbinom(2, 2 / 6),
    ),
    "BetaBinomial": (lambda d: d.BetaBinomial(2.0, 3.0, 20), stats.betabinom(20, 2, 3)),
    "Geometric(0.3)": (lambda d: d.Geometric(probs=0.3), stats.geom(0.3, loc=-1)),
}


@pytest.mark.parametrize("name", NUMPYRO)
def test_numpyro(name):
    """A distribution of numpyro draws what its name says."""
    _have("numpyro")
    import numpyro.distributions as dist

    make, reference = NUMPYRO[name]
    _told(testing.check_distribution(make(dist).sample, KEY, reference, num=2**18))


def test_numpyro_whole():
    """Numpyro's MultivariateNormal has the covariance that it was given."""
    _have("numpyro")
    import numpyro.distributions as dist

    covariance = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
    made = dist.MultivariateNormal(np.zeros(3), covariance)
    reference = stats.multivariate_normal(np.zeros(3), covariance)
    _told(testing.check_distribution(made.sample, KEY, reference, num=2**18))


FLAX = {
    "lecun_normal": lambda init: (init.lecun_normal(), 1 / np.sqrt(64)),
    "he_normal": lambda init: (init.he_normal(), np.sqrt(2 / 64)),
    "xavier_normal": lambda init: (init.xavier_normal(), np.sqrt(2 / 96)),
    "normal": lambda init: (init.normal(0.02), 0.02),
}


@pytest.mark.parametrize("name", FLAX)
def test_flax_normal(name):
    """An initializer of flax has the spread of its formula, and nothing beyond two of its own."""
    _have("flax")
    from flax.linen import initializers

    init, wide = FLAX[name](initializers)
    reference = stats.norm(0, wide)
    if name != "normal":
        # Variance scaling draws a normal truncated at two, widened to the right variance.
        scale = wide / stats.truncnorm(-2, 2).std()
        reference = stats.truncnorm(-2, 2, scale=scale)
    _told(testing.check_distribution(lambda key: init(key, (64, 32)), KEY, reference, num=1024))


def test_flax_uniform():
    """he_uniform of flax lies evenly within the root of 6 by the number of inputs."""
    _have("flax")
    from flax.linen import initializers

    edge, init = np.sqrt(6 / 64), initializers.he_uniform()
    reference = stats.uniform(-edge, 2 * edge)
    _told(testing.check_distribution(lambda key: init(key, (64, 32)), KEY, reference, num=1024))


def test_flax_orthogonal():
    """An entry of flax's orthogonal matrix is distributed as Haar's measure has it."""
    _have("flax")
    from flax.linen import initializers

    # The first coordinate of a point of a sphere in n dimensions: (1 + x) / 2 is a beta number.
    half = (8 - 1) / 2
    reference = stats.beta(half, half, loc=-1, scale=2)
    init = initializers.orthogonal()
    _told(
        testing.check_distribution(
            lambda key: init(key, (8, 8)), KEY, reference, num=2**14, independent=False
        )
    )


def test_flax_dropout_streams():
    """The dropout keys that flax's nnx.Rngs gives for many seeds are independent streams."""
    _have("flax")
    from flax import nnx

    def derive(key, i):
        del key
        return nnx.Rngs(dropout=i).dropout()

    _told(testing.check_independent(jax.random.bernoulli, KEY, 64, num=1024, derive=derive))


def test_diffrax_brownian():
    """Increments of diffrax's VirtualBrownianTree are normal, with the variance of their step."""
    _have("diffrax")
    import diffrax

    times = np.array([0.0, 0.1, 0.35, 0.4, 1.0])

    def increments(key):
        path = diffrax.VirtualBrownianTree(0.0, 1.0, tol=1e-4, shape=(), key=key)
        at = jax.vmap(lambda t: path.evaluate(0.0, t))(jnp.asarray(times[1:], np.float32))
        return jnp.diff(at, prepend=0.0)

    reference = stats.norm(0, np.sqrt(np.diff(times)))
    _told(testing.check_distribution(increments, KEY, reference, num=2**16))


def test_diffrax_levy():
    """Diffrax's space-time Levy area of a step has the variance h / 12."""
    _have("diffrax")
    import diffrax

    def area(key):
        path = diffrax.UnsafeBrownianPath((), key, levy_area=diffrax.SpaceTimeLevyArea)
        made = path.evaluate(0.0, 0.5, use_levy=True)
        return jnp.stack([made.W, made.H])

    reference = stats.norm(0, [np.sqrt(0.5), np.sqrt(0.5 / 12)])
    _told(testing.check_distribution(area, KEY, reference, num=2**17))


def _chain(kernel, steps):
    """Return a sampler: the last state of a chain that begins in a draw of the target."""

    def sampler(key):
        start, walk = ks.split(key)
        state = kernel.init(jax.random.normal(start))

        def step(key, state, _):
            return kernel.step(key, state)[0], None

        return ks.scan(step, state, key=walk, length=steps)[0].position

    return sampler


BLACKJAX = {
    "nuts": lambda bj, f: bj.nuts(f, step_size=0.7, inverse_mass_matrix=jnp.ones(1)),
    "hmc": lambda bj, f: bj.hmc(
        f, step_size=0.5, inverse_mass_matrix=jnp.ones(1), num_integration_steps=5
    ),
    "mala": lambda bj, f: bj.mala(f, step_size=0.5),
    "rmh": lambda bj, f: bj.rmh(f, lambda key, x: x + jax.random.normal(key)),
}


@pytest.mark.parametrize("name", BLACKJAX)
def test_blackjax(name):
    """A kernel of blackjax that begins in its target stays there."""
    blackjax = _have("blackjax")
    kernel = BLACKJAX[name](blackjax, lambda x: -0.5 * x.sum() ** 2)
    sampler = _chain(kernel, 5)
    _told(testing.check_distribution(sampler, KEY, stats.norm(), num=2**16))


DISTRAX = {
    "Laplace": (lambda d: d.Laplace(0.0, 1.0), stats.laplace()),
    "LogStddevNormal": (lambda d: d.LogStddevNormal(0.0, 0.0), stats.norm()),
    "Gamma(2.5)": (lambda d: d.Gamma(2.5, 1.0), stats.gamma(2.5)),
    "Logistic": (lambda d: d.Logistic(0.0, 1.0), stats.logistic()),
    "Categorical": (
        lambda d: d.Categorical(probs=jnp.array([0.2, 0.5, 0.3])),
        stats.rv_discrete(values=([0, 1, 2], [0.2, 0.5, 0.3]))(),
    ),
}


@pytest.mark.parametrize("name", DISTRAX)
def test_distrax(name):
    """A distribution of distrax draws what its name says."""
    distrax = _have("distrax")
    make, reference = DISTRAX[name]
    made = make(distrax)
    _told(testing.check_distribution(lambda key: made.sample(seed=key), KEY, reference, num=2**18))


FOUND = {
    # float32 ends at 1e-38 without subnormals: 42 % of Gamma(0.01) lie below, and are zero.
    "Gamma(0.01)": (lambda d: d.Gamma(0.01), stats.gamma(0.01), "far lower tail"),
    # Half of Beta(0.01, 0.01) lies nearer to one than a float32 can; its draws are clipped.
    "Beta(0.01, 0.01)": (lambda d: d.Beta(0.01, 0.01), stats.beta(0.01, 0.01), "CDF"),
    # One draw in 140 is exactly zero, of float32 cosines.
    "VonMises(0, 1000)": (lambda d: d.VonMises(0.0, 1000.0), stats.vonmises(1000), "cells"),
    # Rejection decides by logarithms of factorials in float32.
    "Poisson(1e5)": (lambda d: d.Poisson(1e5), stats.poisson(1e5), "CDF"),
}


@pytest.mark.parametrize("name", FOUND)
def test_numpyro_found(name):
    """Where float32 ends the check says so; these are what it found."""
    _have("numpyro")
    import numpyro.distributions as dist

    make, reference, kind = FOUND[name]
    with pytest.raises(testing.DistributionError) as caught:
        testing.check_distribution(make(dist).sample, KEY, reference, num=2**19)
    _told(caught.value)
    assert f"{kind}: " in str(caught.value)
