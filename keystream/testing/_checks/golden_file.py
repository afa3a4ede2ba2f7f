"""Write and read golden files: a value's leaves as readable text, without loss.

JSON: `leaves` by path, each with dtype, shape and its values in C order. Floats are written
as Python writes the float64 they are equal to, NaN and infinities as text, complex numbers
and keys as lists of their parts: real and imaginary, or the words of the key.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks
from keystream import ArgumentTypeError, ArgumentValueError
from keystream._errors import Phrase, error
from keystream.testing import _ulps
from keystream.testing._compare import by_path, is_key
from keystream.testing._failures import GoldenError

__tracebackhide__ = True  # pytest shows the line that calls the check

CHECK = "check_golden"
FORMAT = 1
MOST = 100_000
"""Values in one file: beyond, nobody reads it."""

PYTHON = {"bool": bool, "int": int, "float": float, "complex": complex, "str": str}
_KEY = "key<"


def encode(value: Any) -> dict[str, Any]:
    """Return the leaves of a pytree by their paths, ready for JSON."""
    leaves = by_path(value)
    if not leaves:
        wanted = "at least one array, key, number or str"
        raise error(ArgumentTypeError, "value", wanted, value, must="hold")
    size = sum(int(np.size(leaf)) for leaf in leaves.values())
    if size > MOST:
        cure = "For a part of it: value[:100]."
        wanted = f"at most {MOST:,} values"
        raise error(ArgumentValueError, "value", wanted, Phrase(f"{size:,}"), cure, must="hold")
    return {path: _encode(leaf) for path, leaf in leaves.items()}


def _encode(leaf: Any) -> dict[str, Any]:
    for name, kind in PYTHON.items():
        if type(leaf) is kind:
            return {"dtype": name, "values": _number(leaf)}
    if isinstance(leaf, jax.core.Tracer):
        raise error(ArgumentTypeError, "value", "concrete, outside of jit", leaf)
    if is_key(leaf):
        dtype, held = f"{_KEY}{jax.random.key_impl(leaf)}>", np.asarray(jax.random.key_data(leaf))
        values = held.reshape(leaf.size, -1).tolist()
        return {"dtype": dtype, "shape": list(leaf.shape), "values": values}
    if not isinstance(leaf, (jax.Array, np.ndarray, np.generic)):
        wanted = "arrays, keys, numbers and str"
        raise error(ArgumentTypeError, "value", wanted, leaf, must="hold")
    held = np.asarray(leaf)
    number = _converter(held.dtype)
    values = [number(each) for each in held.reshape(-1)]
    return {"dtype": held.dtype.name, "shape": list(held.shape), "values": values}


def _converter(dtype: Any) -> Any:
    if dtype == np.bool_:
        return bool
    if jnp.issubdtype(dtype, jnp.integer):
        return int
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return lambda each: _number(complex(each))
    if _ulps.is_float(dtype):
        return lambda each: _number(float(each))
    wanted = "arrays of bools, integers, floats or complex numbers"
    raise error(ArgumentTypeError, "value", wanted, dtype, must="hold")


def _number(value: Any) -> Any:
    if isinstance(value, complex):
        return [_number(value.real), _number(value.imag)]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def decode(leaves: dict[str, Any]) -> dict[str, Any]:
    """Return the leaves of a golden file as what they were."""
    return {path: _decode(leaf) for path, leaf in leaves.items()}


def _decode(leaf: dict[str, Any]) -> Any:
    dtype, values = leaf["dtype"], leaf["values"]
    if "shape" not in leaf:  # a Python number or str: "bool" alone is NumPy's too
        return complex(*map(float, values)) if dtype == "complex" else PYTHON[dtype](values)
    shape = tuple(leaf["shape"])
    if dtype.startswith(_KEY):
        words = np.array(values, np.uint32).reshape(*shape, -1)
        return jax.random.wrap_key_data(jnp.asarray(words), impl=dtype[len(_KEY) : -1])
    kind = jnp.dtype(dtype)
    if jnp.issubdtype(kind, jnp.complexfloating):
        parts = [complex(*map(float, each)) for each in values]
        return np.array(parts, kind).reshape(shape)
    if _ulps.is_float(kind):
        return np.array([float(each) for each in values], np.float64).astype(kind).reshape(shape)
    return np.array(values, kind).reshape(shape)


def write(file: Path, name: str, leaves: dict[str, Any]) -> None:
    """Write a golden file, whole or not at all, and this program's manifest into it."""
    content = {"golden": FORMAT, "name": name, "leaves": leaves, "manifest": ks.manifest()}
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    beside.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    beside.replace(file)


def read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the leaves and the manifest that a golden file holds."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["golden"] != FORMAT:
            raise ValueError(f"format {content['golden']}")
        return decode(content["leaves"]), dict(content["manifest"])
    except (ValueError, KeyError, TypeError, AttributeError) as raised:
        got = Phrase(f"a {type(raised).__name__} from it")
        cure = "To write it anew: pytest --keystream-update-golden."
        wanted = f"readable: {file} as keystream wrote it"
        raise error(GoldenError, "path", wanted, got, cure) from raised
