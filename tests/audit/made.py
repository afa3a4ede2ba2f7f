"""Made-up findings, and strategies for odd ones."""

from hypothesis import strategies as st

from keystream._audit.rules import RULES
from keystream._audit.values import SEVERITIES, Branch, Count, Finding, Place

GONE = "/gone/train.py"
FIRST = Place(GONE, 12, "step", "noise = jax.random.normal(key, (3,))")
SECOND = Place(GONE, 14, "step", "mask = jax.random.bernoulli(key, 0.5, (3,))")
TWICE = Finding(
    "KS01",
    "error",
    "a key is drawn from twice",
    (FIRST, SECOND),
    ("drawn from here first, by jax.random.normal", "and drawn from again here"),
    ("argument key", "split[1]"),
)
UNUSED = Finding("KS15", "note", "a key is never used", (FIRST,), ("never used",), ("seed 0",))
LANES = Finding("KS11", "warning", "all lanes of a vmap use one key", (SECOND,))
FINDINGS = (UNUSED, TWICE, LANES)
COUNTS = (Count(FIRST, 2, 192), Count(SECOND, 1000, 96000, 1, 3))
TREE = (
    Branch(
        "argument key",
        None,
        (),
        (
            Branch("split[0]", None, (0,)),
            Branch("split[1]", FIRST, (1,), (Branch("normal (3,) float32", FIRST, (1, 2)),)),
        ),
    ),
)

odd = st.one_of(
    st.text(st.characters(codec=None), max_size=30),
    st.sampled_from(["", "<script>alert(1)</script>", "\"&'", "\x1b[31m", "a\tb\nc", "🎲" * 60]),
    st.sampled_from(["\ud800", "\u202e", "\0", "x" * 500, "]]>", "<!--", "$body", "&amp;"]),
)
places = st.builds(Place, odd, st.integers(-1, 10**7), odd, odd)
findings = st.builds(
    Finding,
    st.one_of(st.sampled_from(sorted(RULES)), odd),
    st.sampled_from(SEVERITIES),
    odd,
    st.lists(places, max_size=3).map(tuple),
    st.lists(odd, max_size=4).map(tuple),
    st.lists(odd, max_size=20).map(tuple),
    odd,
    odd,
    st.just(""),
)
numbers = st.integers(0, 2**70)
# Every field is given: newer versions of hypothesis make up those that have a default.
counts = st.builds(Count, places, numbers, numbers, numbers, numbers)


marks = st.lists(st.integers(0, 2), max_size=2).map(tuple)
branches = st.recursive(
    st.builds(Branch, odd, st.none() | places, marks, st.just(())),
    lambda inner: st.builds(
        Branch, odd, st.none() | places, marks, st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=8,
)
"""Trees that mark the first three findings."""


@st.composite
def parts(draw):
    """Return the arguments of `make_report`."""
    found = draw(st.just([]) | st.lists(findings, min_size=3, max_size=6))
    trees = draw(st.lists(branches, max_size=3)) if found else []
    return draw(odd), found, draw(st.lists(counts, max_size=4)), trees, draw(st.lists(odd))


def staircase(depth):
    """Return a lineage as deep as that of a Python loop that splits its key."""
    branch = Branch("uniform ()", FIRST, (0,))
    for step in range(depth):
        branch = Branch(f"fold_in({step})", SECOND, (), (branch, Branch("normal (3,)")))
    return (branch,)
