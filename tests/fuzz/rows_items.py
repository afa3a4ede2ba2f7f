"""Loops, lanes, samples and mapped bodies."""

from __future__ import annotations

from tests.fuzz import laws, values
from tests.fuzz.row import KEY, MOSTLY_TRACED, SHARDING, START, TRACED, Row
from tests.fuzz.values import of

_BODY = {"body": of("step", "step", "step", "grows", "wider", "triple", "bad_y", "raises")}
_SCAN = {
    "length": of("4", "4", "3", "0", "None", "2**33", "np.int32(4)"),
    "reverse": values.flag,
    "unroll": of("1", "2", "True", "0", "10"),
    "_split_transpose": values.flag,
}
_FUN = of("draw", "draw", "one", "plus", "tree_of", "key_of", "normal", "partial", "none_of")
_SPECS = of(
    "jax.P()", "jax.P('data')", "(jax.P('data'),)", "jax.P(('data', 'model'))", "(jax.P(),)", "()"
)
_VARY = of("'data'", "()", "('data', 'model')", "'model'", "('model', 'data')", "['data']")

ROWS = (
    Row(
        "scan",
        "ks.scan({body}, {init}, {xs}, key={key}{options})",
        laws.scanned,
        {**_BODY, "init": values.inits, "xs": values.array_trees | of("None"), **KEY},
        {**_SCAN, **START},
        contexts=MOSTLY_TRACED,
        share=2.0,
    ),
    Row(
        "scan_carried",
        "ks.scan_carried({body}, {init}, {xs}, key={key}{options})",
        laws.scanned,
        {**_BODY, "init": values.inits, "xs": values.array_trees | of("None"), **KEY},
        _SCAN,
        contexts=MOSTLY_TRACED,
    ),
    Row(
        "map",
        "ks.map({body}, {xs}, key={key}{options})",
        laws.anything,
        {
            "body": of("draw", "plus", "one", "tree_of", "text_of", "key_of"),
            "xs": values.array_trees,
            **KEY,
        },
        {"batch_size": of("None", "1", "3", "2**33"), **START},
        contexts=MOSTLY_TRACED,
    ),
    Row(
        "fori_loop",
        "ks.fori_loop({lower}, {upper}, {body}, {init}, key={key})",
        laws.anything,
        {
            "lower": values.small | values.ints | of("tint"),
            "upper": values.small | of("tint", "7", "2**31 - 1"),
            "body": of("turn", "turn", "turn", "doubled", "raises"),
            "init": values.inits,
            **KEY,
        },
        contexts=TRACED,
        share=1.5,
    ),
    Row(
        "fori_loop",
        "ks.fori_loop({lower}, {upper}, {body}, {init}, key={key})",
        laws.anything,
        {
            "lower": values.small,
            "upper": values.small,
            "body": of("turn"),
            "init": values.inits,
            **KEY,
        },
        share=0.2,
        contexts=("eager", "with_x64", "under_mesh"),
    ),
    Row(
        "while_loop",
        "ks.while_loop({cond}, {body}, {init}, key={key}{options})",
        laws.anything,
        {
            "cond": of(
                "stop", "stop", "stop_array", "stop_number", "stop_float", "stop_tree", "one"
            ),
            "body": of("again", "again", "doubled", "raises"),
            "init": values.inits,
            **KEY,
        },
        START,
        contexts=MOSTLY_TRACED,
        share=1.5,
    ),
    Row(
        "vmap",
        "ks.vmap({fun}{options})({key}, {x})",
        laws.anything,
        {"fun": _FUN, **KEY, "x": values.array_trees},
        {
            "in_axes": values.axis_trees,
            "out_axes": values.axis_trees,
            **START,
            "axis_name": of("'i'", "None", "0"),
            "axis_size": of("4", "None", "3"),
            "spmd_axis_name": of("None", "'data'", "('data', 'model')"),
        },
        contexts=MOSTLY_TRACED,
        share=2.0,
    ),
    Row(
        "vmap",
        "ks.vmap({fun}{options})({key}, x={x})",
        laws.anything,
        {"fun": of("draw", "plus"), **KEY, "x": values.array_trees},
        {
            "in_axes": values.axis_trees,
            "out_axes": values.axis_trees,
            **START,
            "axis_size": of("4", "None", "0"),
        },
        contexts=MOSTLY_TRACED,
    ),
    Row(
        "batched",
        "ks.batched({sampler})({keys}, {x})",
        laws.anything,
        {"sampler": _FUN, "keys": values.some_keys, "x": values.size | values.array_trees},
        contexts=MOSTLY_TRACED,
    ),
    Row(
        "sample",
        "ks.sample({sampler}, {key}, {shape}, {x}{options})",
        laws.sampled,
        {
            "sampler": _FUN,
            **KEY,
            "shape": values.size,
            "x": values.size | values.array_trees | values.misfits,
        },
        {
            **START,
            "batch_size": of("None", "1", "2", "2**33"),
            "out_sharding": SHARDING,
            "dtype": of("'float32'", "jnp.bfloat16"),
        },
        contexts=MOSTLY_TRACED,
        share=2.0,
    ),
    Row(
        "sample",
        "ks.sample({sampler}, {key}, {shape}{options})",
        laws.sampled,
        {"sampler": _FUN, **KEY, "shape": values.size},
        {**START, "batch_size": of("None", "1", "2", "2**33"), "out_sharding": SHARDING},
        contexts=MOSTLY_TRACED,
    ),
    Row(
        "shard_map",
        "ks.shard_map({fun}, out_specs={out_specs}, in_specs={in_specs}, vary={vary}{options})"
        "({key}, {x})",
        laws.anything,
        {
            "fun": of("whole", "whole", "one", "tree_of", "plus", "none_of"),
            "out_specs": _SPECS,
            "in_specs": _SPECS,
            "vary": _VARY,
            **KEY,
            "x": of(
                "jnp.zeros(8)", "jnp.zeros((4, 2))", "np.arange(8)", "3.0", "{'a': jnp.zeros(4)}"
            ),
        },
        {
            "mesh": of("mesh", "mesh", "mesh", "None", "explicit", "lonely"),
            "axis_names": of("{'data'}", "{'data', 'model'}", "frozenset()"),
            "check_vma": values.flag,
        },
        contexts=MOSTLY_TRACED,
        share=2.0,
    ),
    Row(
        "shard_map",
        "ks.shard_map({fun}, out_specs={out_specs}, in_specs=(), vary={vary}, mesh={mesh}{options})"
        "({key})",
        laws.anything,
        {
            "fun": of("whole", "one", "tree_of"),
            "out_specs": _SPECS,
            "vary": _VARY,
            "mesh": of("mesh", "mesh", "explicit", "None"),
            **KEY,
        },
        {"axis_names": of("{'data'}", "{'data', 'model'}"), "check_vma": values.flag},
        contexts=MOSTLY_TRACED,
    ),
    Row(
        "pmap",
        "ks.pmap({fun})({key}, jnp.zeros(8))",
        laws.anything,
        {"fun": _FUN, **KEY},
        # No argument of jax.pmap's own, and not under a mesh: it has errors of its own for both.
        contexts=("in_jit", "in_vmap", "in_grad", "in_scan"),
    ),
)
