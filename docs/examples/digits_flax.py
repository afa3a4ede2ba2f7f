"""Teach a flax network to read digits, with dropout and jitter that belong to the example.

    python docs/examples/digits_flax.py                       15 epochs
    python docs/examples/digits_flax.py --small               4
    python docs/examples/digits_flax.py --state digits.state  save each epoch, and go on from there
    python docs/examples/digits_flax.py --picture digits.svg  and what the network got wrong

1,797 handwritten digits of 8 x 8 pixels (they come with scikit-learn), a small convolutional
network. While it learns, each image is shifted at random and half of its features are dropped.

Dropout usually draws by an image's place in the batch. Here example i of epoch e draws from
`derive(key, "noise", e, "dropout", i)`, so what happens to an image doesn't depend on the batch
that it is in, and the gradients of eight small batches add up to that of the large one. With keys
by the place they can't, and the program shows by how much.

Parameters, optimizer and the number of the epoch are all that there is to save: a run that was
killed goes on bit for bit.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any, NamedTuple

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from tqdm import tqdm

import keystream as ks

BATCH = 128
OPTIMIZER = optax.adam(3e-3)
IMAGES, LABELS = load_digits().images[..., None].astype(np.float32) / 16, load_digits().target
LEARNED, HELD_OUT = np.split(np.random.default_rng(0).permutation(len(LABELS)), [11 * BATCH])


class Network(nn.Module):
    """Two convolutions and a dense layer."""

    @nn.compact
    def __call__(self, image: jax.Array, *, learning: bool = False) -> jax.Array:
        """Return ten scores."""
        hidden = nn.relu(nn.Conv(32, (3, 3))(image))
        hidden = nn.relu(nn.Conv(64, (3, 3), strides=2)(hidden))
        hidden = hidden.reshape(*hidden.shape[:-3], -1)
        hidden = nn.Dropout(0.5, deterministic=not learning)(hidden)
        return nn.Dense(10)(hidden)


NETWORK = Network()


class State(NamedTuple):
    """All that training goes on from."""

    epoch: Any
    params: Any
    optimizer: Any


def jitter(key: jax.Array, image: jax.Array) -> jax.Array:
    """Shift an image by up to one pixel each way."""
    row, column = jax.random.randint(key, (2,), 0, 3)
    return jax.lax.dynamic_slice(jnp.pad(image[..., 0], 1), (row, column), (8, 8))[..., None]


def example_loss(params: Any, keys: dict[str, jax.Array], image: Any, label: Any) -> jax.Array:
    """Return the loss of one example, with keys of its own."""
    image = jitter(keys["jitter"], image)
    scores = NETWORK.apply(params, image, learning=True, rngs={"dropout": keys["dropout"]})
    return optax.softmax_cross_entropy_with_integer_labels(scores, label)


def loss(params: Any, key: jax.Array, ids: jax.Array, examples: jax.Array) -> jax.Array:
    """Return the mean loss of some examples, whose keys go by the given ids."""
    keys = {name: ks.derive(key, name, ids) for name in ("jitter", "dropout")}
    each = jax.vmap(example_loss, in_axes=(None, 0, 0, 0))
    return each(params, keys, jnp.asarray(IMAGES)[examples], jnp.asarray(LABELS)[examples]).mean()


SLOPE = jax.jit(jax.grad(loss))


@jax.jit
def train(key: jax.Array, state: State) -> tuple[State, jax.Array]:
    """Learn from every example once; return the losses, too."""
    order = jax.random.permutation(ks.derive(key, "order", state.epoch), LEARNED)
    noise = ks.derive(key, "noise", state.epoch)

    def step(carry: Any, batch: jax.Array) -> Any:
        params, optimizer = carry
        value, slope = jax.value_and_grad(loss)(params, noise, batch, batch)
        update, optimizer = OPTIMIZER.update(slope, optimizer)
        return (optax.apply_updates(params, update), optimizer), value

    carry, losses = jax.lax.scan(step, state[1:], order.reshape(-1, BATCH))
    return State(state.epoch + 1, *carry), losses


def begin(key: jax.Array) -> State:
    """Return the state before the first epoch."""
    params = NETWORK.init(ks.derive(key, "params"), jnp.asarray(IMAGES[0]))
    return State(jnp.int32(0), params, OPTIMIZER.init(params))


@jax.jit
def guesses(params: Any) -> jax.Array:
    """Return the digit that the network sees in each held-out image."""
    return NETWORK.apply(params, jnp.asarray(IMAGES)[HELD_OUT]).argmax(axis=1)


def split_up(params: Any, key: jax.Array, *, by_place: bool) -> float:
    """Return how far the gradient of a batch is from the mean of its eighths', relatively."""

    def of(batch: np.ndarray) -> Any:
        return SLOPE(params, key, np.arange(len(batch)) if by_place else batch, batch)

    batch = LEARNED[:BATCH]
    parts = [of(part) for part in np.split(batch, 8)]
    mean = jax.tree.map(lambda *slopes: sum(slopes) / len(slopes), *parts)
    off = jax.tree.map(jnp.subtract, mean, of(batch))
    return float(optax.tree.norm(off) / optax.tree.norm(of(batch)))


class Result(NamedTuple):
    """What a run came to."""

    state: State
    accuracy: float
    """The share of held-out images that are read right."""
    by_example: float
    """How far the gradient of a batch is from the mean of its eighths,"""
    by_place: float
    """and how far it is where keys go by the place in a batch."""


def main(arguments: list[str] | None = None) -> Result:
    """Train, test, and take a batch apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few epochs")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--state", metavar="FILE", type=pathlib.Path, help="save here, and go on")
    parser.add_argument("--picture", metavar="FILE", help="save a picture")
    options = parser.parse_args(arguments)
    epochs = options.epochs or (4 if options.small else 15)

    key = ks.key(options.seed)
    state = begin(key)
    if options.state and options.state.exists():
        state = flax.serialization.from_bytes(state, options.state.read_bytes())
        print(f"goes on after epoch {state.epoch} of {options.state}")
    for _ in (bar := tqdm(range(int(state.epoch), epochs), desc="epochs", disable=None)):
        state, losses = train(key, state)
        bar.set_postfix(loss=f"{losses.mean():.3f}")
        if options.state:
            options.state.write_bytes(flax.serialization.to_bytes(state))

    seen = np.asarray(guesses(state.params))
    accuracy = float((seen == LABELS[HELD_OUT]).mean())
    error = (accuracy * (1 - accuracy) / len(HELD_OUT)) ** 0.5
    print(f"{accuracy:.3f} ± {error:.3f} of {len(HELD_OUT)} held-out digits are read right")

    apart = [split_up(state.params, ks.derive(key, "check"), by_place=how) for how in (False, True)]
    print("a gradient summed from eight small batches is off, relative to that of the large one,")
    print(f"by {apart[0]:.0e} with keys by example, by {apart[1]:.1f} with keys by place")
    if options.picture:
        draw(seen, options.picture)
    return Result(state, accuracy, *apart)


def draw(seen: np.ndarray, file: str) -> None:
    """Save the digits that were read wrong, up to sixteen, with what the network saw."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only where a picture is asked for

    wrong = np.flatnonzero(seen != LABELS[HELD_OUT])[:16]
    figure, panels = plt.subplots(2, 8, figsize=(8, 2.6), layout="constrained")
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, i in zip(panels.flat, wrong, strict=False):
        axes.imshow(IMAGES[HELD_OUT[i]], cmap="gray_r")
        axes.set_title(f"{seen[i]}, not {LABELS[HELD_OUT[i]]}", fontsize=8)
    figure.savefig(file)
    plt.close(figure)


if __name__ == "__main__":
    main()
