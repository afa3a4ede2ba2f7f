"""The table of rules: what each one is called, why it matters, and the code that mends it."""

from __future__ import annotations

from typing import NamedTuple

from keystream._audit.values import Finding, Severity


class Rule(NamedTuple):
    """A row of the table."""

    id: str
    title: str
    """What happened, in one sentence; a finding may say it more closely."""
    severity: Severity
    """The usual one; a finding has its own."""
    why: str
    """Why it matters, in one sentence."""
    cure: str
    """Code."""
    anchor: str
    """The heading in docs/audit.md."""

    @property
    def more(self) -> str:
        """The command that explains the rule."""
        return f"python -m keystream explain {self.id}"


_ROWS = (
    Rule(
        "KS01",
        "a key is drawn from twice",
        "error",
        "One key gives the same numbers each time: the draws are equal, or made of each other.",
        "first, second = ks.split(key)  # draw from each of them once",
        "ks01-drawn-twice",
    ),
    Rule(
        "KS02",
        "a key is drawn from and split",
        "error",
        "The numbers drawn are made of the words of the key's children, so what the children draw "
        "isn't independent of them.",
        "key, use = ks.split(key)  # draw from use, split key again",
        "ks02-drawn-and-split",
    ),
    Rule(
        "KS03",
        "a key is split twice, and one child is used on both sides",
        "error",
        "Splitting a key again gives the same children, so both sides draw the same numbers.",
        "first, second, third = ks.split(key, 3)  # once, into as many as it takes",
        "ks03-split-twice",
    ),
    Rule(
        "KS04",
        "a key is split and folded, and one child comes of both",
        "error",
        "fold_in(key, i) is the child split(key, n)[i], so two pieces of work get one key.",
        "parts, steps = ks.split(key)  # split the one, fold into the other",
        "ks04-split-and-folded",
    ),
    Rule(
        "KS05",
        "the same number is folded into a key twice",
        "error",
        "Folding the same number again gives the same key, so both uses draw the same numbers.",
        'noise, mask = ks.derive(key, "noise", step), ks.derive(key, "mask", step)',
        "ks05-folded-twice-with-the-same-number",
    ),
    Rule(
        "KS06",
        "a key is drawn from, and children are folded out of it",
        "error",
        "A draw reads the blocks that the children are made of, so a child can meet it.",
        'draw_key = ks.derive(key, "draw")  # draw from draw_key, not from key',
        "ks06-drawn-beside-its-children",
    ),
    Rule(
        "KS07",
        "a key from outside the loop is used in every step",
        "error",
        "Every step draws the same numbers.",
        "carry, ys = ks.scan(body, init, xs, key=key)  # body(key, carry, x): a key for each step",
        "ks07-one-key-for-all-steps",
    ),
    Rule(
        "KS08",
        "the same number is folded into a key in every step",
        "error",
        "The key in the loop is the same in every step, and so are the numbers.",
        "use = ks.derive(key, i)  # i is the number of the step",
        "ks08-folded-with-a-constant-in-every-step",
    ),
    Rule(
        "KS09",
        "a loop carries a used key on to its next step",
        "error",
        "The next step draws from the key that this step used up.",
        "key, use = ks.split(key)  # draw from use, carry key on",
        "ks09-a-used-key-carried-on",
    ),
    Rule(
        "KS10",
        "a used key is returned to the caller",
        "error",
        "The caller can't see that it is used up, and draws the same numbers from it.",
        "key, use = ks.split(key)  # draw from use, return key",
        "ks10-a-used-key-returned",
    ),
    Rule(
        "KS11",
        "all lanes of a vmap use one key",
        "warning",
        "Every lane draws the same numbers.",
        "ys = ks.vmap(fun)(key, xs)  # fun(key, x): a key for each lane",
        "ks11-one-key-for-all-lanes",
    ),
    Rule(
        "KS12",
        "all shards use one key",
        "error",
        "Every shard draws the same numbers, so the batch holds fewer of them than it seems to.",
        'use = ks.for_axis(key, "data")  # or ks.shard_map(..., vary="data"); vary=() where all '
        "shards are to draw the same",
        "ks12-one-key-for-all-shards",
    ),
    Rule(
        "KS13",
        "two keys are made from the same seed, and both are used",
        "error",
        "Equal seeds are equal keys, so both draw the same numbers.",
        'params, dropout = ks.split(ks.key(seed), ("params", "dropout")).values()',
        "ks13-two-roots-with-one-seed",
    ),
    Rule(
        "KS14",
        "a key is built from numbers instead of from a key",
        "error",
        "Nothing keeps such a key apart from the others; seeds of 32 random bits are as likely as "
        "not to meet among 77,000.",
        'child = ks.derive(key, "child")',
        "ks14-a-key-built-from-numbers",
    ),
    Rule(
        "KS15",
        "a key is never used",
        "note",
        "Often another key was used in its place.",
        "key, use = ks.split(key)  # as many as are used",
        "ks15-never-used",
    ),
    Rule(
        "KS16",
        "this implementation gives no guarantee for this use",
        "warning",
        "Keys that should differ, or their numbers, can be equal.",
        "key = ks.key(seed)  # threefry2x32",
        "ks16-an-implementation-used-beyond-its-guarantees",
    ),
    Rule(
        "KS00",
        "a comment that silences nothing",
        "warning",
        "What a comment seems to settle is not settled.",
        "# keystream: ignore[KS12] the reason why this is meant",
        "ks00-a-comment-that-silences-nothing",
    ),
)

RULES: dict[str, Rule] = {rule.id: rule for rule in _ROWS}
"""The rules by id: KS01 to KS16, and KS00 about the comments that silence them."""


def rule_of(finding: Finding) -> Rule:
    """Return the row of a finding with the finding's own severity, reason and cure in it."""
    blank = Rule(finding.rule, finding.message, finding.severity, "", "", finding.rule.lower())
    row = RULES.get(finding.rule, blank)
    return row._replace(
        severity=finding.severity, why=finding.why or row.why, cure=finding.cure or row.cure
    )
