"""The public face: audit a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keystream import _check
from keystream._audit import static
from keystream._audit.report import Report


def audit(fun: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Report:
    """Find the key bugs of a function without running it.

    Reach for it in a test of every function that takes a key: a training step, a sampler,
    an initializer. It traces the call once, follows every key from its seed or argument
    through splits, folds, names, indexing, loops, branches, lanes and shards to the draws,
    and holds what it sees against the rules of `docs/audit.md`.

    Args:
        fun: Any traceable function; it is not run. Legacy uint32 keys are followed like
            typed ones.
        *args: Its arguments. Arrays become abstract: `jax.ShapeDtypeStruct` will do.
            Everything else, Python numbers among it, stays what it is.
        **kwargs: Its keyword arguments.

    Returns:
        A report: print it, ask `.ok` or `.findings`, call `.raise_if_found()`.

    Key use:
        None: keys are looked at, and nothing is drawn.

    Guarantees:
        Nothing is compiled or run, whatever the function would do with files or devices it
        does while it is traced. A finding of severity "error" is wrong wherever both of its
        places are reached. What a jaxpr doesn't show, as keys that meet through copies,
        files, data or a Python loop around compiled steps, isn't found;
        `report.unseen` says what else couldn't be looked at.

    Raises:
        ArgumentTypeError: `fun` is not a function, or looks at values while it is traced.

    Example:
        >>> import jax, keystream as ks
        >>> def noisy(key, x):
        ...     scale = jax.random.uniform(key)
        ...     return x + scale * jax.random.normal(key, x.shape)
        >>> report = ks.audit(noisy, ks.key(42), jax.numpy.zeros(3))
        >>> [(finding.rule, finding.severity) for finding in report.findings]
        [('KS01', 'error')]
        >>> report.ok
        False
    """
    _check.function_of("audit", "fun", fun, "fun(*args)")
    subject = getattr(fun, "__qualname__", None) or type(fun).__name__
    return static.look(subject, fun, args, kwargs)
