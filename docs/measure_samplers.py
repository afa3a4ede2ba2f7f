"""Measure how far each `jax.random` sampler agrees with itself from form to form.

    python docs/measure_samplers.py            print the table
    python docs/measure_samplers.py --write    and put it into docs/samplers.md
    python docs/measure_samplers.py --cures    print what the ways round leave
    python docs/measure_samplers.py --processors   compare with code for a processor without
                                               fused multiply-add, here in another process

Every form draws item i from child i of one key, so all of them use the same keys; what
differs is the float code that XLA emits for the shape at hand.
"""

from __future__ import annotations

import argparse
import inspect
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import keystream as ks

ITEMS = 2000
LOOPED = 200  # a Python loop is slow
ALTOGETHER = 1e-3
"""Two values that differ by more, against the spread of the sample, are not one number
with other last digits."""


class Sampler(NamedTuple):
    """A sampler, how it is called, and what two forms of it may differ by."""

    call: Callable[[jax.Array, tuple[int, ...]], jax.Array]
    kind: str
    """"exact": made of bits alone; "digits": float code; "rare": it compares floats to
    decide, so that it may now and then give another value altogether."""


def _catalog() -> dict[str, Sampler]:
    r = jax.random
    logits = np.array([0.0, 0.5, -1.0, 1.0, 0.25], np.float32)
    p = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    alpha = np.array([0.5, 1.0, 2.5], np.float32)
    mean = np.array([1.0, -2.0], np.float32)
    cov = np.array([[2.0, 0.3], [0.3, 0.5]], np.float32)
    exact: dict[str, Any] = {
        "bits": r.bits,
        "uniform": r.uniform,
        "randint": lambda key, shape: r.randint(key, shape, 0, 1000),
        "bernoulli": lambda key, shape: r.bernoulli(key, 0.3, shape),
        "rademacher": r.rademacher,
        "permutation": lambda key, _: r.permutation(key, 10),
        "choice": lambda key, shape: r.choice(key, 1000, shape),
    }
    digits: dict[str, Any] = {
        "uniform, in a range": lambda key, shape: r.uniform(key, shape, minval=0.1, maxval=0.7),
        "normal": r.normal,
        "truncated_normal": lambda key, shape: r.truncated_normal(key, -1.0, 2.0, shape),
        "lognormal": lambda key, shape: r.lognormal(key, 0.5, shape),
        "multivariate_normal": lambda key, shape: r.multivariate_normal(key, mean, cov, shape),
        "orthogonal": lambda key, shape: r.orthogonal(key, 3, shape),
        "exponential": r.exponential,
        "gumbel": r.gumbel,
        "laplace": r.laplace,
        "logistic": r.logistic,
        "cauchy": r.cauchy,
        "pareto": lambda key, shape: r.pareto(key, 3.0, shape),
        "rayleigh": lambda key, shape: r.rayleigh(key, 1.5, shape),
        "weibull_min": lambda key, shape: r.weibull_min(key, 1.5, 2.5, shape),
        "maxwell": r.maxwell,
        "double_sided_maxwell": lambda key, shape: r.double_sided_maxwell(key, 0.5, 2.0, shape),
        "triangular": lambda key, shape: r.triangular(key, -1.0, 0.5, 2.0, shape),
    }
    rare: dict[str, Any] = {
        "gamma": lambda key, shape: r.gamma(key, 2.5, shape),
        "loggamma": lambda key, shape: r.loggamma(key, 0.7, shape),
        "beta": lambda key, shape: r.beta(key, 1.5, 2.5, shape),
        "chisquare": lambda key, shape: r.chisquare(key, 3.0, shape),
        "dirichlet": lambda key, shape: r.dirichlet(key, alpha, shape),
        "t": lambda key, shape: r.t(key, 3.0, shape),
        "f": lambda key, shape: r.f(key, 3.0, 5.0, shape),
        "ball": lambda key, shape: r.ball(key, 3, shape=shape),
        "generalized_normal": lambda key, shape: r.generalized_normal(key, 1.5, shape),
        "wald": lambda key, shape: r.wald(key, 1.5, shape),
        "poisson": lambda key, shape: r.poisson(key, 13.0, shape),
        "binomial": lambda key, shape: r.binomial(key, 1000, 0.37, shape),
        # Its `shape` is that of the result in jax 0.10 and that of the draws in 0.12, four each.
        "multinomial": lambda key, shape: r.multinomial(key, 100, p, shape=(*shape, 4)),
        "geometric": lambda key, shape: r.geometric(key, 0.1, shape),
        "categorical": lambda key, shape: r.categorical(key, logits, shape=shape),
        "choice, with p": lambda key, shape: r.choice(key, 4, shape, p=p),
    }
    if "method" in inspect.signature(r.gamma).parameters:  # jax 0.12
        loop_free = {"method": "approximate"}
        digits |= {
            "gamma, approximate": lambda key, shape: r.gamma(key, 2.5, shape, **loop_free),
            "loggamma, approximate": lambda key, shape: r.loggamma(key, 0.7, shape, **loop_free),
            "beta, approximate": lambda key, shape: r.beta(key, 1.5, 2.5, shape, **loop_free),
            "chisquare, approximate": lambda key, shape: r.chisquare(key, 3.0, shape, **loop_free),
        }
        rare["poisson, approximate"] = lambda key, shape: r.poisson(key, 13.0, shape, **loop_free)
    kinds = {"exact": exact, "digits": digits, "rare": rare}
    return {
        name: Sampler(call, kind) for kind, some in kinds.items() for name, call in some.items()
    }


SAMPLERS = _catalog()


def public_samplers() -> set[str]:
    """Return the names of everything in `jax.random` that draws from a key."""
    others = {"key", "PRNGKey", "Key", "clone", "fold_in", "split"}
    found = set()
    for name in dir(jax.random):
        value = getattr(jax.random, name)
        if name.startswith("_") or name in others or not inspect.isfunction(value):
            continue
        if next(iter(inspect.signature(value).parameters), "") == "key":
            found.add(name)
    return found


class Form(NamedTuple):
    """One way to make the same draws, and how many of them it makes."""

    name: str
    draw: Callable[[jax.Array], Any]


def forms(sampler: Sampler, shape: tuple[int, ...]) -> Iterator[Form]:
    """Yield the forms, the one that the others are held against first."""

    def call(key: jax.Array) -> jax.Array:
        return sampler.call(key, shape)

    def sampled(**options: Any) -> Callable[[jax.Array], Any]:
        return jax.jit(lambda key: ks.sample(call, key, ITEMS, **options))

    def looped(one: Callable[[jax.Array], Any]) -> Callable[[jax.Array], Any]:
        return lambda key: np.stack([one(each) for each in ks.keys(key, LOOPED)])

    def mapped(key: jax.Array) -> Any:
        return ks.map(lambda key, _: call(key), jnp.zeros(ITEMS), key=key)

    def scanned(key: jax.Array) -> Any:
        # The draw meets a carry, as in a program that does something with it.
        def step(key: jax.Array, carry: Any, _: Any) -> Any:
            drawn = call(key)
            return carry + drawn.sum(), drawn

        zero = jnp.zeros((), jax.eval_shape(lambda key: call(key).sum(), key).dtype)
        return ks.scan(step, zero, key=key, length=ITEMS)[1]

    yield Form("vmap", sampled())
    yield Form("loop", looped(jax.jit(call)))
    yield Form("scan", jax.jit(scanned))
    yield Form("lax.map", jax.jit(mapped))
    if shape:
        yield Form("eager vmap", lambda key: ks.sample(call, key, ITEMS))
        yield Form("eager loop", looped(call))
    for size in (1, 3, 8) if shape else (1, 3):
        yield Form(f"batch_size={size}", sampled(batch_size=size))
    for count in (2, 8) if shape else (8,):
        mesh = jax.make_mesh(
            (count,), ("i",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:count]
        )
        where = jax.sharding.NamedSharding(mesh, jax.P("i"))
        yield Form(f"{count} devices", sampled(out_sharding=where))
    yield Form("prefix", jax.jit(lambda key: ks.sample(call, key, ITEMS // 2 + 1)))


class Difference(NamedTuple):
    """How a set of values differs from another."""

    total: int
    differing: int
    ulps: int
    """The largest difference in units of the last place, or of one for integers, leaving
    out what differs altogether."""
    altogether: int


def compare(values: Any, reference: Any) -> Difference:
    """Hold values against those of another form, as many as there are."""
    values = np.asarray(values)
    reference = np.asarray(reference)[: len(values)]
    differs = values != reference
    if values.dtype.kind == "f":
        spread = float(np.subtract(*np.percentile(reference, [75, 25])))
        apart = np.abs(values - reference)
        other = apart > ALTOGETHER * np.maximum(spread, np.abs(reference))
        steps = np.abs(_ordered(values) - _ordered(reference))
    else:
        # An integer is right or it is another one.
        other, steps = differs, np.zeros(values.shape, np.int64)
    near = steps[differs & ~other]
    return Difference(values.size, int(differs.sum()), int(near.max(initial=0)), int(other.sum()))


def _ordered(values: np.ndarray) -> np.ndarray:
    """Number the floats in order, so that neighbors are one apart."""
    whole = values.view(np.int32).astype(np.int64)
    return np.where(whole < 0, -(2**31) - whole, whole)


class Row(NamedTuple):
    """What was measured of one sampler, over all forms."""

    name: str
    kind: str
    total: int
    differing: int
    ulps: int
    altogether: int
    where: dict[str, int]


def measure(name: str, sampler: Sampler, shapes: tuple[tuple[int, ...], ...] = ((), (4,))) -> Row:
    """Draw in every form, one value and four at a time, and count what differs."""
    total = differing = ulps = altogether = 0
    where: dict[str, int] = {}
    for shape in shapes:
        key = ks.derive(ks.key(2025), name, *shape)
        reference: Any = None
        for form in forms(sampler, shape):
            drawn = jax.device_get(form.draw(key))
            if reference is None:
                reference = drawn
                continue
            found = compare(drawn, reference)
            total += found.total
            differing += found.differing
            ulps = max(ulps, found.ulps)
            altogether += found.altogether
            if found.differing:
                where[form.name] = where.get(form.name, 0) + found.differing
    return Row(name, sampler.kind, total, differing, ulps, altogether, where)


CURED = ("normal", "exponential", "maxwell", "gumbel", "cauchy")


def cures() -> Iterator[str]:
    """Yield, for a few samplers and each way round, how many values still differ."""
    yield f"{machine()}, XLA_FLAGS={os.environ.get('XLA_FLAGS', '')!r}"
    for name in CURED:
        draw = SAMPLERS[name].call
        ways: dict[str, Any] = {
            "as it is": draw,
            "rounded to 3 decimals": lambda key, shape, draw=draw: draw(key, shape).round(3),
            "float64, then float32": lambda key, shape, draw=draw: draw(key, shape).astype("f4"),
        }
        for way, call in ways.items():
            with jax.enable_x64(way.startswith("float64")):
                row = measure(name, Sampler(call, "digits"), shapes=((4,),))
            yield f"{name}, {way}: {row.differing:,} of {row.total:,}, in {list(row.where)}"


OLDER = "--xla_cpu_max_isa=AVX"
"""What has XLA emit code for a processor with neither fused multiply-add nor AVX2."""


def on_this_processor(names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Draw from the samplers of these names, in one form, as this process has them compiled."""
    drawn = {}
    for name in names:
        draw = jax.jit(
            lambda key, call=SAMPLERS[name].call: ks.sample(lambda k: call(k, ()), key, 10 * ITEMS)
        )
        drawn[name] = np.asarray(draw(ks.derive(ks.key(2025), name)))
    return drawn


def on_an_older_processor(names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Draw the same in a process whose code is that for an older processor (x86 alone)."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "drawn.npz"
        root = str(pathlib.Path(ks.__file__).parent.parent)
        subprocess.run(
            [sys.executable, __file__, "--draw-into", str(file), *names],
            env={**os.environ, "XLA_FLAGS": OLDER, "PYTHONPATH": root},
            check=True,
        )
        with np.load(file) as drawn:
            return dict(drawn)


def machine() -> str:
    """Name the versions and the processor, as the operating system does."""
    words, vectors = platform.processor() or platform.machine(), ""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = dict(
            [part.strip() for part in line.split(":", 1)]
            for line in cpuinfo.read_text().splitlines()
            if ":" in line
        )
        words = fields.get("model name", words)
        flags = fields.get("flags", "").split()
        vectors = next((v for v in ("avx512f", "avx2", "avx") if v in flags), "")
    vectors = f" ({vectors})" if vectors else ""
    return (
        f"jax {jax.__version__}, Python {platform.python_version()}, CPU: {words}{vectors}, "
        f"{platform.system()} {platform.machine()}"
    )


def table(rows: list[Row]) -> str:
    """Write the measurement as Markdown."""
    lines = [
        f"Measured with {machine()}.",
        "",
        "| sampler | equal everywhere | values that differ | by at most | altogether | where |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        largest = f"{row.ulps} ulp" if row.ulps else "-"
        where = ", ".join(f"{form} {count:,}" for form, count in row.where.items())
        lines.append(
            f"| {row.name} | {'no' if row.differing else 'yes'} | "
            f"{row.differing:,} of {row.total:,} | {largest} | {row.altogether:,} | "
            f"{where or '-'} |"
        )
    return "\n".join(lines)


def processors(names: tuple[str, ...]) -> str:
    """Compare code for this processor with that for an older one, as Markdown."""
    here, there = on_this_processor(names), on_an_older_processor(names)
    lines = [
        f"Measured with {machine()}, against the same with `XLA_FLAGS={OLDER}`.",
        "",
        "| sampler | values that differ | by at most | altogether |",
        "|---|---|---|---|",
    ]
    for name in names:
        found = compare(there[name], here[name])
        lines.append(
            f"| {name} | {found.differing:,} of {found.total:,} | "
            f"{f'{found.ulps} ulp' if found.ulps else '-'} | {found.altogether:,} |"
        )
    return "\n".join(lines)


def write(text: str, what: str = "") -> None:
    """Put a table between the markers of this version, and leave the other's alone."""
    page = pathlib.Path(__file__).parent / "samplers.md"
    version = ".".join(jax.__version__.split(".")[:2])
    where = f"{what}jax {version}"
    first, last = f"<!-- measured: {where} -->", f"<!-- end: {where} -->"
    before, _, rest = page.read_text().partition(first)
    _, found, after = rest.partition(last)
    if not found:
        raise SystemExit(f"{page.name} has no lines {first!r} and {last!r}")
    page.write_text(f"{before}{first}\n\n{text}\n\n{last}{after}")


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/samplers.md")
    parser.add_argument("--cures", action="store_true", help="measure the ways round instead")
    parser.add_argument("--processors", action="store_true", help="compare processors instead")
    parser.add_argument("--draw-into", metavar="FILE", help="save one draw of each sampler")
    parser.add_argument("names", nargs="*", help="samplers; all of them if not given")
    options = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)
    if options.cures:
        for line in cures():
            print(line, flush=True)
        return
    names = tuple(options.names or SAMPLERS)
    if options.draw_into:
        np.savez(options.draw_into, **on_this_processor(names))
        return
    if options.processors:
        text = processors(names)
        print(text)
        if options.write:
            write(text, "processors, ")
        return
    begin = time.monotonic()
    rows = []
    for name in names:
        rows.append(measure(name, SAMPLERS[name]))
        print(f"{time.monotonic() - begin:6.1f} s  {rows[-1]}", flush=True)
    text = table(rows)
    print(text)
    if options.write:
        write(text)


if __name__ == "__main__":
    main()
