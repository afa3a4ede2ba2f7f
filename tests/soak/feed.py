"""Give words to a program that reads them from its standard input."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Read(NamedTuple):
    """What a program said, and how much it was given."""

    out: str
    bytes: int


def run(command: Sequence[str], words: Iterator[np.ndarray], most: int | None = None) -> Read:
    """Run a program on words until it has had enough, or on `most` bytes of them.

    Its output and its errors come back together. Bytes that lie in the pipe when it ends
    are counted too: 64 KiB and a little.
    """
    pipe = subprocess.PIPE
    said: list[bytes] = []
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        listener = threading.Thread(target=lambda: said.append(process.stdout.read()))
        listener.start()
        given = _write(process.stdin.fileno(), words, most)
        process.stdin.close()
        listener.join()
    if process.returncode not in (0, 1):  # rngtest ends with 1 where a block failed
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said[0]!r}")
    return Read(said[0].decode(errors="replace"), given)


def _write(pipe: int, words: Iterator[np.ndarray], most: int | None) -> int:
    given = 0
    with open(pipe, "wb", buffering=0, closefd=False) as out:
        for some in words:
            rest = memoryview(np.asarray(some, "<u4")).cast("B")
            rest = rest[: None if most is None else most - given]
            while rest:
                try:
                    count = out.write(rest)
                except BrokenPipeError:
                    return given
                given += count
                rest = rest[count:]
            if given == most:
                break
    return given
