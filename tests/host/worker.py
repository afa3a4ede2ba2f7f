"""A program whose workers augment records by host keys; `test_host.py` runs it.

At the top it imports what a worker needs, and no JAX: a spawned worker imports it again.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np

from keystream import host

ROOT = host.derive(host.key(42), "data")
RECORDS, WORKERS = 64, 8


def augment(record: int) -> tuple[str, int, bool]:
    """Return a digest of what is drawn for a record, where, and whether JAX is imported."""
    key = host.derive(ROOT, "augment", 3, record)
    flip, noise = host.split(key)
    drawn = [
        host.numpy_generator(noise).integers(2**32, size=1000),
        host.keys(flip, 100),
        host.derive(flip, "ids", np.arange(3000)),
    ]
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in drawn))
    return digest.hexdigest(), os.getpid(), "jax" in sys.modules


def by_threads() -> list[tuple[str, int, bool]]:
    """Let eight threads augment the records."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(augment, range(RECORDS)))


def by_processes(method: str) -> list[tuple[str, int, bool]]:
    """Let eight processes augment the records."""
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        return list(pool.map(augment, range(RECORDS)))


def main(method: str) -> None:
    """Print one digest of all records, the number of processes, and who has imported JAX."""
    if method == "fork":  # with JAX's threads running
        import jax

        jax.block_until_ready(jax.jit(lambda x: x + 1)(1))
    ways = {"loop": lambda: list(map(augment, range(RECORDS))), "threads": by_threads}
    found = ways[method]() if method in ways else by_processes(method)
    digests, places, jaxes = zip(*found, strict=True)
    if method == "loop":
        assert threading.active_count() == 1
    whole = hashlib.sha256("".join(digests).encode()).hexdigest()
    print(whole, len(set(places)) > 1, any(jaxes))


if __name__ == "__main__":
    main(sys.argv[1])
