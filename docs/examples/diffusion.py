"""Teach a network to turn noise into handwritten digits: a small diffusion model.

    python docs/examples/diffusion.py                         3,000 steps of learning
    python docs/examples/diffusion.py --small                 600
    python docs/examples/diffusion.py --picture digits.png    and a page of new digits

Images are mixed with noise, cos(a) image + sin(a) noise, and the network learns to tell the two
apart at every angle a (Salimans and Ho, 2022). Told which digit it is to be, it then turns pure
noise into an image by small steps (Ho, Jain and Abbeel, 2020). A classifier that was taught the
real digits says how many of the new ones are what was asked for.

Row i of new digits draws from child i of one key, its step t from child t of that, for all ten
digits the same. So a row is the same one whether one is made or a thousand, and its digits look
as if one hand had written them. Learning goes by position too: step 2,000 has its key however
many steps are made at once.
"""

from __future__ import annotations

import argparse
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC
from tqdm import tqdm

import keystream as ks

BATCH, WIDTH, BLOCK, ANGLES = 256, 384, 200, 60
IMAGES, LABELS = (load_digits().data / 8 - 1).astype(np.float32), load_digits().target
LAYERS = {"first": (64 + 16 + 10, WIDTH), "second": (WIDTH, WIDTH), "third": (WIDTH, WIDTH)}
LAYERS["last"] = (WIDTH, 64)


def begin(key: jax.Array) -> Any:
    """Return parameters, each layer's from the key at its own path."""
    keys = ks.split_tree(key, LAYERS, is_leaf=lambda leaf: isinstance(leaf, tuple))
    return {
        name: {
            "w": jax.random.normal(keys[name], shape) / shape[0] ** 0.5,
            "b": jnp.zeros(shape[1]),
        }
        for name, shape in LAYERS.items()
    }


def network(params: Any, mixed: jax.Array, angle: jax.Array, digit: jax.Array) -> jax.Array:
    """Tell the direction in which one mixed image moves as its angle grows."""
    waves = jnp.outer(angle, 2.0 ** jnp.arange(8)).ravel()
    given = jnp.concatenate([mixed, jnp.sin(waves), jnp.cos(waves), jax.nn.one_hot(digit, 10)])
    hidden = jax.nn.silu(given @ params["first"]["w"] + params["first"]["b"])
    for name in ("second", "third"):
        hidden += jax.nn.silu(hidden @ params[name]["w"] + params[name]["b"])
    return hidden @ params["last"]["w"] + params["last"]["b"]


def example_loss(key: jax.Array, params: Any) -> jax.Array:
    """Mix one image with noise at a random angle; return how wrongly the network sees it."""
    which_key, angle_key, noise_key = ks.split(key, 3)
    which = jax.random.randint(which_key, (), 0, len(IMAGES))
    angle = jax.random.uniform(angle_key, maxval=jnp.pi / 2)
    image, noise = jnp.asarray(IMAGES)[which], jax.random.normal(noise_key, (64,))
    mixed = jnp.cos(angle) * image + jnp.sin(angle) * noise
    moving = jnp.cos(angle) * noise - jnp.sin(angle) * image
    return ((network(params, mixed, angle, jnp.asarray(LABELS)[which]) - moving) ** 2).mean()


def optimizer(steps: int) -> optax.GradientTransformation:
    """Return Adam with a rate that falls to nothing."""
    return optax.adam(optax.cosine_decay_schedule(2e-3, steps))


@functools.partial(jax.jit, static_argnames="steps")
def learn(key: jax.Array, carry: Any, first: jax.Array, steps: int) -> tuple[Any, jax.Array]:
    """Take a block of steps, the first of which is number `first`."""

    def loss(params: Any, key: jax.Array) -> jax.Array:
        return ks.sample(example_loss, key, BATCH, params).mean()

    def step(key: jax.Array, carry: Any, _: None) -> tuple[Any, jax.Array]:
        params, state = carry
        value, slope = jax.value_and_grad(loss)(params, key)
        update, state = optimizer(steps).update(slope, state)
        return (optax.apply_updates(params, update), state), value

    return ks.scan(step, carry, key=key, length=BLOCK, start=first)


def new_image(key: jax.Array, digit: jax.Array, params: Any) -> jax.Array:
    """Turn noise into one image of a digit."""
    start_key, steps_key = ks.split(key)
    angles = jnp.linspace(jnp.pi / 2, 0, ANGLES + 1)

    def step(key: jax.Array, mixed: jax.Array, pair: Any) -> tuple[jax.Array, None]:
        angle, next_angle = pair
        moving = network(params, mixed, angle, digit)
        image = jnp.cos(angle) * mixed - jnp.sin(angle) * moving
        noise = jnp.sin(angle) * mixed + jnp.cos(angle) * moving
        # Part of the noise is made anew in each step, as much as keeps its share what it is.
        anew = jnp.sin(next_angle) / jnp.sin(angle)
        anew *= jnp.sqrt(1 - (jnp.cos(angle) / jnp.cos(next_angle)) ** 2)
        kept = jnp.sqrt(jax.nn.relu(jnp.sin(next_angle) ** 2 - anew**2))
        fresh = jax.random.normal(key, (64,))
        return jnp.cos(next_angle) * image.clip(-1, 1) + kept * noise + anew * fresh, None

    noise = jax.random.normal(start_key, (64,))
    return ks.scan(step, noise, (angles[:-1], angles[1:]), key=steps_key)[0]


@functools.partial(jax.jit, static_argnames="count")
def new_rows(params: Any, key: jax.Array, first: int, count: int) -> jax.Array:
    """Make rows of the ten digits, the first of which is number `first`: (count, 10, 64)."""

    def row(key: jax.Array) -> jax.Array:
        # One key for ten images is meant: the same noise for each, the digit makes them differ.
        return jax.vmap(lambda digit: new_image(key, digit, params))(jnp.arange(10))

    return ks.sample(row, key, count, start=first)


class Result(NamedTuple):
    """What a run came to."""

    losses: np.ndarray
    rows: np.ndarray
    """The new digits, (rows, 10, 64)."""
    recognized: float
    """The share that the classifier takes for what was asked for,"""
    error: float
    """and its standard error."""
    moved: float
    """How far the pixels of the last row move when it is made alone; they are in -1 ... 1."""


def main(arguments: list[str] | None = None) -> Result:
    """Learn, make new digits, and judge them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few steps")
    parser.add_argument("--steps", type=int, help=f"a multiple of {BLOCK}")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--picture", metavar="FILE", help="save a picture")
    options = parser.parse_args(arguments)
    steps = options.steps or (600 if options.small else 3_000)

    keys = ks.split(ks.key(options.seed), ("params", "steps", "new digits"))
    params = begin(keys["params"])
    carry, losses = (params, optimizer(steps).init(params)), []
    for first in tqdm(range(0, steps, BLOCK), desc="steps", unit_scale=BLOCK, disable=None):
        carry, block = learn(keys["steps"], carry, first, steps)
        losses.append(np.asarray(block))
    params = carry[0]

    count = 20 if options.small else 100
    rows = np.asarray(new_rows(params, keys["new digits"], 0, count))
    # The ten images of a row share their noise: rows are independent, images aren't.
    seen = SVC().fit(IMAGES, LABELS).predict(rows.reshape(-1, 64)).reshape(count, 10)
    shares = (seen == np.arange(10)).mean(axis=1)
    recognized, error = shares.mean(), shares.std(ddof=1) / count**0.5
    print(f"{recognized:.3f} ± {error:.3f} of {rows[..., 0].size:,} new digits are recognized")
    near = NearestNeighbors(n_neighbors=2).fit(IMAGES)
    new, real = near.kneighbors(rows.reshape(-1, 64))[0][:, 0], near.kneighbors(IMAGES)[0][:, 1]
    print(f"from a new one to the nearest real one: {np.median(new):.2f} (median)", end=", ")
    print(f"from a real one to the nearest other: {np.median(real):.2f}")
    alone = np.asarray(new_rows(params, keys["new digits"], count - 1, 1))[0]
    moved = float(np.abs(alone - rows[-1]).max())
    print(f"the last row again, without the others: pixels move by at most {moved:.0e}")
    if options.picture:
        draw(rows, options.picture)
    return Result(np.concatenate(losses), rows, float(recognized), float(error), moved)


def draw(rows: np.ndarray, file: str) -> None:
    """Save the first rows of new digits."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only where a picture is asked for

    figure, panels = plt.subplots(8, 10, figsize=(6, 5), layout="constrained")
    figure.suptitle("Each row is one key")
    for axes, image in zip(panels.flat, rows.reshape(-1, 8, 8), strict=False):
        axes.imshow(image, cmap="gray_r", vmin=-1, vmax=1)
        axes.set_axis_off()
    figure.savefig(file)
    plt.close(figure)


if __name__ == "__main__":
    main()
