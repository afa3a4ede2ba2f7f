"""What the signatures of `keystream.interop` promise a type checker. Never run."""

import random
from typing import assert_type

import numpy as np
from jax.experimental.random import StatefulPRNG

import keystream as ks
from keystream import interop

key = ks.key(42)
assert_type(interop.int_seed(key, bits=32), int)
assert_type(interop.seed_sequence(key), np.random.SeedSequence)
assert_type(interop.numpy_generator(key), np.random.Generator)
assert_type(interop.python_random(key), random.Random)
assert_type(interop.to_stateful(ks.Stream(key)), StatefulPRNG)
assert_type(interop.from_stateful(interop.to_stateful(ks.Stream(key))), ks.Stream)
assert_type(interop.from_nnx(interop.to_nnx(ks.Streams(key, ("params",)))), ks.Streams)

# What is wrong at run time is wrong here too; an unused ignore is an error under `strict`.
interop.int_seed(key)  # type: ignore[call-arg]
interop.to_nnx(key)  # type: ignore[arg-type]
interop.to_stateful(key)  # type: ignore[arg-type]
