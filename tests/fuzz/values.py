"""Strategies of code: what an argument should be, almost is, and should never be."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

Code = st.SearchStrategy[str]


def of(*codes: str) -> Code:
    """Draw one of these expressions."""
    return st.sampled_from(codes)


def listed(section: str) -> Code:
    """Draw one of the expressions in a section of `expressions.txt`."""
    text = Path(__file__).with_name("expressions.txt").read_text()
    block = next(b for b in text.split("\n\n") if b.startswith(f"# {section}"))
    return of(*(line for line in block.strip().splitlines() if not line.startswith("#")))


_EDGES = [0, 1, 2, 3, 64, 65, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1, 2**63]
_EDGES += [2**64 - 1, 2**64, 2**100]
EDGES = [*_EDGES, *(-n for n in _EDGES if n)]
ints: Code = (st.sampled_from(EDGES) | st.integers(-(2**70), 2**70)).map(repr)
small: Code = st.integers(0, 5).map(repr)
nonnegative: Code = (st.sampled_from([n for n in EDGES if n >= 0]) | st.integers(0, 2**63)).map(
    repr
)
texts: Code = (st.text(max_size=12) | st.text(st.characters(), max_size=3)).map(repr)
raws: Code = st.binary(max_size=8).map(repr)
floats: Code = st.floats().map(lambda x: repr(x) if x - x == 0 else f"float({str(x)!r})")
plain_names: Code = st.sampled_from(["a", "params", "noise", "dropout", "é", "x" * 300]).map(repr)
names: Code = plain_names | of("b'data'", "Text('a')", "Word.NOISE", "Raw(b'ab')", "np.str_('a')")
_KINDS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
_OTHER = ["bool", "float16", "float32", "float64", "complex64", "bfloat16", "int4", "uint4"]
_SHAPES = ["()", "(0,)", "(1,)", "(2,)", "(3,)", "(4,)", "(2, 3)", "(1, 1)", "(0, 3)", "(2, 2, 2)"]


@st.composite
def arrays(draw: st.DrawFn) -> str:
    """Draw an array of any type and a small shape, NumPy's or JAX's."""
    kind = draw(st.sampled_from([*_KINDS, *_OTHER]))
    whose = draw(st.sampled_from(["np", "jnp"]))
    value = draw(st.sampled_from([0, 1, 3, -1, 100, "float('nan')", 2**31, 2**63]))
    if kind in _KINDS and not isinstance(value, str) and not _fits(kind, value):
        value = 1
    if kind in ("int4", "uint4", "bool", *_KINDS) and isinstance(value, str):
        value = 0
    if kind in ("int4", "uint4"):
        value = 1
    kind = f"jnp.{kind}" if kind in ("bfloat16", "int4", "uint4") else repr(kind)
    return f"{whose}.full({draw(st.sampled_from(_SHAPES))}, {value}, {kind})"


def _fits(kind: str, value: int) -> bool:
    bits = int(kind.lstrip("uint")) - (not kind.startswith("u"))
    bits = min(bits, 31) if not kind.startswith("u") else min(bits, 32)
    return -(2**bits) * (not kind.startswith("u")) <= value < 2**bits


scalars = st.builds(
    lambda kind, value: f"np.{kind}({value})",
    st.sampled_from([*_KINDS, "bool_", "float32", "float64", "complex64"]),
    st.sampled_from([0, 1, 3, 100]),
) | of(
    "np.int64(2**40)",
    "np.int64(-2**63)",
    "np.uint64(2**64 - 1)",
    "np.int32(-1)",
    "np.timedelta64(3, 's')",
    "np.datetime64('2020-01-01')",
    "np.float32('nan')",
    "np.void(b'ab')",
    "jnp.int32(3)",
    "jnp.uint32(2**32 - 1)",
    "jnp.float32(1.5)",
    "jnp.bool_(True)",
)

deleted = of("gone", "gone_int", "gone_ids", "gone_stream", "gone_streams")
traced = of("tkey", "tint", "tfloat", "tids", "tkeys")
foreign_keys = listed("foreign_keys")
meshes = listed("meshes")
functions = listed("functions")
misfits = listed("misfits")
anything: Code = st.one_of(
    misfits,
    misfits,
    ints,
    texts,
    raws,
    floats,
    arrays(),
    scalars,
    deleted,
    traced,
    foreign_keys,
    meshes,
    functions,
)

a_key: Code = of("key", "key", "key", "tkey", "tkey", "four", "rbg", "philox", "other", "committed")
some_keys: Code = of("keys", "tkeys", "key", "keys[None]", "nokeys", "jax.random.split(four, 2)")
count: Code = small | of("2", "3", "np.int64(3)", "Whole(2)", "Color.RED")
size: Code = small | of(
    "()", "(3,)", "(2, 3)", "[2, 2]", "(0,)", "(np.int32(2), 1)", "Pair((1, 2))"
)
wide_size: Code = size | of("65", "1000", "2**33", "(2**20, 2**20)")
start: Code = nonnegative | of(
    "0", "5", "tint", "tint", "jnp.int32(4)", "np.int64(2**40)", "np.array(3)"
)
order: Code = of(
    "1", "2", "5", "5", "1000", "4096", "4097", "10**6", "2**31", "2**40", "np.int64(7)"
)
places: Code = start | of("ids", "tids", "np.arange(5)", "np.zeros((0, 3), int)", "jnp.arange(3)")
names_of: Code = st.lists(names, max_size=4, unique=True).map(lambda xs: f"[{', '.join(xs)}]") | of(
    "('params', 'dropout')", "('a',)", "[]", "tuple(map(str, range(40)))"
)
trees: Code = of(
    "{'a': 0.0, 'b': [0.0, 1.0]}",
    "[1, (2, 3)]",
    "Point(1, {'x': 2})",
    "0.0",
    "None",
    "{}",
    "[]",
    "{1: 0, 2: 0}",
    "Node(1, 2)",
    "Plain(1, [2])",
    "stream",
    "{b'a': 0, b'b': {'c': 1}}",
    "xs",
    "list(range(40))",
    "{str(i): [i] for i in range(40)}",
    "collections.OrderedDict(b=1, a=2)",
)
key_trees: Code = of(
    "key",
    "keys",
    "stream",
    "streams",
    "several",
    "many_streams",
    "[key, None]",
    "{'a': stream, 'b': (keys,)}",
    "like",
    "Point(key, stream)",
    "Plain(key)",
    "Node(key, four)",
    "{'a': rbg, b'a': philox, 1: four}",
    "last",
    "narrow_stream",
    "nokeys",
    "collections.OrderedDict(b=key)",
    "()",
    "None",
    "committed",
    "[keys] * 3",
    "no_streams",
)
axis_trees: Code = of("0", "None", "0", "(0,)", "-1", "[0]", "1", "(None,)", "0")
array_trees: Code = of(
    "xs", "xs", "np.arange(4)", "{'a': xs}", "(xs, xs)", "jnp.zeros((4, 2))", "jnp.ones(4)"
)
inits: Code = of(
    "0", "0.0", "jnp.zeros(3)", "{'a': 1.0}", "None", "(jnp.int32(0), 1)", "key", "np.zeros(2)"
)
flag: Code = of("True", "False", "np.bool_(True)")


def _fits_memory(code: str) -> bool:
    # Sizes that JAX takes, and that the machine may not: a run of the process out of memory.
    digits = code.removeprefix("-").isdecimal()
    return not (digits and 2**22 < abs(int(code)) <= 2**32)


SUBJECTS = {
    "shape": anything.filter(_fits_memory),
    "n": anything.filter(_fits_memory),
    "stream": of(
        "holed",
        "gone_stream",
        "several",
        "last",
        "narrow_stream",
        "ks.Stream(tkey)",
        "jax.tree.map(lambda leaf: leaf, several)",
        "ks.Stream.tree_unflatten(None, (key, xs))",
        "ks.Stream.tree_unflatten(None, (unsafe, legacy))",
        "ks.Stream.tree_unflatten(None, (key, tids))",
        "ks.Stream.tree_unflatten(None, (gone, legacy))",
    ),
    "streams": of(
        "holed_streams",
        "gone_streams",
        "many_streams",
        "unstreams",
        "mixed_streams",
        "no_streams",
        "ks.Streams.tree_unflatten(('a',), (key,))",
    ),
    "report": of("report", "clean"),
    "attribute": texts,
    "entry": texts,
}
"""What has the methods, or should: a thing of another class has none to call."""
