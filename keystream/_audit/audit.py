"""Audit a function, or record what a program does with its keys."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from keystream._checks.calls import check_function
from keystream._checks.values import is_donated
from keystream._errors import ArgumentTypeError, error, public

if TYPE_CHECKING:
    from keystream._audit.reporting.report import Report


@public
def audit(fun: Callable[..., Any], /, *args: Any, run: bool = False, **kwargs: Any) -> Report:
    """Find the key bugs of a function, by its jaxpr or by a run of it.

    Reach for it in a test of every function that takes a key: a training step, a sampler,
    an initializer. It traces the call once, follows every key from its seed or argument
    through splits, folds, names, indexing, loops, branches, lanes and shards to the draws,
    and holds what it sees against the rules of `docs/audit.md`. With `run=True` it runs the
    call instead and compares the words of the keys that are really used, as `recording`
    does.

    Args:
        fun: Any function; a traceable one without `run`. Legacy uint32 keys are followed
            like typed ones.
        *args: Its arguments. Without `run` arrays become abstract: `jax.ShapeDtypeStruct`
            will do. Everything else, Python numbers among it, stays what it is.
        run: Run the call, once, rather than trace it.
        **kwargs: Its keyword arguments.

    Returns:
        A report: print it, ask `.ok` or `.findings`, call `.raise_if_found()`.

    Key use:
        None: keys are looked at, and what a run draws is the function's.

    Guarantees:
        Without `run` nothing is compiled or run; whatever the function would do with files
        it does while it is traced. A finding of severity "error" is wrong wherever both of
        its places are reached. What a jaxpr doesn't show, as keys that meet through copies,
        files, data or a Python loop around compiled steps, isn't found, and what a run
        doesn't reach isn't found by that; `report.unseen` says what else couldn't be looked
        at. A run gives the same keys and bits as without the audit.

    Raises:
        ArgumentTypeError: `fun` is not a function, returns a generator or a coroutine, looks
            at values while it is traced, or keeps what it is given in an object, a list or a
            cache, which holds traced values from then on; an array is of a type that JAX has
            none for; or `run` is not a bool.
        ArgumentValueError: An array was donated, or the arguments are no pytree.
        RecordingError: This version of JAX doesn't let a run be recorded.

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
    check_function("fun", fun, "fun(*args)")
    given: Any = run
    if not isinstance(given, (bool, np.bool_)):
        cure = "For a run: ks.audit(fun, *args, run=True)."
        raise error(ArgumentTypeError, "run", "True or False", given, cure)
    subject = subject_of(fun)
    # The audit is half of keystream's modules, and most programs never ask for it.
    from keystream._audit import conclude, jaxprs  # noqa: PLC0415

    if not run:
        return conclude.audit_traced(subject, fun, args, kwargs)
    with conclude.audit_block(subject) as report:
        leaves = jaxprs.result_leaves(fun, args, kwargs)
        jax.block_until_ready([leaf for leaf in leaves if not is_donated(leaf)])
    return report


@contextlib.contextmanager
@public
def recording() -> Iterator[Report]:
    """Find the key bugs of whatever runs inside a `with` block.

    Reach for it where keys meet in ways that no jaxpr shows: a Python loop around a compiled
    step, copies, files, keys that data picks. `audit` finds the others without running.

    It records at run time which key words are really used, eagerly and inside `jit`, loops,
    lanes and shards, and compares them: two uses of one key are found however it got there.

    Returns:
        A context manager. What it yields is the report, which is filled when the block ends
        and can't be asked before.

    Key use:
        None: it looks on.

    Guarantees:
        Keys and raw bits don't change; last digits of floats may. Functions that were
        compiled before are recorded too, by another executable, which is kept for the next
        recording; the first one comes back after the block. Only after the first recording of
        a process JAX compiles once more what it had compiled before. What was compiled ahead
        of time can't be recorded: `report.unseen` names it. The whole process is recorded, all
        of its threads. A draw inside `jit` that nobody needs isn't made, and isn't recorded. A
        branch of a `cond` under `vmap` is run whether it is taken or not.

    Raises:
        RecordingError: The report is asked inside the block, or this version of JAX doesn't
            let itself be recorded.

    Example:
        >>> import jax, keystream as ks
        >>> step = jax.jit(jax.random.normal)
        >>> with ks.recording() as report:
        ...     total = sum(step(ks.key(42)) for _ in range(3))
        >>> [finding.rule for finding in report.findings]
        ['KS07']
    """
    from keystream._audit.conclude import audit_block  # noqa: PLC0415

    with audit_block("recording") as report:
        yield report


def subject_of(fun: Callable[..., Any]) -> str:
    """Return what a report calls a function."""
    name = getattr(fun, "__qualname__", None)
    return name if isinstance(name, str) and name else type(fun).__name__
