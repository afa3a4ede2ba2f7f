"""Tools to prove that your own program's randomness is sound: strategies and checks.

It needs the extra: `pip install 'keystream[testing]'`. The guide is `docs/testing.md`.
"""

import typing as _typing

import keystream.testing._extra  # noqa: F401 - says what is missing, before it is
from keystream.testing._checks.device_invariant import (
    check_device_invariant as check_device_invariant,
)
from keystream.testing._checks.golden import check_golden as check_golden
from keystream.testing._checks.prefix_stable import check_prefix_stable as check_prefix_stable
from keystream.testing._checks.reproducible import check_reproducible as check_reproducible
from keystream.testing._checks.resumable import check_resumable as check_resumable
from keystream.testing._failures import CheckError as CheckError
from keystream.testing._failures import DependenceError as DependenceError
from keystream.testing._failures import DifferenceError as DifferenceError
from keystream.testing._failures import DistributionError as DistributionError
from keystream.testing._failures import GoldenError as GoldenError
from keystream.testing._statistics.bits import check_uniform_bits as check_uniform_bits
from keystream.testing._statistics.distribution import check_distribution as check_distribution
from keystream.testing._statistics.distribution import (
    check_same_distribution as check_same_distribution,
)
from keystream.testing._statistics.independence import check_independent as check_independent
from keystream.testing._statistics.rule import Evidence as Evidence
from keystream.testing._strategies.samplers import samplers as samplers
from keystream.testing._strategies.strategies import key_arrays as key_arrays
from keystream.testing._strategies.strategies import keys as keys
from keystream.testing._strategies.strategies import meshes as meshes
from keystream.testing._strategies.strategies import names as names
from keystream.testing._strategies.strategies import paths as paths
from keystream.testing._strategies.strategies import seeds as seeds

if not _typing.TYPE_CHECKING:
    from keystream._public import doors as _doors

    __getattr__, __dir__ = _doors(__name__)
