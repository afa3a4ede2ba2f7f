"""keystream: who gets which key?

A pure-functional, explicit-key PRNG utility library on top of `jax.random`: it holds no
hidden state, hands out ordinary typed JAX keys, and every number still comes out of
`jax.random`. Not for cryptography.
"""

import typing as _typing

from keystream import _html as _html
from keystream._accelerate import accelerate as accelerate
from keystream._agreement import check_distinct as check_distinct
from keystream._agreement import check_replicated as check_replicated
from keystream._audit.audit import audit as audit
from keystream._audit.audit import recording as recording
from keystream._batch import batched as batched
from keystream._batch import vmap as vmap
from keystream._common_seed import agree_on_seed as agree_on_seed
from keystream._device import for_axis as for_axis
from keystream._device import for_process as for_process
from keystream._device import shard_keys as shard_keys
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
from keystream._errors import VaryingError as VaryingError
from keystream._iterate import iter_keys as iter_keys
from keystream._loop import fori_loop as fori_loop
from keystream._loop import while_loop as while_loop
from keystream._pmap import pmap as pmap
from keystream._sample import sample as sample
from keystream._saving.manifest import Difference as Difference
from keystream._saving.manifest import check_manifest as check_manifest
from keystream._saving.manifest import manifest as manifest
from keystream._saving.save import dumps as dumps
from keystream._saving.save import from_words as from_words
from keystream._saving.save import loads as loads
from keystream._saving.save import to_words as to_words
from keystream._scan import map as map  # noqa: A004 - as in `lax.map`
from keystream._scan import scan as scan
from keystream._scan import scan_carried as scan_carried
from keystream._scheme import SCHEME as SCHEME
from keystream._seed import fingerprint as fingerprint
from keystream._seed import fresh_seed as fresh_seed
from keystream._seed import key as key
from keystream._shard_map import shard_map as shard_map
from keystream._split import derive as derive
from keystream._split import keys as keys
from keystream._split import split as split
from keystream._split import split_tree as split_tree
from keystream._stream import Stream as Stream
from keystream._streams import Streams as Streams

if _typing.TYPE_CHECKING:
    __version__: str
else:
    from keystream._public import doors as _doors

    __getattr__, __dir__ = _doors(__name__)
