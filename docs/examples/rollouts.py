"""Learn to cross a slippery lake from thousands of games played side by side.

    python docs/examples/rollouts.py                      5 rounds of 16,384 games
    python docs/examples/rollouts.py --small              3 rounds of 2,048
    python docs/examples/rollouts.py --state lake.npz     save each round, and go on from there
    python docs/examples/rollouts.py --picture lake.svg   and what was learned

A step on the ice goes where it was meant to, or to the left or right of that, each with chance
1/3. Each round plays games, some of their moves at random, counts what they met, and plans new
moves on these counts.

Game i of round r draws from `derive(key, "explore", r, i)`, its step t from child t of that. So a
game is the same one in batches, beside others or on eight devices: exactly, since places and
moves are integers. Then the counts are the same too, and all that is learned from them; and a run
goes on from its counts and the number of the round as if it hadn't stopped.

The lake's true rules are known here, and so is the chance that a plan succeeds: the share of
games that it wins has to meet it within an error bar.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import keystream as ks

LAKE = """
S.......
..O.....
.....O..
O.......
...O..O.
......O.
.O......
...O...G
"""
SIZE, STEPS = 8, 100
RANDOM_MOVES = 0.2  # of all moves while exploring
HURRY = 0.99  # a goal one step later is worth that much
ICE = np.array(list(LAKE.replace("\n", "")))
PLACES = np.arange(SIZE**2)
START, GOAL, OVER = int(np.argmax(ICE == "S")), int(np.argmax(ICE == "G")), np.isin(ICE, ["O", "G"])
DIRECTIONS = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])  # up, right, down, left

# Where each direction leads from each place, (places, 4): the shore holds, and so does the end.
_steps = np.stack(np.divmod(PLACES, SIZE), axis=1)[:, None] + DIRECTIONS
LEADS = np.where(OVER[:, None], PLACES[:, None], np.clip(_steps, 0, SIZE - 1) @ [SIZE, 1])

# The true chance that a move at a place leads to another: (places, 4, places).
_slips = LEADS[:, (np.arange(4)[:, None] + [-1, 0, 1]) % 4]
RULES = (_slips[..., None] == PLACES).mean(axis=2)


class Seen(NamedTuple):
    """What happened at each step of a game, int32 (steps,)."""

    place: Any
    move: Any
    reached: Any


def play(key: jax.Array, plan: jax.Array, random_moves: float) -> Seen:
    """Play one game by a plan, some of its moves at random."""

    def step(key: jax.Array, place: jax.Array, _: None) -> tuple[jax.Array, Seen]:
        whether_key, move_key, slip_key = ks.split(key, 3)
        random = jax.random.bernoulli(whether_key, random_moves)
        move = jnp.where(random, jax.random.randint(move_key, (), 0, 4), plan[place])
        slip = jax.random.randint(slip_key, (), -1, 2)
        reached = jnp.asarray(LEADS, jnp.int32)[place, (move + slip) % 4]
        return reached, Seen(place, move, reached)

    return ks.scan(step, jnp.int32(START), key=key, length=STEPS)[1]


def play_all(key: jax.Array, games: int, plan: np.ndarray, random_moves: float, **how: Any) -> Seen:
    """Play games side by side; `batch_size=` and `out_sharding=` say how."""
    seen = ks.sample(play, key, games, jnp.asarray(plan, jnp.int32), random_moves, **how)
    return Seen(*(np.asarray(field) for field in seen))


def over_devices(devices: int) -> jax.sharding.NamedSharding:
    """Return the layout that shares games out over the first devices."""
    mesh = jax.make_mesh((devices,), ("games",), devices=jax.devices()[:devices])
    return jax.sharding.NamedSharding(mesh, jax.P("games"))


def plan_on(counts: np.ndarray) -> np.ndarray:
    """Return the moves that are likeliest to reach the goal, by what has been counted."""
    chances = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
    value = (PLACES == GOAL).astype(float)
    for _ in range(STEPS):
        value = np.maximum(value, HURRY * (chances @ value).max(axis=1))
    return (chances @ value).argmax(axis=1)


def chance_of(plan: np.ndarray) -> float:
    """Return the exact chance that a plan reaches the goal in the steps of one game."""
    at = (PLACES == START).astype(float)
    for _ in range(STEPS):
        at = at @ RULES[PLACES, plan]
    return float(at[GOAL])


class Result(NamedTuple):
    """What a run found."""

    counts: np.ndarray
    plan: np.ndarray
    chances: list[float]
    """For each round, the exact chance that its plan succeeds,"""
    shares: list[float]
    """the share of games that it won,"""
    sigmas: list[float]
    """and how many standard errors lie between them."""
    same: bool
    """Whether the last games came out the same in batches and on one device."""


def main(arguments: list[str] | None = None) -> Result:
    """Play, count and plan, round by round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few games, in a few seconds")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--state", metavar="FILE", type=pathlib.Path, help="save here, and go on")
    parser.add_argument("--picture", metavar="FILE", help="save a picture")
    options = parser.parse_args(arguments)
    games = 2_048 if options.small else 16_384
    rounds = options.rounds or (3 if options.small else 5)

    key, devices = ks.key(options.seed), jax.device_count()
    sharding = over_devices(devices)
    done, counts = 0, np.zeros((SIZE**2, 4, SIZE**2), np.int64)
    if options.state and options.state.exists():
        with np.load(options.state) as state:
            done, counts = int(state["done"]), state["counts"]
        print(f"goes on after round {done} of {options.state}")

    print(f"rounds of {games:,} games on {devices} devices; a plan that is made on the", end=" ")
    print(f"true rules wins {chance_of(plan_on(RULES)):.4f}")
    chances, shares, sigmas = [], [], []
    for number in tqdm(range(done, rounds), desc="rounds", disable=None):
        plan, random_moves = plan_on(counts), RANDOM_MOVES if number else 1.0
        explore = ks.derive(key, "explore", number), games, plan, random_moves
        seen = play_all(*explore, out_sharding=sharding)
        np.add.at(counts, seen, 1)
        if options.state:
            np.savez(options.state, done=number + 1, counts=counts)

        plan = plan_on(counts)
        trial = play_all(ks.derive(key, "try", number), games, plan, 0.0, out_sharding=sharding)
        chances.append(chance_of(plan))
        shares.append(float((trial.reached[:, -1] == GOAL).mean()))
        error = np.sqrt(max(chances[-1] * (1 - chances[-1]), 1e-12) / games)
        sigmas.append((shares[-1] - chances[-1]) / error)
        tqdm.write(
            f"round {number}: the new plan won {shares[-1]:.4f} ± {error:.4f}, "
            f"its exact chance is {chances[-1]:.4f} ({sigmas[-1]:+.1f} sigma)"
        )

    again = play_all(*explore, batch_size=100, out_sharding=over_devices(1))
    same = np.array_equal(again, seen)
    print(f"the last games again, in batches of 100 on one device: same {same}")
    if options.picture:
        draw(plan, options.picture)
    return Result(counts, plan, chances, shares, sigmas, same)


def draw(plan: np.ndarray, file: str) -> None:
    """Save the lake, with an arrow for each planned move."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only where a picture is asked for

    figure, axes = plt.subplots(figsize=(4, 4), layout="constrained")
    axes.imshow(np.where(ICE == "O", 0.0, 0.75).reshape(SIZE, SIZE), cmap="Blues_r", vmax=1)
    y, x = np.divmod(PLACES, SIZE)
    down, right = DIRECTIONS[plan].T
    shown = ~OVER & (PLACES != START)
    axes.quiver(x[shown], y[shown], right[shown], -down[shown], pivot="mid")
    for name, place in (("start", START), ("goal", GOAL)):
        axes.text(x[place], y[place], name, ha="center", va="center", weight="bold")
    axes.set(xticks=[], yticks=[], title="What was learned of the lake")
    figure.savefig(file)
    plt.close(figure)


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)  # a CPU counts as eight devices, for the show
    main()
