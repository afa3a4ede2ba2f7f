"""What the signatures of `keystream.host` promise a type checker. Never run."""

import random
from typing import Any, assert_type

import jax
import numpy as np

import keystream as ks
from keystream import host

root = host.key("run 42")
assert_type(host.key("run 42"), np.ndarray)
assert_type(host.derive(root, "augment", 3, np.arange(5)), np.ndarray)
assert_type(host.split(root), tuple[np.ndarray, np.ndarray])
assert_type(host.split(root, 5), tuple[np.ndarray, ...])
assert_type(host.split(root, ("a", "b")), dict[str, np.ndarray])
assert_type(host.keys(root, (3, 4), start=2**40), np.ndarray)
assert_type(host.index_shuffle(root, 10, np.arange(3)), np.ndarray)
assert_type(host.index_unshuffle(root, 10, 3), np.signedinteger[Any])
assert_type(host.from_jax(ks.key(42)), np.ndarray)
assert_type(host.to_jax(root), jax.Array)
assert_type(host.numpy_generator(root), np.random.Generator)
assert_type(host.python_random(root), random.Random)
assert_type(bool(host.torch_generator(root)), bool)  # torch may be missing

# What is wrong at run time is wrong here too; an unused ignore is an error under `strict`.
host.key(1.5)  # type: ignore[arg-type]
host.derive(root, 1.5)  # type: ignore[arg-type]
host.derive(ks.key(42), "a")  # type: ignore[arg-type]
host.nothing  # type: ignore[attr-defined]  # noqa: B018
