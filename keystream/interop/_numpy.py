"""A key -> NumPy's random sources. The way back is `ks.key(seed_sequence)`."""

from __future__ import annotations

import jax
import numpy as np

from keystream._errors import public
from keystream._keys.generators import make_numpy
from keystream.interop._entropy import entropy


@public
def seed_sequence(key: jax.Array, /) -> np.random.SeedSequence:
    """Return a `numpy.random.SeedSequence` with the whole of one key in it.

    For a bit generator of your choice, and for numbers keyed by record in processes that
    should not start JAX, as a data loader's workers: a `SeedSequence` can be pickled, and
    `SeedSequence(seeds.entropy, spawn_key=(epoch, record))` is a seed per record without
    state. For one generator see `numpy_generator`.

    Args:
        key: One typed key with concrete words.

    Returns:
        A SeedSequence whose entropy is an int of 256 bits, with an empty spawn key.

    Key use:
        Consumes `key`: what is drawn from the sequence is drawn from it.

    Guarantees:
        The entropy is a SHA-256 of the key, so neither a child nor a draw of it; the same
        for one `ks.SCHEME` on every machine, release and setting. NumPy mixes it into a pool
        of 128 bits, twice the width of a threefry2x32 key, and promises that what comes out
        stays. Parts of a `spawn_key` of 2**32 and above may meet others, since NumPy writes
        them as several words: (2**32,) is (0, 1). `ks.derive(key, record)` has no such limit.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, traced, or refused.

    Example:
        >>> import numpy as np, keystream as ks
        >>> from keystream import interop
        >>> seeds = interop.seed_sequence(ks.derive(ks.key(42), "augment"))
        >>> np.random.Generator(np.random.Philox(seeds)).integers(6, size=4).tolist()
        [0, 1, 5, 5]

    References:
        M. E. O'Neill (2015), "Developing a seed_seq Alternative", pcg-random.org.
        R. Kern (2019), NEP 19, "Random number generator policy", numpy.org/neps.
    """
    return np.random.SeedSequence(entropy(key, "numpy"))


@public
def numpy_generator(key: jax.Array, /) -> np.random.Generator:
    """Return a `numpy.random.Generator` (PCG64) seeded with the whole of one key.

    For host code that draws with NumPy: augmentation of one record, a simulation beside the
    training. For the legacy `RandomState` that scikit-learn takes:
    `np.random.RandomState(np.random.MT19937(interop.seed_sequence(key)))`.

    `np.random.Generator(np.random.PCG64(interop.seed_sequence(key)))`, in one call.

    Args:
        key: One typed key with concrete words.

    Returns:
        A new generator, which changes as it is drawn from.

    Key use:
        Consumes `key`. For a generator per record:
        `interop.numpy_generator(ks.derive(key, "augment", epoch, record))`.

    Guarantees:
        The bits of the generator are the same for one `ks.SCHEME` on every machine, release
        and setting; what its methods make of them is NumPy's, which may improve them from
        one release to another (NEP 19). It is PCG64 by name, not whatever
        `np.random.default_rng` chooses.

    Raises:
        KeyTypeError, KeyImplError: Not one typed key, traced, or refused.

    Example:
        >>> import keystream as ks
        >>> from keystream import interop
        >>> interop.numpy_generator(ks.key(7)).integers(6, size=4).tolist()
        [5, 3, 1, 5]

    References:
        M. E. O'Neill (2014), "PCG: A Family of Simple Fast Space-Efficient Statistically Good
        Algorithms for Random Number Generation", HMC-CS-2014-0905.
    """
    return make_numpy(entropy(key, "numpy"))
