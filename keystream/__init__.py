"""keystream: who gets which key?

A pure-functional, explicit-key PRNG utility library on top of `jax.random`: it holds no
hidden state, hands out ordinary typed JAX keys, and every number still comes out of
`jax.random`. Not for cryptography.
"""

import typing as _typing

from keystream._audit.audit import audit as audit
from keystream._audit.audit import recording as recording
from keystream._batches.sample import sample as sample
from keystream._batches.vmap import batched as batched
from keystream._batches.vmap import vmap as vmap
from keystream._deriving.derive import derive as derive
from keystream._deriving.derive import split_tree as split_tree
from keystream._deriving.seed import fingerprint as fingerprint
from keystream._deriving.seed import fresh_seed as fresh_seed
from keystream._deriving.seed import key as key
from keystream._deriving.split import keys as keys
from keystream._deriving.split import split as split
from keystream._devices.agree_on_seed import agree_on_seed as agree_on_seed
from keystream._devices.compare import check_distinct as check_distinct
from keystream._devices.compare import check_replicated as check_replicated
from keystream._devices.pmap import pmap as pmap
from keystream._devices.shard_keys import for_axis as for_axis
from keystream._devices.shard_keys import for_process as for_process
from keystream._devices.shard_keys import shard_keys as shard_keys
from keystream._devices.shard_map import shard_map as shard_map
from keystream._errors import ArgumentTypeError as ArgumentTypeError
from keystream._errors import ArgumentValueError as ArgumentValueError
from keystream._errors import BodyError as BodyError
from keystream._errors import ImmutableError as ImmutableError
from keystream._errors import KeyAuditError as KeyAuditError
from keystream._errors import KeyImplError as KeyImplError
from keystream._errors import KeysDifferError as KeysDifferError
from keystream._errors import KeysEqualError as KeysEqualError
from keystream._errors import KeystreamError as KeystreamError
from keystream._errors import KeyTypeError as KeyTypeError
from keystream._errors import ManifestError as ManifestError
from keystream._errors import MeshAxisError as MeshAxisError
from keystream._errors import PeerError as PeerError
from keystream._errors import RecordingError as RecordingError
from keystream._errors import SavedError as SavedError
from keystream._errors import SeedsDifferError as SeedsDifferError
from keystream._errors import UnknownNameError as UnknownNameError
from keystream._keys.scheme import SCHEME as SCHEME
from keystream._loops.fori_while import fori_loop as fori_loop
from keystream._loops.fori_while import while_loop as while_loop
from keystream._loops.scan import map as map  # noqa: A004 - as in `lax.map`
from keystream._loops.scan import scan as scan
from keystream._loops.scan import scan_carried as scan_carried
from keystream._saving.manifest import Difference as Difference
from keystream._saving.manifest import check_manifest as check_manifest
from keystream._saving.manifest import manifest as manifest
from keystream._saving.save import dumps as dumps
from keystream._saving.save import from_words as from_words
from keystream._saving.save import loads as loads
from keystream._saving.save import to_words as to_words
from keystream._speed.accelerate import accelerate as accelerate
from keystream._streams.iterate import iter_keys as iter_keys
from keystream._streams.stream import Stream as Stream
from keystream._streams.streams import Streams as Streams

if _typing.TYPE_CHECKING:
    __version__: str
else:
    from keystream._display.names import name_functions as _name_functions

    __getattr__, __dir__ = _name_functions(__name__)
