"""docs/guarantees.md says what holds, and no more than what is tested."""

from __future__ import annotations

import ast
import hashlib
import inspect
import pathlib
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import keystream as ks
from keystream import _compat
from tests import catalogue
from tests.catalogue import BY_NAME, Row
from tests.docs.test_docs import PUBLIC
from tests.keys import test_laws
from tests.oracle import IMPLS, bits

TESTS = pathlib.Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "guarantees.md").read_text()
COLUMNS = {
    "eager, jit": ("eager", "jitted", "ahead_of_time"),
    "vmap": ("vmapped",),
    "scan, grad, remat": ("scanned", "differentiated", "rematerialized", "rematerialized_scan"),
    "shard_map, pmap": ("sharded", "pmapped"),
}
TRIED_HERE = ("ahead_of_time", "vmapped", "rematerialized_scan", "sharded")
"""For each column the transform with which a cell other than "same" is tried."""
REFUSED_IMPLS = ("unsafe_rbg", "philox2x32")


class Cell(NamedTuple):
    """What the page says of one helper, implementation and column."""

    row: str
    impl: str
    column: str
    says: str

    def __str__(self) -> str:
        return f"{self.row}-{self.impl}-{self.column}".replace(", ", "+").replace(" ", "_")


def table(page: str, head: str) -> list[list[str]]:
    """Return the rows of the table whose first heading is given, cell by cell."""
    lines = page.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"| {head} |"))
    rows = []
    for line in [lines[first], *lines[first + 2 :]]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def cells(page: str) -> list[Cell]:
    """Return every cell of the large table, one for each implementation."""
    (_, _, _, *columns), *rows = table(page, "row")
    assert columns == list(COLUMNS)
    return [
        Cell(row, impl, column, said)
        for row, _, impls, *says in rows
        for impl in impls.split(", ")
        for column, said in zip(columns, says, strict=True)
    ]


CELLS = cells(PAGE)


def laws() -> set[tuple[str, str, str]]:
    """Return what keys/test_laws.py holds against the oracle: row, implementation, transform."""
    found = test_laws.transformable()
    return {(row.name, impl, transform.__name__) for transform, row, impl in found}


def helpers() -> set[str]:
    """Return the names of the public functions, and of the values with methods."""
    functions = {name for name, value in PUBLIC.items() if inspect.isfunction(value)}
    return functions | {"Stream", "Streams"}


def unbacked(said: list[Cell], tested: set[tuple[str, str, str]]) -> list[Cell]:
    """Return the cells that say "same" without a law test, or don't say it with one."""
    return [
        cell
        for cell in said
        if (cell.says == "same")
        != any((cell.row, cell.impl, name) in tested for name in COLUMNS[cell.column])
    ]


def named_tests(page: str) -> set[tuple[str, str]]:
    """Return the tests that a page names, as file and function."""
    return set(re.findall(r"`(\w+/test_\w+\.py)::(test_\w+)`", page))


def missing_tests(named: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those of the named tests that don't exist."""
    return sorted((file, name) for file, name in named if name not in functions(file))


def functions(file: str) -> set[str]:
    """Return the names of the functions of a test file, without running it."""
    path = TESTS / file
    if not path.exists():
        return set()
    return {node.name for node in ast.parse(path.read_text()).body if hasattr(node, "name")}


@pytest.mark.fast
def test_every_helper_is_in_a_table() -> None:
    """Every public function has a row, in the large table or among those for the host."""
    shown = re.findall(r"ks\.(\w+)\(", " ".join(row[1] for row in table(PAGE, "row")))
    host = re.findall(r"ks\.(\w+)\(", " ".join(row[0] for row in table(PAGE, "for the host")))
    assert set(shown) | set(host) == helpers()


@pytest.mark.fast
def test_every_row_has_every_implementation() -> None:
    """The large table has each row of the catalogue once for each implementation and column."""
    said = [(cell.row, cell.impl, cell.column) for cell in CELLS]
    every = {(row, impl, column) for row in BY_NAME for impl in IMPLS for column in COLUMNS}
    assert len(said) == len(set(said))
    assert set(said) == every


@pytest.mark.fast
def test_same_is_backed() -> None:
    """A cell says "same" exactly where a law test holds it against the oracle."""
    assert unbacked(CELLS, laws()) == []


@pytest.mark.fast
def test_an_unbacked_cell_is_noticed() -> None:
    """A cell that promises more, or less, than what is tested is found."""
    promised = next(c for c in CELLS if c.says == "same")
    refused = next(c for c in CELLS if c.says == "refused")
    faulty = [promised._replace(says="refused"), refused._replace(says="same")]
    assert unbacked([*faulty, promised, refused], laws()) == faulty


@pytest.mark.fast
def test_every_named_test_exists() -> None:
    """Every test that the page names is there."""
    named = named_tests(PAGE)
    assert named
    assert missing_tests(named) == []


@pytest.mark.fast
def test_a_missing_test_is_noticed() -> None:
    """A test that isn't there, or in a file that isn't, is found."""
    laws = "keys/test_laws.py"
    named = named_tests(f"`{laws}::test_prefix` `{laws}::test_x` `keys/test_y.py::test_y`")
    assert missing_tests(named) == [(laws, "test_x"), ("keys/test_y.py", "test_y")]


@pytest.mark.fast
def test_every_claim_names_a_test() -> None:
    """Each claim about the host and about where it ends names at least one test."""
    claims = [*table(PAGE, "for the host")[1:], *table(PAGE, "where it ends")[1:]]
    assert [row for row in claims if not named_tests(row[-1])] == []


def run(row: Row, transform: str, key: jax.Array, draw: Any) -> Any:
    """Run a helper under a transform, on two keys."""
    n = row.sizes[0] if row.sizes[0] > 1 or len(row.sizes) == 1 else 3
    call = getattr(test_laws, transform)(lambda key: test_laws.flat(row.run(key, n, 0, draw)))
    keys = jax.random.split(key)
    want = [test_laws.flat(row.want(each, n, 0, draw)) for each in keys]
    return np.array_equal(np.asarray(call(keys)), np.stack(want))


def first_of_each() -> list[Any]:
    """Return the cells that say anything but "same", slow but for each row's first of a kind."""
    others = [cell for cell in CELLS if cell.says != "same"]
    first = {(cell.row, cell.says): cell for cell in reversed(others)}.values()
    return [
        pytest.param(cell, marks=[pytest.mark.slow] * (cell not in first), id=str(cell))
        for cell in others
    ]


@pytest.mark.parametrize("cell", first_of_each())
def test_cell(cell: Cell) -> None:
    """What isn't the same is what the page says: refused, or other draws."""
    row, key = BY_NAME[cell.row], ks.key(7, impl=cell.impl)
    transform = dict(zip(COLUMNS, TRIED_HERE, strict=True))[cell.column]
    match cell.says:
        case "refused":
            with pytest.raises(ks.KeyImplError):
                run(row, transform, key, bits)
        case "keys":
            assert run(row, transform, key, jax.random.key_data)
            assert not run(row, transform, key, bits)
        case "nested":
            with pytest.raises(ValueError, match="mesh"):
                run(row, transform, key, bits)
        case _:
            raise AssertionError(cell)


@pytest.mark.parametrize("impl", REFUSED_IMPLS)
@pytest.mark.parametrize("row", catalogue.ROWS, ids=catalogue.label)
def test_refused_implementations(row: Row, impl: str) -> None:
    """No helper takes a key of an implementation whose children aren't independent."""
    key = jax.random.key(7, impl=impl)
    with pytest.raises(ks.KeyImplError):
        row.run(key, 2, 0, bits)


@pytest.mark.fast
def test_traced_integers_among_the_names() -> None:
    """A traced int64 below -2**62 isn't seen: it meets a name; a concrete one is refused."""
    key = ks.key(42)
    digest = hashlib.sha256(b"keystream:1:str:dropout").digest()
    counter = 2**63 | int.from_bytes(digest[:8], "big") & (2**62 - 1)
    with _compat.enable_x64(True):
        number = np.int64(counter - 2**64)
        assert bool(jax.jit(lambda i: ks.derive(key, i))(number) == ks.derive(key, "dropout"))
    with pytest.raises(ks.ArgumentValueError):
        ks.derive(key, np.array([number]))
    # The last one that is a position is the same traced and static.
    with _compat.enable_x64(True):
        last = np.int64(-(2**62))
        assert bool(jax.jit(lambda i: ks.derive(key, i))(last) == ks.derive(key, -(2**62)))


@pytest.mark.fast
def test_what_jit_cuts() -> None:
    """What JAX cuts to 32 bits where jit begins can't be seen: pass such ids to derive outside."""
    key, wide = ks.key(42), np.array([2**32 + 1])
    inside = jax.jit(lambda ids: ks.derive(key, ids))(wide)
    assert bool(inside[0] == ks.derive(key, 1))
    assert bool(ks.derive(key, wide)[0] == ks.derive(key, 2**32 + 1))
    assert bool(ks.derive(key, wide)[0] != inside[0])


@pytest.mark.fast
@pytest.mark.parametrize("impl", IMPLS)
def test_traced_starts_beyond_the_positions(impl: str) -> None:
    """A traced start below zero isn't seen: it counts on modulo 2**64, or 2**32; a static is."""
    key = ks.key(42, impl=impl)
    made = jax.jit(lambda start: ks.keys(key, 3, start=start))(jnp.int32(-1))
    last = -1 if impl == "threefry2x32" else 2**32 - 1
    assert bool((made == jnp.stack([ks.derive(key, i) for i in (last, 0, 1)])).all())
    with pytest.raises(ks.ArgumentValueError):
        ks.keys(key, 3, start=-1)


def test_rbg_draws_under_vmap() -> None:
    """A draw from rbg keys under jax.vmap is right for the first key only."""
    keys = ks.keys(ks.key(42, impl="rbg"), 4)
    lanes = jax.vmap(lambda key: jax.random.bits(key, (8,)))(keys)
    loop = jnp.stack([jax.random.bits(key, (8,)) for key in keys])
    assert (np.asarray(lanes) == np.asarray(loop)).all(axis=1).tolist() == [True] + [False] * 3


def test_while_loop_in_reverse() -> None:
    """Reverse-mode derivatives through while_loop are refused by JAX, forward ones work."""

    def total(weight: Any) -> Any:
        def body(key: jax.Array, val: Any) -> Any:
            return val + weight * jax.random.uniform(key)

        return ks.while_loop(lambda val: val < 2.0, body, 0.0 * weight, key=ks.key(1))

    assert jax.jvp(total, (1.0,), (1.0,))[1] > 0
    with pytest.raises(ValueError, match="Reverse-mode"):
        jax.grad(total)(1.0)


@pytest.mark.fast
def test_host_helpers_want_concrete_keys() -> None:
    """What looks at words refuses a traced key, and `key` a traced seed."""
    keys = ks.keys(ks.key(42), 3)
    ks.check_distinct(keys)
    ks.check_replicated(keys)
    assert len({ks.fingerprint(key) for key in keys}) == 3
    for look in (ks.check_distinct, ks.check_replicated):
        with pytest.raises(ks.KeyTypeError):
            jax.jit(look)(keys)
    with pytest.raises(ks.KeyTypeError):
        jax.jit(ks.fingerprint)(keys[0])
    with pytest.raises(ks.KeyTypeError):
        jax.jit(lambda key: next(ks.iter_keys(key)))(keys[0])
    with pytest.raises(ks.ArgumentTypeError):
        jax.jit(ks.key)(3)


@pytest.mark.fast
@pytest.mark.parametrize("impl", IMPLS)
def test_key_inside_transforms(impl: str) -> None:
    """A static seed gives the same key inside jit, vmap and scan as outside."""
    want = jax.random.key_data(jax.random.key(7, impl=impl))
    make = lambda _: jax.random.key_data(ks.key(7, impl=impl))
    xs = jnp.arange(2)
    for made in (jax.jit(make)(0)[None], jax.vmap(make)(xs), jax.lax.map(make, xs)):
        assert bool((made == want).all())


@pytest.mark.fast
def test_fresh_seeds_differ() -> None:
    """fresh_seed gives 128 bits, others each time (a false alarm in 2**119 runs)."""
    seeds = [ks.fresh_seed() for _ in range(32)]
    assert len(set(seeds)) == 32
    assert all(0 <= seed < 2**128 for seed in seeds)
    assert max(seeds) >= 2**64
