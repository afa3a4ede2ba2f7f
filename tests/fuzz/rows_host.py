"""The same keys on the host: their laws are those of `ks`."""

from __future__ import annotations

from tests.fuzz import laws, rows_keys, values
from tests.fuzz.row import START, Row
from tests.fuzz.values import of

ONE = {"key": of("host_key", "host_key", "host_key", "key", "legacy", "42")}
HOST_KEY = {"key": ONE["key"] | of("host_keys")}
MANY = {"key": of("host_keys", "host_keys[0]", "host_keys[:0]", "host_keys.astype(int)", "keys")}
BY_NAME = {row.name: row for row in rows_keys.ROWS[:-1]}
DERIVED, ONE_PART = (row for row in rows_keys.ROWS if row.name == "derive")

ROWS = (
    Row("host.key", "host.key({seed})", laws.on_host(laws.key), BY_NAME["key"].slots),
    Row(
        "host.derive",
        "host.derive({key}, {first}, {second})",
        laws.on_host(laws.derive),
        {**DERIVED.slots, **ONE},
    ),
    Row(
        "host.derive",
        "host.derive({key}, {first})",
        laws.on_host(laws.derive),
        {**ONE_PART.slots, **ONE},
    ),
    Row("host.derive", "host.derive({key}, {first})", laws.anything, {**ONE_PART.slots, **MANY}),
    Row(
        "host.split",
        "host.split({key}, {num})",
        laws.on_host(laws.split),
        {**BY_NAME["split"].slots, **HOST_KEY},
    ),
    Row(
        "host.keys",
        "host.keys({key}, {shape}{options})",
        laws.on_host(laws.keys),
        {**HOST_KEY, "shape": values.size},
        START,
    ),
    Row("host.from_jax", "host.from_jax({key})", laws.anything, {"key": values.a_key}, share=0.5),
    Row("host.to_jax", "host.to_jax({key})", laws.key_array, {**MANY, **HOST_KEY}, share=0.5),
    *(
        Row(
            f"host.{name}",
            f"host.{name}({{key}}, {{n}}, {{index}})",
            BY_NAME[name].law,
            {**BY_NAME[name].slots, **ONE},
        )
        for name in ("index_shuffle", "index_unshuffle")
    ),
    *(
        Row(f"host.{name}", f"host.{name}({{key}})", laws.anything, {**HOST_KEY}, share=0.3)
        for name in ("numpy_generator", "python_random", "torch_generator")
    ),
)
ROWS = tuple(row._replace(contexts=("eager",)) for row in ROWS)
