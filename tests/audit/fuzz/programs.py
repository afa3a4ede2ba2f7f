"""Make random programs of draws, splits, folds, loops, branches, transforms and mapped bodies.

They are text in the words of JAX: `words` runs the same text without JAX. Most keys are used
once; some are used again, or in the wrong place, so that about half of all programs are wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable

AGAIN = 0.12
"""How often a key is taken that was used before, or that belongs outside of the loop."""
DEEPEST = 3
"""Bodies in bodies."""


class Scope:
    """The keys that a body can use: those that nobody has used yet, and all others."""

    def __init__(self, fresh: list[str], old: list[str], numbers: list[str]) -> None:
        self.fresh, self.old, self.numbers = fresh, old, numbers
        self.arrays: list[tuple[str, int]] = []


class Writer:
    """Writes one program."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.names = 0
        self.again = self.random.choice((0.0, AGAIN / 2, AGAIN, 2 * AGAIN))

    def name(self, letter: str) -> str:
        """Return a name that nothing has."""
        self.names += 1
        return f"{letter}{self.names}"

    def put(self, depth: int, line: str) -> None:
        """Write a line."""
        self.lines.append("    " * depth + line)

    def key(self, scope: Scope) -> str | None:
        """Return a key: one that nobody has used, or now and then another one."""
        if scope.old and self.random.random() < self.again:
            return self.random.choice(scope.old)
        if not scope.fresh:
            return None
        found = scope.fresh.pop(self.random.randrange(len(scope.fresh)))
        scope.old.append(found)
        return found

    def body(self, scope: Scope, depth: int, level: int, most: int) -> None:
        """Write some statements that add to `out`."""
        self.put(depth, "out = 0.0")
        plain: list[Callable[[Scope, int], None]] = [self.draw, self.draw, self.split, self.fold]
        plain += [self.pick, self.split_array, self.move]
        rare: list[Callable[[Scope, int], None]] = [self.choose, self.seed]
        deep: list[Callable[[Scope, int, int], None]] = [
            self.scan_keys, self.scan_closed, self.scan_carried, self.fori, self.cond, self.called,
            self.vmap_keys, self.vmap_closed, self.map_keys, self.while_loop, self.shards,
        ]  # fmt: skip
        for _ in range(self.random.randint(1, most)):
            kind = self.random.random()
            if kind < 0.6 or level >= DEEPEST:
                self.random.choice(plain)(scope, depth)
            elif kind < 0.65:
                self.random.choice(rare)(scope, depth)
            else:
                self.random.choice(deep)(scope, depth, level)
        self.draw(scope, depth)

    # Statements.

    def draw(self, scope: Scope, depth: int) -> None:
        """Draw one number, or three."""
        key = self.key(scope)
        if key is not None:
            one = ("R.normal({})", "R.uniform({})", "R.bits({}).astype(float)")
            three = ("R.normal({}, (3,)).sum()", "R.uniform({}, (3,)).sum()")
            self.put(depth, "out += " + self.random.choice((*one, *one, *three)).format(key))

    def split(self, scope: Scope, depth: int) -> None:
        """Split a key into two or three."""
        key = self.key(scope)
        if key is not None:
            made = [self.name("k") for _ in range(self.random.choice((2, 2, 3)))]
            self.put(depth, f"{', '.join(made)} = R.split({key}, {len(made)})")
            scope.fresh += made

    def split_array(self, scope: Scope, depth: int) -> None:
        """Split a key into an array of them."""
        key = self.key(scope)
        if key is not None:
            name, count = self.name("a"), self.random.randint(2, 4)
            self.put(depth, f"{name} = R.split({key}, {count})")
            scope.arrays.append((name, count))

    def pick(self, scope: Scope, depth: int) -> None:
        """Take one key out of an array."""
        if scope.arrays:
            array, count = self.random.choice(scope.arrays)
            name, place = self.name("k"), self.random.randrange(count)
            self.put(depth, f"{name} = {array}[{place}]")
            if self.random.random() > self.again:
                scope.arrays.remove((array, count))
            scope.fresh.append(name)

    def move(self, scope: Scope, depth: int) -> None:
        """Turn an array round, cut it, or put two of them, or two keys, together."""
        kind, name = self.random.randrange(4), self.name("a")
        if kind == 0:
            one, other = self.key(scope), self.key(scope)
            if one is not None and other is not None:
                self.put(depth, f"{name} = jnp.stack([{one}, {other}])")
                scope.arrays.append((name, 2))
            return
        taken = self.array(scope, depth)
        if taken is None:
            return
        array, count = taken
        if kind == 1:
            self.put(depth, f"{name} = {array}[::-1]")
        elif kind == 2 and count > 2:
            self.put(depth, f"{name} = {array}[1:]")
            count -= 1
        else:
            second = self.array(scope, depth) or taken
            self.put(depth, f"{name} = jnp.concatenate([{array}, {second[0]}])")
            count += second[1]
        scope.arrays.append((name, count))

    def fold(self, scope: Scope, depth: int) -> None:
        """Fold one number into a key, or several, or one that isn't known."""
        key = self.key(scope)
        if key is None:
            return
        if scope.numbers and self.random.random() < 0.5:
            numbers = [self.random.choice(scope.numbers)]
        else:
            count = self.random.randint(1, 2)
            numbers = [str(self.random.randrange(5)) for _ in range(count)]
            if len(set(numbers)) < count and self.random.random() > self.again:
                numbers = numbers[:1]
        for number in numbers:
            name = self.name("k")
            self.put(depth, f"{name} = R.fold_in({key}, {number})")
            scope.fresh.append(name)

    def choose(self, scope: Scope, depth: int) -> None:
        """Pick one of two keys by a flag."""
        one, other = self.key(scope), self.key(scope)
        if one is not None and other is not None:
            name = self.name("k")
            self.put(depth, f"{name} = jnp.where(flag, {one}, {other})")
            scope.fresh.append(name)

    def seed(self, scope: Scope, depth: int) -> None:
        """Make a key of a seed, mostly one that no other has."""
        again = self.random.random() < self.again
        name = self.name("k")
        self.put(depth, f"{name} = R.key({7 if again else 1000 + self.names})")
        scope.fresh.append(name)

    # Bodies.

    def inner(self, scope: Scope, fresh: list[str], numbers: list[str]) -> Scope:
        """Return the scope of a body that runs several times: keys from outside are old."""
        old = [*scope.old, *scope.fresh] if self.again else []
        return Scope(fresh, old, [*scope.numbers, *numbers])

    def array(self, scope: Scope, depth: int) -> tuple[str, int] | None:
        """Return an array of keys that nobody has used, or now and then another one."""
        if not scope.arrays:
            self.split_array(scope, depth)
        if not scope.arrays:
            return None
        found = self.random.choice(scope.arrays)
        if self.random.random() > self.again:
            scope.arrays.remove(found)
        return found

    def scan_keys(self, scope: Scope, depth: int, level: int) -> None:
        """Scan over keys."""
        taken = self.array(scope, depth)
        if taken is None:
            return
        fun, key = self.name("f"), self.name("k")
        self.put(depth, f"def {fun}(total, {key}):")
        self.body(self.inner(scope, [key], []), depth + 1, level + 1, 3)
        self.put(depth + 1, "return total + out, None")
        self.put(depth, f"out += lax.scan({fun}, 0.0, {taken[0]})[0]")

    def map_keys(self, scope: Scope, depth: int, level: int) -> None:
        """Map over keys in a loop."""
        self._mapped(scope, depth, level, "lax.map({fun}, {keys}).sum()")

    def vmap_keys(self, scope: Scope, depth: int, level: int) -> None:
        """Map over keys in lanes."""
        self._mapped(scope, depth, level, "jax.vmap({fun})({keys}).sum()")

    def _mapped(self, scope: Scope, depth: int, level: int, call: str) -> None:
        taken = self.array(scope, depth)
        if taken is None:
            return
        fun, key = self.name("f"), self.name("k")
        self.put(depth, f"def {fun}({key}):")
        self.body(self.inner(scope, [key], []), depth + 1, level + 1, 3)
        self.put(depth + 1, "return out")
        self.put(depth, "out += " + call.format(fun=fun, keys=taken[0]))

    def vmap_closed(self, scope: Scope, depth: int, level: int) -> None:
        """Map over numbers in lanes, with a key that gets the number folded in."""
        key = self.key(scope)
        if key is None:
            return
        fun, number, mine = self.name("f"), self.name("i"), self.name("k")
        self.put(depth, f"def {fun}({number}):")
        self.put(depth + 1, f"{mine} = R.fold_in({key}, {number})")
        self.body(self.inner(scope, [mine], [number]), depth + 1, level + 1, 3)
        self.put(depth + 1, "return out")
        self.put(depth, f"out += jax.vmap({fun})(jnp.arange(3)).sum()")

    def scan_closed(self, scope: Scope, depth: int, level: int) -> None:
        """Scan over numbers that are folded into a key from outside."""
        key = self.key(scope)
        if key is None:
            return
        fun, number, mine = self.name("f"), self.name("i"), self.name("k")
        self.put(depth, f"def {fun}(total, {number}):")
        self.put(depth + 1, f"{mine} = R.fold_in({key}, {number})")
        self.body(self.inner(scope, [mine], [number]), depth + 1, level + 1, 3)
        self.put(depth + 1, "return total + out, None")
        self.put(depth, f"out += lax.scan({fun}, 0.0, jnp.arange(3))[0]")

    def scan_carried(self, scope: Scope, depth: int, level: int) -> None:
        """Scan with a key in the carry, which is advanced, or not."""
        key = self.key(scope)
        if key is None:
            return
        fun, carried, use, after = (self.name(each) for each in "fkkk")
        self.put(depth, f"def {fun}(carry, _):")
        self.put(depth + 1, f"{carried}, total = carry")
        inner = self.inner(scope, [], [])
        if self.random.random() < self.again:
            inner.fresh, back = [carried], carried
        else:
            self.put(depth + 1, f"{carried}, {use} = R.split({carried})")
            inner.fresh, back = [use], carried
        self.body(inner, depth + 1, level + 1, 3)
        self.put(depth + 1, f"return ({back}, total + out), None")
        self.put(depth, f"({after}, extra), _ = lax.scan({fun}, ({key}, 0.0), None, length=3)")
        self.put(depth, "out += extra")
        scope.fresh.append(after)

    def fori(self, scope: Scope, depth: int, level: int) -> None:
        """Count a loop, with its number folded into a key."""
        key = self.key(scope)
        if key is None:
            return
        fun, number, mine = self.name("f"), self.name("i"), self.name("k")
        self.put(depth, f"def {fun}({number}, total):")
        self.put(depth + 1, f"{mine} = R.fold_in({key}, {number})")
        self.body(self.inner(scope, [mine], [number]), depth + 1, level + 1, 2)
        self.put(depth + 1, "return total + out")
        self.put(depth, f"out += lax.fori_loop(0, 3, {fun}, 0.0)")

    def while_loop(self, scope: Scope, depth: int, level: int) -> None:
        """Go on while a number is small, with a key in the state."""
        key = self.key(scope)
        if key is None:
            return
        fun, carried, use = self.name("f"), self.name("k"), self.name("k")
        self.put(depth, f"def {fun}(state):")
        self.put(depth + 1, f"n, {carried}, total = state")
        self.put(depth + 1, f"{carried}, {use} = R.split({carried})")
        self.body(self.inner(scope, [use], []), depth + 1, level + 1, 2)
        self.put(depth + 1, f"return n + 1, {carried}, total + out")
        state = f"(0, {key}, 0.0)"
        self.put(depth, f"out += lax.while_loop(lambda state: state[0] < 3, {fun}, {state})[2]")

    def cond(self, scope: Scope, depth: int, level: int) -> None:
        """Branch: both may use the same keys."""
        one, other = self.name("f"), self.name("f")
        which = [each for each in scope.fresh if self.random.random() < 0.5]
        for fun in (one, other):
            self.put(depth, f"def {fun}(out):")
            inner = Scope([*which], [*scope.old] if self.again else [], scope.numbers)
            self.put(depth + 1, "before = out")
            self.body(inner, depth + 1, level + 1, 2)
            self.put(depth + 1, "return before + out")
        scope.fresh = [each for each in scope.fresh if each not in which]
        scope.old += which
        self.put(depth, f"out = lax.cond(flag, {one}, {other}, out)")

    def called(self, scope: Scope, depth: int, level: int) -> None:
        """Call a function that is compiled, differentiated or computed again, once or twice."""
        fun, key = self.name("f"), self.name("k")
        self.put(depth, f"def {fun}(w, {key}):")
        self.body(self.inner(scope, [key], []), depth + 1, level + 1, 3)
        self.put(depth + 1, "return w * out")
        forms = (
            "jax.jit({})", "jax.checkpoint({})", "jax.grad({})", "jax.jit(jax.grad({}))",
            "jax.grad(jax.checkpoint({}))", "jax.checkpoint(jax.jit({}))",
            "jax.value_and_grad({}, has_aux=False)",
        )  # fmt: skip
        form = self.random.choice(forms).format(fun)
        name = self.name("g")
        self.put(depth, f"{name} = {form}")
        for _ in range(self.random.randint(1, 2)):
            given = self.key(scope)
            if given is not None:
                last = "[1]" if "value_and" in form else ""
                self.put(depth, f"out += {name}(1.0, {given}){last}")

    def shards(self, scope: Scope, depth: int, level: int) -> None:
        """Map over a mesh, with the shard's number folded into a key, or not."""
        key = self.key(scope)
        if key is None or level:
            return
        fun, shared, mine = self.name("f"), self.name("k"), self.name("k")
        self.put(depth, f"def {fun}({shared}, x):")
        own = self.random.random() > self.again
        number = "lax.axis_index('data')" if own else "5"
        self.put(depth + 1, f"{mine} = R.fold_in({shared}, {number})")
        self.body(self.inner(scope, [mine], []), depth + 1, level + 1, 2)
        self.put(depth + 1, "return x + out")
        specs = "mesh=mesh, in_specs=(P(), P('data')), out_specs=P('data'), check_vma=False"
        self.put(depth, f"out += jax.shard_map({fun}, {specs})({key}, jnp.arange(4.0)).sum()")


def write(seed: int) -> str:
    """Return the text of a program: a function of a key, a flag and a number."""
    writer = Writer(seed)
    writer.put(0, "def program(key, flag, step):")
    writer.body(Scope(["key"], [], ["step"]), 1, 0, 9)
    writer.put(1, "return out")
    return "\n".join(writer.lines) + "\n"
