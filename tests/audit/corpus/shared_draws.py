"""Draws that shards, tangents or arrays share: by mistake, and because they have to."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, random

from tests.audit.corpus.program import mesh, styled

P = jax.P
ROWS = P("data")
STEP = (P(), P(), ROWS)
wrong, right = styled("shared draws")


def key_and_step():
    """Return one key, the weights of a layer, and two rows for each device."""
    return random.key(0), jnp.linspace(0.1, 0.6, 6).reshape(2, 3), jnp.ones((16, 2))


def key_and_start():
    """Return one key and where paths start."""
    return random.key(0), jnp.float32(1.0)


def key_and_vectors():
    """Return one key, a point, and some directions."""
    return random.key(0), jnp.linspace(1.0, 2.0, 3), jnp.eye(3)


def key_and_examples():
    """Return one key, six rows and their labels."""
    return random.key(0), jnp.arange(12.0).reshape(6, 2), jnp.arange(6)


def sharded(fun, *specs, out=ROWS, check_vma=True):
    """Map a function over the eight devices."""
    return jax.shard_map(fun, mesh=mesh("data"), in_specs=specs, out_specs=out, check_vma=check_vma)


def loss(w, x):
    """Return the loss of a layer."""
    return jnp.tanh(x @ w).sum()


def rows_agree(result):
    """Are the first two rows equal?"""
    return bool((result[0] == result[1]).all())


# --- shards -----------------------------------------------------------------------------------


@wrong("KS12")
def paths_of_a_replicated_key(key):
    """Each shard makes its paths from the one key, and they are put together."""
    return sharded(lambda key: random.normal(key, (3,)), P())(key)


@wrong("KS12", key_and_start)
def paths_from_one_start(key, start):
    """Paths begin at one price, and move alike on all shards."""

    def walk(key, start):
        return start * jnp.exp(jnp.cumsum(random.normal(key, (3,))))

    return sharded(walk, P(), P(), check_vma=False)(key, start)


@right()
def paths_of_each_shard(key):
    """Each shard has a child of the key for its paths."""

    def walk(key):
        return random.normal(random.fold_in(key, lax.axis_index("data")), (3,))

    return sharded(walk, P())(key)


@wrong("KS12")
def gathered_draws(key):
    """The draws of all shards are gathered: one of them, eight times."""
    gather = sharded(
        lambda key: lax.all_gather(random.normal(key, (3,)), "data"),
        P(),
        out=P(),
        check_vma=False,
    )
    return gather(key)


@wrong("KS12", key_and_step)
def noise_with_a_learned_scale(key, w, x):
    """The noise is scaled by a weight that all shards share, and belongs to the rows."""

    def noisy(key, w, x):
        return x + jnp.exp(w[:, 0]) * random.normal(key, x.shape)

    return sharded(noisy, *STEP)(key, w, x)


@wrong("KS12", key_and_step)
def dropout_of_activations(key, w, x):
    """What is dropped is the rows' own, and the same on all shards."""

    def layer(key, w, x):
        h = jnp.tanh(x @ w)
        return h * random.uniform(key, h.shape)

    return sharded(layer, *STEP)(key, w, x)


@wrong("KS12", key_and_step)
def depth_drawn_for_each_row(key, w, x):
    """One number for each row drops a whole branch of it, in the same rows of each shard."""

    def layer(key, w, x):
        return jnp.sum(x @ w, 1, keepdims=True) * random.uniform(key, (len(x), 1))

    return sharded(layer, *STEP, check_vma=False)(key, w, x)


@wrong("KS12", key_and_step)
def latents_of_a_decoder(key, w, _):
    """Each shard decodes the same latents."""
    return sharded(lambda key, w: jnp.tanh(random.normal(key, (2, 2)) @ w), P(), P())(key, w)


@wrong("KS12", key_and_step)
def labels_drawn_by_logits(key, w, x):
    """The noise that decides for a label meets logits of other rows, and is the same."""

    def draw(key, w, x):
        logits = x @ w
        return logits + random.gumbel(key, logits.shape)

    return sharded(draw, *STEP)(key, w, x)


@wrong("KS12", key_and_step)
def fakes_beside_real_rows(key, w, x):
    """Rows made of noise stand beside real ones, the same ones on each shard."""

    def both(key, w, x):
        return jnp.concatenate([random.normal(key, (2, 2)), 0 * x]) @ w

    return sharded(both, *STEP)(key, w, x)


@wrong("KS12", key_and_step)
def row_keys_split_on_each_shard(key, _, x):
    """Rows have keys of their own on a shard, split from the key that all shards have."""

    def noisy(key, x):
        keys = random.split(key, len(x))
        return jax.vmap(lambda key, row: row + random.normal(key, row.shape))(keys, x)

    return sharded(noisy, P(), P("data"))(key, x)


@wrong("KS12")
def weights_split_over_the_model(key):
    """A layer's weights are split over the shards, which draw the same part."""
    return sharded(lambda key: 0.1 * random.normal(key, (2, 3)), P(), out=P(None, "data"))(key)


@wrong("KS12", key_and_start)
def pmapped_paths(key, start):
    """`pmap` over nothing but a number: all devices walk alike."""

    def walk(key, start, _):
        return start * random.normal(key, (3,))

    return jax.pmap(walk, in_axes=(None, None, 0))(key, start, jnp.arange(8))


@right(key_and_step)
def noise_on_shared_weights(key, w, x):
    """The mean gradient and the noise are the same on all shards, or the weights part."""

    def step(key, w, x):
        grad = lax.pmean(jax.grad(loss)(w, x), "data")
        return w - 0.1 * grad + 0.01 * random.normal(key, w.shape)

    return sharded(step, *STEP, out=P())(key, w, x)


@right(key_and_step)
def noise_on_unchecked_weights(key, w, x):
    """The same where JAX doesn't check what varies."""

    def step(key, w, x):
        grad = lax.pmean(jax.grad(loss)(w, x), "data")
        return w - 0.1 * grad + 0.01 * random.normal(key, w.shape)

    return sharded(step, *STEP, out=P(), check_vma=False)(key, w, x)


@right(key_and_step, shows=None)
def stochastic_rounding(key, w, x):
    """All shards round the mean gradient alike."""

    def step(key, w, x):
        grad = lax.pmean(jax.grad(loss)(w, x), "data")
        return w - jnp.floor(128 * grad + random.uniform(key, w.shape)) / 128

    return sharded(step, *STEP, out=P())(key, w, x)


@right(key_and_step)
def private_gradient(key, w, x):
    """Noise is added once to the sum of all shards."""

    def step(key, w, x):
        total = lax.psum(jax.grad(loss)(w, x), "data")
        return w - 0.1 * (total + random.normal(key, w.shape))

    return sharded(step, *STEP, out=P())(key, w, x)


@right(key_and_step)
def evolution_strategy(key, w, x):
    """All shards try one change of the weights on rows of their own."""

    def step(key, w, x):
        change = random.normal(key, w.shape)
        return w + lax.pmean(loss(w + 0.1 * change, x), "data") * change

    return sharded(step, *STEP, out=P())(key, w, x)


@right(key_and_step)
def one_of_a_population(key, w, x):
    """Each shard tries a change of its own, out of a population that all of them draw."""

    def step(key, w, x):
        changes = random.normal(key, (8, *w.shape))
        mine = lax.dynamic_index_in_dim(changes, lax.axis_index("data"), keepdims=False)
        return lax.pmean(w + loss(w + 0.1 * mine, x) * mine, "data")

    return sharded(step, *STEP, out=P())(key, w, x)


@right(key_and_step, shows=None)
def drop_connect(key, w, x):
    """All shards drop the same weights, so that they train one network."""

    def step(key, w, x):
        def dropped(w):
            return loss(w * random.bernoulli(key, 0.5, w.shape), x)

        return w - 0.1 * lax.pmean(jax.grad(dropped)(w), "data")

    return sharded(step, *STEP, out=P())(key, w, x)


@right(key_and_step, shows=None)
def one_scale_for_the_batch(key, _, x):
    """One number scales all rows, so it is the same on all shards."""
    return sharded(lambda key, x: x * random.uniform(key), P(), P("data"))(key, x)


@right(key_and_step, shows=None)
def random_features(key, _, x):
    """All rows are seen through the same random features."""

    def features(key, x):
        return jnp.cos(x @ random.normal(key, (2, 5)))

    return sharded(features, P(), P("data"))(key, x)


@right(key_and_step, shows=None)
def coin_around_a_collective(key, _, x):
    """A coin decides whether shards meet, and must fall alike, or they wait for ever."""

    def step(key, x):
        return lax.cond(
            random.bernoulli(key), lambda x: lax.pmean(x, "data"), lambda x: lax.pmax(x, "data"), x
        )

    return sharded(step, P(), P("data"), out=P())(key, x)


# --- tangents ---------------------------------------------------------------------------------


def noisy(key, x):
    """Return a function's value that is made with noise."""
    return jnp.tanh(x + random.normal(key, x.shape))


@wrong("KS11", key_and_vectors, shows=rows_agree)
def gradients_of_examples(key, _, rows):
    """The gradient of each example is taken with the same noise."""
    grad = jax.grad(lambda row: (jnp.tanh(random.normal(key, row.shape) + row)).sum())
    return jax.vmap(grad)(0 * rows)


@wrong("KS11", key_and_vectors, shows=rows_agree)
def directions_at_many_points(key, _, rows):
    """Each lane has a point and a direction of its own, and all have the same noise."""

    def along(row, direction):
        return jax.jvp(lambda row: noisy(key, row), (row,), (direction,))[0]

    return jax.vmap(along)(0 * rows, rows)


@right(key_and_vectors)
def jacobian_of_noise(key, x, _):
    """The lanes of `jacfwd` are tangents of one value, made with one noise."""
    return jnp.diagonal(jax.jacfwd(lambda x: noisy(key, x))(x))


@right(key_and_vectors)
def hessian_of_noise(key, x, _):
    """So are those of `hessian`."""
    return jnp.diagonal(jax.hessian(lambda x: noisy(key, x).sum())(x))


@right(key_and_vectors)
def hutchinson(key, x, directions):
    """A trace is estimated along several directions of one function."""
    grad = jax.grad(lambda x: noisy(key, x).sum())

    def along(v):
        return v @ jax.jvp(grad, (x,), (v,))[1]

    return jax.vmap(along)(directions)


@right(key_and_vectors)
def gauss_newton(key, x, directions):
    """The Jacobian's products with all directions are taken of one function."""
    pushed = jax.vmap(lambda v: jax.jvp(lambda x: noisy(key, x), (x,), (v,))[1])(directions)
    return jnp.diagonal(pushed @ pushed.T)


# --- shuffles ---------------------------------------------------------------------------------


@wrong(
    "KS01",
    key_and_examples,
    shows=lambda result: [i for i in result[0].tolist() if i < 4] == result[1].tolist(),
)
def shuffles_of_two_lengths(key, _, labels):
    """Six and four places are shuffled by one key: the first four go in the same order."""
    return random.permutation(key, labels), random.permutation(key, 4)


@right(key_and_examples, shows=None)
def paired_shuffle(key, rows, labels):
    """Rows and labels are shuffled alike, since they belong together."""
    return jax.tree.map(lambda each: random.permutation(key, each), (rows, labels, labels + 1))


@right(key_and_examples, shows=None)
def paired_orders(key, rows, labels):
    """The same with an order for each of them."""
    return rows[random.permutation(key, len(rows))], labels[random.permutation(key, len(labels))]
