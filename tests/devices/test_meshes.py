"""Every helper on meshes of Explicit, Auto and mixed axes, in and out of `jax.set_mesh`.

Explicit axes are part of an array's type, and JAX wants them to agree where arrays meet. So
what keystream makes beside an argument takes over that argument's sharding, and every word and
bit is that of the loop on one device.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding

import keystream as ks
from tests import catalogue, oracle, versions
from tests.catalogue import Row

P = jax.P
# In jitted lanes over Explicit axes JAX before 0.10 itself draws scalars alone.
bits = jax.random.bits if versions.EXPLICIT_IN_SET_MESH else oracle.bits
A, E = AxisType.Auto, AxisType.Explicit


FORMS = ("eager", "jit", "eager in set_mesh", "jit in set_mesh")


class Layout(NamedTuple):
    """A mesh, what an axis of eight items is cut by, and the forms that are tried on it."""

    shape: tuple[int, ...]
    kinds: tuple[AxisType, ...]
    entry: Any
    forms: tuple[str, ...] = FORMS

    @property
    def mesh(self) -> jax.sharding.Mesh:
        """Return the mesh, the same one at each call."""
        return _mesh(self.shape, self.kinds)

    @property
    def explicit(self) -> bool:
        """Is the axis of the items cut by Explicit axes, so that types say it?"""
        names = self.entry if isinstance(self.entry, tuple) else (self.entry,)
        return all(self.kinds["dm".index(name)] == E for name in names)

    def place(self, value: Any, *spec: Any) -> Any:
        """Lay an array out over the mesh."""
        return jax.device_put(value, NamedSharding(self.mesh, P(*spec)))


@functools.cache
def _mesh(shape: tuple[int, ...], kinds: tuple[AxisType, ...]) -> jax.sharding.Mesh:
    return jax.make_mesh(shape, ("d", "m")[: len(shape)], kinds)


LAYOUTS = {
    "explicit": Layout((8,), (E,), "d", FORMS[::3]),
    "auto": Layout((8,), (A,), "d", FORMS[:1]),
    "explicit grid": Layout((4, 2), (E, E), ("d", "m"), FORMS[1:2]),
    "auto grid": Layout((4, 2), (A, A), "m", FORMS[3:]),
    "mixed, over explicit": Layout((4, 2), (A, E), "m", FORMS[1:3]),
    "mixed, over auto": Layout((4, 2), (E, A), "m", FORMS[3:]),
}


def called(form: str, layout: Layout, fun: Callable[..., Any], *args: Any) -> Any:
    """Call in one of the forms; with the mesh set in all where JAX has Explicit axes only there."""
    run = jax.jit(fun) if form.startswith("jit") else fun
    if not form.endswith("set_mesh") and not (versions.EXPLICIT_IN_SET_MESH and E in layout.kinds):
        return run(*args)
    with jax.set_mesh(layout.mesh):
        return run(*args)


class Given(NamedTuple):
    """The arguments of a program, laid out over a mesh or not."""

    xs: Any
    """float32[8], cut."""
    ids: Any
    """int32[8], cut."""
    table: Any
    """float32[3,8], the second axis cut."""
    keys: Any
    """key<fry>[8], cut."""
    start: Any
    """int32[], on every device."""


class Program(NamedTuple):
    """What is run beside arguments on a mesh, and the loop that says what it must give."""

    run: Callable[[jax.Array, Given, Layout], Any]
    want: Callable[[jax.Array, Given], Any]
    forms: Callable[[Layout], tuple[str, ...]] = lambda layout: layout.forms
    """In which forms JAX's own calls in it work."""


def noisy(key: jax.Array, x: Any) -> Any:
    """Draw beside an argument; sum and draw are exact."""
    return x + jax.random.uniform(key)


def wide(key: jax.Array, xs: Any) -> Any:
    """Draw one number for a whole array."""
    return xs + jax.random.uniform(key)


def loop(key: jax.Array, items: Any, start: int = 0) -> np.ndarray:
    """Return `noisy` of each item with its own child, one after the other."""
    keys = oracle.children(key, range(start, start + len(items)))
    return np.stack([np.asarray(noisy(key, x)) for key, x in zip(keys, items, strict=True)])


def each(draw: Any, keys: Any) -> np.ndarray:
    return oracle.draws(draw, list(keys))


def tree_lane(key: jax.Array, tree: Any, shared: Any, *, scale: Any) -> Any:
    return {"a": tree["x"] + tree["rows"] + scale, "b": shared, "bits": bits(key)}


def want_tree(key: jax.Array, given: Given) -> Any:
    keys = oracle.children(key, range(8))
    lanes = [
        tree_lane(k, {"x": x, "rows": rows}, np.float32(2), scale=x)
        for k, x, rows in zip(keys, given.xs, given.table.T, strict=True)
    ]
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *lanes)


def run_tree(key: jax.Array, given: Given, _: Layout) -> Any:
    lanes = ks.vmap(tree_lane, in_axes=({"x": 0, "rows": -1}, None))
    tree = {"x": given.xs, "rows": given.table}
    return lanes(key, tree, jnp.float32(2), scale=given.xs)


def two_deep(key: jax.Array, given: Given, _: Layout) -> Any:
    inner = ks.vmap(noisy, in_axes=None, axis_size=2)
    return ks.vmap(inner)(key, given.xs)


def slope(key: jax.Array, given: Given, _: Layout) -> Any:
    return jax.grad(lambda xs: (ks.vmap(noisy)(key, xs) ** 2).sum())(given.xs)


def beside_streams(_key: jax.Array, given: Given, _: Layout) -> Any:
    streams = jax.vmap(ks.Stream)(given.keys)
    _, streams = jax.vmap(lambda stream: stream.next())(streams)
    keys, streams = jax.vmap(lambda stream: stream.take(2))(streams)
    last = jax.vmap(lambda stream: stream.skip(3).next()[0])(streams)
    return jax.vmap(lambda keys, last, x: noisy(keys[1], noisy(last, x)))(keys, last, given.xs)


def want_streams(_: jax.Array, given: Given) -> Any:
    lanes = [
        noisy(oracle.child(k, 2), noisy(oracle.child(k, 6), x))
        for k, x in zip(given.keys, given.xs, strict=True)
    ]
    return np.stack([np.asarray(lane) for lane in lanes])


def named_streams(_key: jax.Array, given: Given, _: Layout) -> Any:
    streams = jax.vmap(lambda key: ks.Streams(key, ("a", "b")))(given.keys)
    _, streams = jax.vmap(lambda streams: streams.next("a"))(streams)
    return jax.vmap(lambda streams, x: noisy(streams.next("a")[0], x))(streams, given.xs)


def key_words(keys: Any) -> Any:
    return jax.random.key_data(keys)


def fold(key: jax.Array, given: Given, *, chained: bool = False) -> Any:
    """Add a draw to the rows of the table, one after the other."""
    total, ys, keys = given.xs, [], oracle.chain(key, 3) if chained else None
    uses = keys[1] if keys else oracle.children(key, range(3))
    for use, row in zip(uses, given.table, strict=True):
        total = total + row
        ys.append(np.asarray(wide(use, row)))
    return total, np.stack(ys)


def scanned(helper: Any, **options: Any) -> Any:
    def run(key: jax.Array, given: Given, _: Layout) -> Any:
        body = lambda key, total, row: (total + row, wide(key, row))
        return helper(body, given.xs, given.table, key=key, **options)[-2:]

    return run


def counted(key: jax.Array, given: Given, _: Layout) -> Any:
    body = lambda key, _, total: total + jax.random.uniform(key)
    return ks.fori_loop(0, 3, body, given.xs, key=key)


def turned(key: jax.Array, given: Given, _: Layout) -> Any:
    body = lambda key, val: (val[0] + 1, val[1] + jax.random.uniform(key))
    return ks.while_loop(lambda val: val[0] < 3, body, (0, given.xs), key=key)[1]


def want_turns(key: jax.Array, given: Given) -> Any:
    total = given.xs
    for use in oracle.children(key, range(3)):
        total = total + np.asarray(jax.random.uniform(use))
    return total


def want_wide(key: jax.Array, given: Given) -> Any:
    return each(lambda use: wide(use, given.xs), oracle.children(key, range(8)))


def place(layout: Layout) -> NamedSharding:
    return NamedSharding(layout.mesh, P(layout.entry))


def but_eager(layout: Layout) -> tuple[str, ...]:
    """Name the forms in which JAX differentiates with regard to an Explicit array."""
    return tuple(f for f in layout.forms if f != "eager" or E not in layout.kinds)


def in_mesh(layout: Layout) -> tuple[str, ...]:
    """Name the forms in which `lax.axis_index` numbers lanes that are laid out by Explicit axes."""
    return inside(layout) if layout.explicit else layout.forms


def inside(layout: Layout) -> tuple[str, ...]:
    """Name the forms with the mesh in context."""
    return tuple(form for form in layout.forms if form.endswith("set_mesh"))


def outside(layout: Layout) -> tuple[str, ...]:
    """Name the forms without."""
    return tuple(form for form in layout.forms if form not in inside(layout))


PROGRAMS = {
    "vmap": Program(
        lambda key, given, _: ks.vmap(noisy)(key, given.xs),
        lambda key, given: loop(key, given.xs),
    ),
    "vmap start": Program(
        lambda key, given, _: ks.vmap(noisy, start=2**32 - 3)(key, given.xs),
        lambda key, given: loop(key, given.xs, 2**32 - 3),
    ),
    "vmap traced start": Program(
        lambda key, given, _: ks.vmap(noisy, start=given.start)(key, given.xs),
        lambda key, given: loop(key, given.xs, 3),
    ),
    "vmap tree": Program(run_tree, want_tree),
    "vmap axes": Program(
        lambda key, given, _: ks.vmap(noisy, in_axes=1, out_axes=1)(key, given.table),
        lambda key, given: loop(key, given.table.T).T,
    ),
    "vmap spmd_axis_name": Program(
        lambda key, given, layout: ks.vmap(noisy, spmd_axis_name=layout.entry)(key, given.xs),
        lambda key, given: loop(key, given.xs),
        inside,
    ),
    "vmap in vmap": Program(
        two_deep,
        lambda key, given: np.stack(
            [loop(k, [x, x]) for k, x in zip(oracle.children(key, range(8)), given.xs, strict=True)]
        ),
    ),
    "grad of vmap": Program(slope, lambda key, given: 2 * loop(key, given.xs), but_eager),
    "batched": Program(
        lambda _key, given, _: ks.batched(bits)(given.keys),
        lambda _, given: each(bits, given.keys),
    ),
    "keys, jax.vmap": Program(
        lambda key, given, layout: jax.vmap(noisy)(
            ks.keys(key, 8, start=3, out_sharding=place(layout)), given.xs
        ),
        lambda key, given: loop(key, given.xs, 3),
    ),
    "derive, jax.vmap": Program(
        lambda key, given, _: jax.vmap(noisy)(ks.derive(key, "a", given.ids), given.xs),
        lambda key, given: np.stack(
            [
                np.asarray(noisy(oracle.derive(key, "a", int(i)), x))
                for i, x in zip(given.ids, given.xs, strict=True)
            ]
        ),
    ),
    "derive, two arrays": Program(
        lambda key, given, _: key_words(ks.derive(key, given.ids, 2**40)),
        lambda key, given: oracle.all_words([oracle.derive(key, int(i), 2**40) for i in given.ids]),
    ),
    "for_axis": Program(
        lambda key, given, _: jax.vmap(
            lambda x: noisy(ks.for_axis(key, "lane"), x), axis_name="lane"
        )(given.xs),
        lambda key, given: loop(key, given.xs),
        in_mesh,
    ),
    "pmap": Program(
        lambda key, _given, _: ks.pmap(noisy)(key, np.arange(8, dtype=np.float32)),
        lambda key, given: loop(key, given.xs),
        outside,
    ),
    "Stream": Program(beside_streams, want_streams),
    "Streams": Program(
        named_streams,
        lambda _, given: np.stack(
            [
                np.asarray(noisy(oracle.derive(k, "a", 1), x))
                for k, x in zip(given.keys, given.xs, strict=True)
            ]
        ),
    ),
    "sample": Program(
        lambda key, given, _: ks.sample(wide, key, 8, given.xs),
        want_wide,
    ),
    "sample placed": Program(
        lambda key, given, layout: ks.sample(wide, key, 8, given.xs, out_sharding=place(layout)),
        want_wide,
    ),
    "sample batches": Program(
        lambda key, given, _: ks.sample(wide, key, 8, given.xs, batch_size=3),
        want_wide,
    ),
    "sample in vmap": Program(
        lambda _key, given, _: jax.vmap(lambda k: ks.sample(bits, k, 3, batch_size=2))(given.keys),
        lambda _, given: np.stack([each(bits, oracle.children(k, range(3))) for k in given.keys]),
    ),
    "scan": Program(scanned(ks.scan), fold),
    "scan_carried": Program(
        scanned(ks.scan_carried), lambda key, given: fold(key, given, chained=True)
    ),
    "fori_loop": Program(counted, want_turns),
    "while_loop": Program(turned, want_turns),
    "map": Program(
        lambda key, given, _: ks.map(wide, given.table, key=key),
        lambda key, given: fold(key, given)[1],
    ),
    "map batches": Program(
        lambda key, given, _: ks.map(wide, given.table, key=key, batch_size=2),
        lambda key, given: fold(key, given)[1],
    ),
}


@functools.cache
def on_host() -> Given:
    """Return the arguments of every program on one device."""
    xs = np.arange(8, dtype=np.float32)
    keys = jnp.stack(oracle.children(jax.random.key(7), range(8)))
    return Given(
        xs, np.arange(8, dtype=np.int32) * 3, np.stack([xs, -xs, xs / 2]), keys, np.int32(3)
    )


@functools.cache
def laid_out(layout: Layout) -> Given:
    """Return them laid out over a mesh."""
    here, entry = on_host(), layout.entry
    return Given(
        layout.place(here.xs, entry),
        layout.place(here.ids, entry),
        layout.place(here.table, None, entry),
        layout.place(here.keys, entry),
        layout.place(here.start),
    )


def check(program: Program, layout: Layout, form: str, seed: int = 1) -> None:
    """Hold a program in one form against the loop."""
    key = ks.key(seed)
    run = lambda key, given: program.run(key, given, layout)
    got = called(form, layout, run, key, laid_out(layout))
    oracle.assert_same(jax.tree.map(np.asarray, got), program.want(key, on_host()))


layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


MORE = {**LAYOUTS, "explicit, in other forms": Layout((8,), (E,), "d", FORMS[1:3])}
FIRST = "explicit"
"""The layout on which everything is tried at once; the others are slow but for a few programs."""
ON_ALL = ("vmap", "scan", "sample placed")


@versions.PMAP_IN_JIT
@pytest.mark.parametrize(
    ("name", "layout"),
    [
        pytest.param(
            name,
            layout,
            marks=[pytest.mark.slow] * (which != FIRST and name not in ON_ALL),
            id=f"{name}-{which}",
        )
        for name in PROGRAMS
        for which, layout in MORE.items()
    ],
)
def test_beside_arguments(name: str, layout: Layout) -> None:
    """Beside arguments on a mesh, whatever its axes, an item draws what it draws in the loop."""
    for form in PROGRAMS[name].forms(layout):
        check(PROGRAMS[name], layout, form)


def test_check_finds_wrong_implementations() -> None:
    """The check fails where each shard counts its lanes from 0, and where a lane is off by one."""
    program, layout = PROGRAMS["vmap"], LAYOUTS["explicit"]

    def restarts(key: jax.Array, given: Given, _: Layout) -> Any:
        place = given.keys.sharding
        keys = jax.device_put(jnp.tile(jax.random.split(key, 4), 2), place)
        return jax.vmap(noisy)(keys, given.xs)

    def off_by_one(key: jax.Array, given: Given, _: Layout) -> Any:
        return ks.vmap(noisy, start=1)(key, given.xs)

    for wrong in (restarts, off_by_one):
        with pytest.raises(AssertionError, match="differ"):
            check(program._replace(run=wrong), layout, "eager")


@layouts
def test_shards(layout: Layout) -> None:
    """Shard i draws from child i beside its arguments, and shard_keys hands out that child."""
    key, given, spec = ks.key(1), laid_out(layout), P(layout.entry)
    names = layout.entry if isinstance(layout.entry, tuple) else (layout.entry,)
    shards = int(np.prod([layout.mesh.shape[name] for name in names]))
    want = oracle.children(key, range(shards))
    lanes = ks.shard_map(
        lambda key, xs: xs + jax.random.uniform(key, xs.shape),
        mesh=layout.mesh,
        in_specs=spec,
        out_specs=spec,
        vary=layout.entry,
    )
    drawn = [np.asarray(jax.random.uniform(use, (8 // shards,))) for use in want]
    for form in layout.forms:
        got = called(form, layout, lanes, key, given.xs)
        oracle.assert_same(np.asarray(got), on_host().xs + np.concatenate(drawn))
        made = called(form, layout, lambda key: ks.shard_keys(key, layout.mesh, spec), key)
        oracle.assert_same_keys(made, want)


ON_MESHES = [row for row in catalogue.ROWS if not row.devices and row.name != "for_process"]
rows = pytest.mark.parametrize("row", ON_MESHES, ids=catalogue.label)


@rows
def test_replicated_key(row: Row) -> None:
    """With a key on every device of an Explicit mesh, an item draws what it draws in the loop."""
    layout, n = LAYOUTS["explicit"], row.sizes[-1] if len(row.sizes) == 1 else 3
    key = ks.key(2)
    there, want = layout.place(key), row.want(key, n, 0, bits)
    got = called("eager", layout, lambda key: row.run(key, n, 0, bits), there)
    oracle.assert_same(jax.tree.map(np.asarray, got), want)


# Over the Explicit axes of a mesh with Auto ones JAX before 0.10 draws nothing in lanes.
LANES = "explicit" if versions.EXPLICIT_IN_SET_MESH else "mixed, over explicit"


@rows
def test_lanes_of_keys(row: Row) -> None:
    """With a key in each lane, laid out over an Explicit axis, a lane draws what its key does."""
    layout, n = LAYOUTS[LANES], row.sizes[-1] if len(row.sizes) == 1 else 3
    want = [row.want(key, n, 0, bits) for key in on_host().keys]
    lanes = jax.vmap(lambda key: row.run(key, n, 0, bits))
    got = called("jit", layout, lanes, laid_out(layout).keys)
    oracle.assert_same(
        jax.tree.map(np.asarray, got), jax.tree.map(lambda *leaves: np.stack(leaves), *want)
    )
