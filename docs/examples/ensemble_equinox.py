"""Train an ensemble of equinox networks side by side, and add members later.

    python docs/examples/ensemble_equinox.py                           8 members
    python docs/examples/ensemble_equinox.py --small                   4
    python docs/examples/ensemble_equinox.py --picture ensemble.svg    and what it is unsure of

Several networks that were begun and taught by different random numbers agree where they know,
and differ where they guess: where they differ, their mean isn't to be trusted.

Member i lives on child i of one key: its weights, the order in which it sees the examples, and
its dropout in each step. So members 4 ... 7 can be trained next week on another machine
(`start=4`), and are what they would have been in a run of eight.
"""

from __future__ import annotations

import argparse
import itertools
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import keystream as ks

BATCH = 128
IMAGES, LABELS = load_digits().data.astype(np.float32) / 16, load_digits().target
LEARNED, HELD_OUT = np.split(np.random.default_rng(0).permutation(len(LABELS)), [11 * BATCH])
OPTIMIZER = optax.adam(2e-3)


class Network(eqx.Module):
    """Two hidden layers with dropout, for one image."""

    layers: list[eqx.nn.Linear]
    dropout: eqx.nn.Dropout

    def __init__(self, key: jax.Array, width: int = 128) -> None:
        sizes = [64, width, width, 10]
        self.layers = [
            eqx.nn.Linear(*shape, key=ks.derive(key, i))
            for i, shape in enumerate(itertools.pairwise(sizes))
        ]
        self.dropout = eqx.nn.Dropout(0.3)

    def __call__(self, image: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Return ten scores; a key means that dropout is on."""
        *hidden, last = self.layers
        for i, layer in enumerate(hidden):
            image = jax.nn.relu(layer(image))
            drop_key = None if key is None else ks.derive(key, i)
            image = self.dropout(image, key=drop_key, inference=key is None)
        return last(image)


def loss(arrays: Network, rest: Network, key: jax.Array, ids: jax.Array) -> jax.Array:
    """Return the mean loss of some examples, each with dropout of its own."""
    network = eqx.combine(arrays, rest)
    scores = jax.vmap(network)(jnp.asarray(IMAGES)[ids], ks.derive(key, ids))
    labels = jnp.asarray(LABELS)[ids]
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


class Member(NamedTuple):
    """What training a member gives; an array of them is an ensemble."""

    order: jax.Array
    """The examples as it saw them, int (epochs * examples,)."""
    chances: jax.Array
    """What it makes of the held-out images: (images, 10)."""


def member(key: jax.Array, epochs: int) -> Member:
    """Train one member, from nothing but its key."""
    keys = ks.split(key, ("weights", "order", "dropout"))
    order = ks.sample(jax.random.permutation, keys["order"], epochs, jnp.asarray(LEARNED)).ravel()
    arrays, rest = eqx.partition(Network(keys["weights"]), eqx.is_inexact_array)

    def step(key: jax.Array, carry: Any, batch: jax.Array) -> tuple[Any, None]:
        arrays, state = carry
        slope = eqx.filter_grad(loss)(arrays, rest, key, batch)
        update, state = OPTIMIZER.update(slope, state)
        return (eqx.apply_updates(arrays, update), state), None

    start = arrays, OPTIMIZER.init(arrays)
    (arrays, _), _ = ks.scan(step, start, order.reshape(-1, BATCH), key=keys["dropout"])
    scores = jax.vmap(eqx.combine(arrays, rest))(jnp.asarray(IMAGES)[HELD_OUT])
    return Member(order, jax.nn.softmax(scores))


def train(key: jax.Array, first: int, count: int, epochs: int) -> Member:
    """Train some members side by side, shared out over the devices."""
    devices, auto = math.gcd(count, jax.device_count()), (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((devices,), ("members",), auto, devices=jax.devices()[:devices])
    sharding = jax.sharding.NamedSharding(mesh, jax.P("members"))
    keys = ks.keys(key, count, start=first, out_sharding=sharding)
    made = eqx.filter_jit(eqx.filter_vmap(member, in_axes=(0, None)))(keys, epochs)
    return Member(*(np.asarray(field) for field in made))


class Result(NamedTuple):
    """What a run came to."""

    members: Member
    alone: np.ndarray
    """The share of held-out digits that each member reads right,"""
    together: float
    """and the mean of them all."""
    agreed: tuple[float, float]
    """That share where all members say the same, and where they don't."""
    later: Member
    """The last members once more, without the others."""


def main(arguments: list[str] | None = None) -> Result:
    """Train the members, let them vote, and train the last ones again by themselves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few members")
    parser.add_argument("--members", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--picture", metavar="FILE", help="save a picture")
    options = parser.parse_args(arguments)
    count = options.members or (4 if options.small else 8)
    epochs = options.epochs or (8 if options.small else 15)

    key = ks.derive(ks.key(options.seed), "members")
    members = train(key, 0, count, epochs)

    right = members.chances.argmax(axis=2) == LABELS[HELD_OUT]
    votes = members.chances.mean(axis=0).argmax(axis=1)
    correct = votes == LABELS[HELD_OUT]
    alone, together = right.mean(axis=1), share(correct)
    same = (members.chances.argmax(axis=2) == votes).all(axis=0)
    print(f"{count} members, {len(HELD_OUT)} held-out digits")
    print(f"alone they read {alone.min():.3f} ... {alone.max():.3f} right, together", end=" ")
    print("{:.3f} ± {:.3f}".format(*together))
    agreed, elsewhere = share(correct[same]), share(correct[~same])
    print(f"where all agree ({same.mean():.0%} of the images)", end=" ")
    print("{:.3f} ± {:.3f}, elsewhere {:.3f} ± {:.3f}".format(*agreed, *elsewhere))

    later = train(key, count - 2, 2, epochs)
    exact = np.array_equal(later.order, members.order[-2:])
    moved = np.abs(later.chances - members.chances[-2:]).max()
    print(f"the last two again, without the others: same order of examples {exact}", end=", ")
    print(f"chances move by at most {moved:.0e}")
    if options.picture:
        draw(members.chances, options.picture)
    return Result(members, alone, together[0], (agreed[0], elsewhere[0]), later)


def share(correct: np.ndarray) -> tuple[float, float]:
    """Return the share that is correct, and its standard error."""
    mean = float(correct.mean()) if len(correct) else math.nan
    return mean, math.sqrt(mean * (1 - mean) / max(len(correct), 1))


def draw(chances: np.ndarray, file: str) -> None:
    """Save the digits of which the members are least sure, and what each of them makes of them."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only where a picture is asked for

    mean = chances.mean(axis=0)
    unsure = np.argsort(mean.max(axis=1))[:8]
    figure, panels = plt.subplots(2, 8, figsize=(10, 3), layout="constrained")
    for (image, bars), i in zip(panels.T, unsure, strict=True):
        image.imshow(IMAGES[HELD_OUT[i]].reshape(8, 8), cmap="gray_r")
        image.set_title(f"a {LABELS[HELD_OUT[i]]}", fontsize=9)
        image.set_axis_off()
        bars.imshow(chances[:, i], aspect="auto", vmin=0, vmax=1, cmap="Blues")
        bars.set(xticks=range(0, 10, 3), yticks=[])
    panels[1, 0].set_ylabel("members")
    figure.savefig(file)
    plt.close(figure)


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)  # a CPU counts as eight devices, for the show
    main()
