"""Compute places in a random order of n numbers, in NumPy or JAX, by the scheme's page.

Up to `EXACT` numbers the order is that of one block of the cipher for each of them. Above,
a place is computed by itself: the numbers below n are the first cells of a grid of rows and
columns, and a Feistel network adds to the row what the cipher makes of the column, and to
the column what it makes of the row, in turns. That maps the cells of the grid one to one. It
has a few more than n; a number that would go to one of those goes on to where that one would
go, and so on until it is below n (Black and Rogaway call it cycle walking). The grid is
chosen so that they are few, and where each of them leads to is looked up in a table, which
the key and n alone decide: nothing here is decided by the numbers themselves.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keystream._keys import cipher

EXACT = 2**12
"""Up to so many numbers they are sorted: a network over so few is visibly not uniform."""

ROUNDS = 8
"""Of the network. Two can be told from a random order by the eye, see `docs/scheme.md`."""

MOST = 2**62
"""The largest n."""

NARROW = 2**31
"""Up to here places are int32, and 32-bit arithmetic is enough."""

Words = tuple[Any, Any]
"""The two words of a key: scalars of JAX, or NumPy arrays of shape (1,)."""


class Grid(NamedTuple):
    """A grid of at least n cells: cell `row * columns + column`."""

    rows: int
    columns: int


@functools.lru_cache(maxsize=1024)
def choose_grid(n: int) -> Grid:
    """Return the grid for n: nearly square, with few cells more than n.

    Rows and columns with sum s and difference d have (s*s - d*d) / 4 cells. Of the sums from
    2 * sqrt(n) on, up to a 32nd more and 2**16 of them at most, each with the largest difference
    that leaves n cells, it is the one with the fewest cells, and the smallest of those.

    References:
        The search is Fermat's for factors: D. E. Knuth (1998), The Art of Computer
        Programming, volume 2, section 4.5.4.
    """
    first = math.isqrt(4 * n - 1) + 1
    step = np.arange(min(2**16, first // 32), dtype=np.int64)
    square = first * first - 4 * n + step * (2 * first + step)  # s*s - 4*n, below 2**50
    root = np.sqrt(square.astype(np.float64)).astype(np.int64)
    root -= root * root > square
    root -= (root + first + step) % 2  # of the parity of the sum; -1 where there is none
    cells = np.where(root < 0, np.iinfo(np.int64).max, square - root * root)
    best = int(cells.argmin())
    total, difference = first + best, int(root[best])
    return Grid((total + difference) // 2, (total - difference) // 2)


def result_dtype(n: int) -> np.dtype[Any]:
    """Return the dtype of places among n numbers."""
    return np.dtype(np.int32 if n <= NARROW else np.int64)


class Arrays(NamedTuple):
    """What is asked of an array library."""

    xp: Any
    """`numpy` or `jax.numpy`."""
    loop: Callable[..., Any]
    """As `jax.lax.fori_loop`, with a uint32 for the number of the turn."""
    take: Callable[[Any, Any], Any]
    """`take(table, places)`."""
    rounds: Callable[[Words, Any, Any], tuple[Any, Any]]
    """As `cipher.rounds`, with one high word for all counters."""


def _loop(lower: int, upper: int, body: Callable[..., Any], init: Any) -> Any:
    for i in range(lower, upper):
        init = body(np.uint32(i), init)
    return init


def _blocks(words: Words, hi: Any, lo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    made = cipher.threefry2x32(np.concatenate(words), np.full_like(lo, hi), lo)
    return made[:, 0], made[:, 1]


NUMPY = Arrays(np, _loop, operator.getitem, _blocks)


def find(
    words: Words,
    n: int,
    index: Any,
    *,
    inverse: bool = False,
    rounds: int = ROUNDS,
    arrays: Arrays = NUMPY,
) -> Any:
    """Return the place of each index in the random order of a key, or what is at each place.

    Args:
        words: Of the key's child at `scheme.shuffle_counter(n)`.
        n: How many numbers are ordered; of none only arrays without elements are asked.
        index: Numbers below n, an integer array (of one dimension or more in NumPy).
        inverse: Take places, and return which numbers are there.
        rounds: Of the network, an even number. Tests take fewer.
        arrays: NumPy, or what stands for it where words and index are JAX's.

    Returns:
        Of the shape of `index`, int32 or int64 as n asks for.
    """
    xp = arrays.xp
    if n <= EXACT:
        return arrays.take(_sorted(words, n, inverse, arrays), index)
    grid = choose_grid(n)
    word = np.dtype(np.uint32 if n <= NARROW else np.uint64)
    through = functools.partial(_network, words, grid, word, inverse, rounds, arrays)
    # Added so that in JAX all that comes varies over the mesh axes that the key varies over.
    zero = (words[0] & np.uint32(0)).astype(word)
    found = through(index.astype(word) + zero)
    spare = grid.rows * grid.columns - n
    if spare and (xp is not np or (found >= n).any()):
        leads = through(xp.arange(spare, dtype=word) + word.type(n) + zero)
        for _ in range((spare - 1).bit_length()):
            leads = _lead(leads, leads, n, arrays)
        found = _lead(found, leads, n, arrays)
    return found.astype(result_dtype(n))


def _sorted(words: Words, n: int, inverse: bool, arrays: Arrays) -> Any:
    """Return the places of all of few numbers, or the numbers at all places."""
    xp = arrays.xp
    hi, lo = arrays.rounds(words, np.uint32(0), xp.arange(max(n, 1), dtype=np.uint32))
    order = xp.lexsort((lo, hi))
    return (order if inverse else xp.argsort(order)).astype(np.int32)


def _network(
    words: Words, grid: Grid, word: Any, inverse: bool, rounds: int, arrays: Arrays, cells: Any
) -> Any:
    """Map cells of a grid one to one: `word` is the dtype that cells are computed in."""
    rows, columns = word.type(grid.rows), word.type(grid.columns)
    below = functools.partial(_number_below, words, arrays)

    def add(turn: Any, cell: tuple[Any, Any]) -> tuple[Any, Any]:
        row, column = cell
        even, odd = turn * np.uint32(2), turn * np.uint32(2) + np.uint32(1)
        row = (row + below(rows, even, column)) % rows
        column = (column + below(columns, odd, row)) % columns
        return row, column

    def subtract(turn: Any, cell: tuple[Any, Any]) -> tuple[Any, Any]:
        row, column = cell
        odd = np.uint32(rounds - 1) - turn * np.uint32(2)
        even = odd - np.uint32(1)
        column = (column + columns - below(columns, odd, row)) % columns
        row = (row + rows - below(rows, even, column)) % rows
        return row, column

    start = (cells // columns, cells % columns)
    row, column = arrays.loop(0, rounds // 2, subtract if inverse else add, start)
    return row * columns + column


def _number_below(words: Words, arrays: Arrays, end: Any, turn: Any, half: Any) -> Any:
    """Return the 64 bits of the block at counter (turn, half), modulo `end`."""
    hi, lo = arrays.rounds(words, turn, half.astype(np.uint32))
    if end.dtype == np.uint64:
        return (hi.astype(np.uint64) << np.uint64(32) | lo.astype(np.uint64)) % end
    # In 32 bits: no product here reaches 2**32, as a grid for 2**31 has sides below 2**16.
    return (hi % end * np.uint32(2**32 % int(end)) + lo % end) % end


def _lead(found: Any, leads: Any, n: int, arrays: Arrays) -> Any:
    """Replace cells beyond n by where they lead to."""
    number = found.dtype.type
    beyond = found >= number(n)
    place = arrays.xp.where(beyond, found - number(n), number(0))
    return arrays.xp.where(beyond, arrays.take(leads, place), found)
