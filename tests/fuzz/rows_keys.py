"""Seeds, keys, and children of one key."""

from __future__ import annotations

from tests.fuzz import laws, values
from tests.fuzz.row import KEY, MOSTLY_TRACED, SHARDING, START, TRACED, Row
from tests.fuzz.values import of

ROWS = (
    Row(
        "key",
        "ks.key({seed}{options})",
        laws.key,
        {
            "seed": values.ints
            | values.texts
            | values.raws
            | of(
                "[1, 2**70]",
                "legacy",
                "key",
                "four",
                "np.random.SeedSequence(5)",
                "np.int64(-3)",
                "jnp.uint32(7)",
                "10**5000",
                "[]",
                "(1, np.uint8(3))",
            )
        },
        {
            "impl": of(
                "None",
                "'threefry2x32'",
                "'rbg'",
                "'threefry4x32'",
                "'philox4x32'",
                "jax.random.key_dtype('rbg')",
            )
        },
        share=3.0,
    ),
    Row("fresh_seed", "ks.fresh_seed({options})", laws.fresh, {}, {"size": of("3")}, share=0.1),
    Row("fingerprint", "ks.fingerprint({key})", laws.fingerprint, KEY, share=1.5),
    Row(
        "split",
        "ks.split({key}, {num})",
        laws.split,
        {**KEY, "num": values.count | values.names_of | of("64", "65")},
        share=1.5,
    ),
    Row(
        "keys",
        "ks.keys({key}, {shape}{options})",
        laws.keys,
        {**KEY, "shape": values.size},
        {**START, "out_sharding": SHARDING},
    ),
    Row(
        "derive",
        "ks.derive({key}, {first}, {second})",
        laws.derive,
        {
            **KEY,
            "first": values.names
            | values.ints
            | values.texts
            | of("ids", "tids", "tint", "np.arange(6).reshape(2, 3)", "np.array([2**40, -5])"),
            "second": values.names | values.ints | of("tids", "jnp.arange(3)"),
        },
        share=2.5,
    ),
    Row(
        "derive",
        "ks.derive({key}, {first})",
        laws.derive,
        {**KEY, "first": values.arrays() | values.ints | values.texts | values.scalars},
        share=2.5,
    ),
    Row(
        "window",
        "ks.window({key}, {shape}, {start})",
        laws.window,
        {
            **KEY,
            "shape": values.size | of("(2**40, 3)", "(2,) * 9", "(2**31, 2**32)", "1000"),
            "start": of("0", "2", "tint", "(0,)", "(1, 2)", "(tint, 0)", "(2**39, 1)", "()")
            | values.start,
        },
        share=1.5,
    ),
    *(
        Row(
            name,
            f"ks.{name}({{key}}, {{n}}, {{index}})",
            law,
            {**KEY, "n": values.order, "index": values.places},
            share=1.5,
        )
        for name, law in (
            ("index_shuffle", laws.shuffled),
            ("index_unshuffle", laws.unshuffled),
        )
    ),
    Row(
        "split_tree",
        "ks.split_tree({key}, {tree}{options})",
        laws.split_tree,
        {**KEY, "tree": values.trees},
        {"is_leaf": of("stop", "lambda x: isinstance(x, list)", "None", "stop")},
    ),
    Row(
        "iter_keys",
        "again_and_again(ks.iter_keys({key}{options}))",
        laws.iterated,
        KEY,
        START,
        share=1.5,
    ),
    Row(
        "for_axis",
        "ks.for_axis({key}, {axis_name})",
        laws.a_key,
        {
            **KEY,
            "axis_name": of("'data'", "'lane'", "('data', 'model')", "'model'", "['data']", "()"),
        },
        contexts=(*TRACED, "eager"),
        share=1.5,
    ),
    Row("for_process", "ks.for_process({key})", laws.child_of_process, KEY, share=0.5),
    Row(
        "shard_keys",
        "ks.shard_keys({key}, {mesh}, {spec})",
        laws.key_array,
        {
            **KEY,
            "mesh": of("mesh", "explicit", "lonely", "foreign", "abstract"),
            "spec": of(
                "jax.P('data')",
                "jax.P()",
                "jax.P('data', 'model')",
                "jax.P(('data', 'model'))",
                "jax.P(None, 'model')",
                "jax.P('x')",
            ),
        },
        contexts=MOSTLY_TRACED,
    ),
)
