"""Time the first keys in a process where nothing has been compiled yet.

python -m keystream.cli._bench.first NAME COUNT prints the seconds of the first, of the
slowest, and of all of them, as JSON.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from typing import NamedTuple

import keystream as ks
from keystream.cli._bench.makers import maker
from keystream.cli._environment import environment


class Fresh(NamedTuple):
    """What the first keys of one fresh process took, in seconds."""

    first: float
    slowest: float
    together: float


def fresh(name: str, count: int, processes: int) -> list[Fresh]:
    """Time the first keys in fresh processes, compilation included."""
    command = [sys.executable, "-m", __name__, name, str(count)]
    found = []
    for _ in range(processes):
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, env=environment()
        )
        found.append(Fresh(*json.loads(done.stdout.splitlines()[-1])))
    return found


def first_keys(name: str, count: int) -> Fresh:
    """Time the first keys here and now."""
    found = maker(name)
    importlib.import_module(found.module)
    key = ks.key(42).block_until_ready()
    begun = time.perf_counter()
    following = found.begin(key, count)
    times = []
    begin = begun
    for _ in range(count):
        following().block_until_ready()
        end = time.perf_counter()
        times.append(end - begin)
        begin = end
    return Fresh(times[0], max(times), begin - begun)


if __name__ == "__main__":
    print(json.dumps(first_keys(sys.argv[1], int(sys.argv[2]))))
