"""Load the handwritten digits of scikit-learn, and define a small network that learns them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks

BATCH = 128
STEPS = 11
"""Batches in an epoch: 1,408 images to learn from, and 389 are held out."""

LAYERS = {"first": (64, 256), "second": (256, 128), "last": (128, 10)}
KEEP = 0.8
"""The probability that dropout keeps a unit."""

NOISE = 0.25
"""Input noise is uniform in (-NOISE, NOISE); a power of two scales without rounding."""

Params = dict[str, dict[str, jax.Array]]


class Digits(NamedTuple):
    """All the images, and which of them to learn from."""

    images: np.ndarray
    """(1797, 64) float32 in [0, 1], rows of 8 x 8 pixels."""
    labels: np.ndarray
    """(1797,) int32, the digit on each image."""
    train: np.ndarray
    """(STEPS * BATCH,) int32, indices of the images to learn from."""
    held_out: np.ndarray
    """int32, indices of all the others."""


class Drawn(NamedTuple):
    """What one step drew for its examples, a row for each."""

    noise: jax.Array
    """(examples, 64) float32, added to the images."""
    masks: jax.Array
    """(examples, hidden units) bool, True where dropout keeps the unit."""


def load() -> Digits:
    """Load the digits; the same images are held out whatever the seed of the run."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - an extra, asked for by then

    images, labels = load_digits(return_X_y=True)
    ids = np.asarray(jax.random.permutation(ks.key("held-out digits"), len(labels)), np.int32)
    train, held_out = np.split(ids, [STEPS * BATCH])
    return Digits((images / 16).astype(np.float32), labels.astype(np.int32), train, held_out)


def initial(key: jax.Array) -> Params:
    """Initialize the parameters, each layer from the key at its own path."""
    keys = ks.split_tree(key, LAYERS, is_leaf=lambda leaf: isinstance(leaf, tuple))
    return {name: _layer(keys[name], *shape) for name, shape in LAYERS.items()}


def _layer(key: jax.Array, inputs: int, outputs: int) -> dict[str, jax.Array]:
    # Uniform in (-1, 1) is made of bits alone, and one rounding follows: exact everywhere.
    weights = jax.random.uniform(key, (inputs, outputs), jnp.float32, minval=-1, maxval=1)
    return {
        "weights": weights * jnp.float32(math.sqrt(6 / inputs)),
        "bias": jnp.zeros((1, outputs), jnp.float32),
    }


def draw(key: jax.Array, *path: Any) -> Drawn:
    """Draw input noise and dropout masks, one row for each id that the path ends in.

    Each row is drawn from its id's own keys: bits and what is made of bits alone, the same
    on every device count, to the last bit.
    """
    hidden = sum(outputs for _, outputs in LAYERS.values()) - LAYERS["last"][1]
    noise = ks.batched(jax.random.uniform)(
        ks.derive(key, "noise", *path), (64,), jnp.float32, minval=-NOISE, maxval=NOISE
    )
    masks = ks.batched(jax.random.bernoulli)(
        ks.derive(key, "dropout", *path), jnp.float32(KEEP), (hidden,)
    )
    return Drawn(noise, masks)


def logits(params: Params, images: jax.Array, masks: jax.Array | None = None) -> jax.Array:
    """Return ten scores for each image, with dropout where masks are given."""
    values = images
    for name, (_, outputs) in LAYERS.items():
        values = values @ params[name]["weights"] + params[name]["bias"]
        if name == "last":
            break
        # Smooth on purpose: where a last digit decides on which side of a kink (relu) a unit
        # falls, two device counts can part for good; 6 of 12 seeds did, by up to 6e-2.
        values = jax.nn.silu(values)
        if masks is not None:
            values = jnp.where(masks[:, :outputs], values / jnp.float32(KEEP), 0)
            masks = masks[:, outputs:]
    return values


def loss(params: Params, images: jax.Array, labels: jax.Array, drawn: Drawn) -> jax.Array:
    """Return the mean cross-entropy of the noisy images."""
    scores = jax.nn.log_softmax(logits(params, images + drawn.noise, drawn.masks))
    return -jnp.take_along_axis(scores, labels[:, None], axis=1).mean()


def accuracy(params: Params, digits: Digits) -> float:
    """Return the share of held-out images that are recognized."""
    guesses = jax.jit(logits)(params, digits.images[digits.held_out]).argmax(axis=1)
    return float(np.mean(np.asarray(guesses) == digits.labels[digits.held_out]))
