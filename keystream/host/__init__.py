"""The same keys on the host, from NumPy alone: for data loaders, their processes and threads.

A host key is its two words, a uint32 array of shape (2,); host keys are one of shape (..., 2).
They equal `jax.random.key_data` of what `ks` of the same name makes, word for word. All are
keys of threefry2x32. Nothing here calls JAX but `from_jax` and `to_jax`.
"""

import typing as _typing

from keystream.host._convert import from_jax as from_jax
from keystream.host._convert import numpy_generator as numpy_generator
from keystream.host._convert import python_random as python_random
from keystream.host._convert import to_jax as to_jax
from keystream.host._convert import torch_generator as torch_generator
from keystream.host._derive import derive as derive
from keystream.host._derive import key as key
from keystream.host._derive import keys as keys
from keystream.host._derive import split as split
from keystream.host._index_shuffle import index_shuffle as index_shuffle
from keystream.host._index_shuffle import index_unshuffle as index_unshuffle

if not _typing.TYPE_CHECKING:
    from keystream._display.names import name_functions as _name_functions

    __getattr__, __dir__ = _name_functions(__name__)
