"""keystream: who gets which key?

A pure-functional, explicit-key PRNG utility library on top of `jax.random`: it holds no
hidden state, hands out ordinary typed JAX keys, and every number still comes out of
`jax.random`. Not for cryptography.
"""

import sys as _sys
import typing as _typing

# Without JAX, nothing is loaded but what is asked for, so that `keystream.host` takes 30 MB in a
# worker. With JAX, all is: loaded later, it makes JAX 0.12 compile every jitted function again.
if _typing.TYPE_CHECKING or "jax" in _sys.modules:
    from keystream._public import *  # noqa: F403 - its names are ours

if _typing.TYPE_CHECKING:
    __version__: str
else:
    from keystream._display.names import name_functions as _name_functions

    __getattr__, __dir__ = _name_functions(__name__, "keystream._public")
