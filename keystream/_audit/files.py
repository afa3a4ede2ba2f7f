"""Whose code a file is: JAX's, keystream's, an installed library's, or the user's own."""

from __future__ import annotations

import functools
import os
import site
import sysconfig
from pathlib import Path

import jax
import jaxlib


def _below(*folders: object) -> tuple[str, ...]:
    # As Python tells of a file and as it lies on the disk; and not what is only called alike,
    # as `jaxopt` beside `jax`.
    paths = [Path(str(folder)) for folder in folders]
    return tuple({str(path) + os.sep for each in paths for path in (each, each.resolve())})


_JAX = _below(*(Path(str(library.__file__)).parent for library in (jax, jaxlib)))
_OURS = _below(Path(__file__).parent.parent)
_PATHS = sysconfig.get_paths()
_LIBRARIES = _below(
    *(folder for name, folder in _PATHS.items() if name != "data"),
    *site.getsitepackages(),
    site.getusersitepackages(),
)


@functools.lru_cache(maxsize=4096)
def is_jax(file: str) -> bool:
    """Does a file belong to JAX?"""
    return file.startswith(_JAX)


@functools.lru_cache(maxsize=4096)
def is_ours(file: str) -> bool:
    """Does a file belong to keystream?"""
    return file.startswith(_OURS)


@functools.lru_cache(maxsize=4096)
def installed(file: str) -> bool:
    """Does a file belong to a library that somebody installed?"""
    return file.startswith(_LIBRARIES)
