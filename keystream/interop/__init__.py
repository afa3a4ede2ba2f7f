"""To and from other libraries' random sources; each is imported only when asked for.

What takes JAX keys as they are (flax linen, haiku, equinox, numpyro, blackjax, optax, orbax)
needs nothing from here: `docs/interop.md` shows it, and says what stays reproducible.
"""

import typing as _typing

from keystream._checks.neighbor import NeighborMissingError as NeighborMissingError
from keystream.interop._entropy import int_seed as int_seed
from keystream.interop._nnx import from_nnx as from_nnx
from keystream.interop._nnx import to_nnx as to_nnx
from keystream.interop._numpy import numpy_generator as numpy_generator
from keystream.interop._numpy import seed_sequence as seed_sequence
from keystream.interop._python import python_random as python_random
from keystream.interop._stateful import from_stateful as from_stateful
from keystream.interop._stateful import to_stateful as to_stateful
from keystream.interop._torch import torch_generator as torch_generator

if not _typing.TYPE_CHECKING:
    from keystream._display.names import name_functions as _name_functions

    __getattr__, __dir__ = _name_functions(__name__)
