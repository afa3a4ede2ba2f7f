"""Real processes, joined by jax.distributed on loopback, draw what one process draws."""

import jax
import pytest

import keystream as ks
from tests.spawn import spawn

pytestmark = pytest.mark.slow

KINDS = ("Auto", "Explicit")


def run(count: int) -> list[dict]:
    """Start `count` processes and return what each of them wrote."""
    ended = spawn("devices/process_worker.py", count)
    for one in ended:
        assert one.code == 0, one.printed[-3000:]
    return [one.said[-1] for one in ended]


@pytest.fixture(scope="module")
def alone() -> dict:
    return run(1)[0]


@pytest.fixture(scope="module", params=[2, 4], ids=["2x4", "4x2"])
def together(request: pytest.FixtureRequest) -> list[dict]:
    return run(request.param)


def joined(parts: list[dict]) -> dict:
    """Put the parts of all processes together; each place is held by one of them at least."""
    whole: dict = {}
    for part in parts:
        for place, values in part.items():
            assert whole.setdefault(place, values) == values
    return whole


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["keys", "sample", "batches", "shard_keys", "shard_map", "jitted"])
def test_processes_hold_what_one_holds(alone, together, kind, how):
    """1x8, 2x4 and 4x2 processes x devices make the same keys and raw bits, on either mesh."""
    assert joined([one[kind][how] for one in together]) == joined([alone[kind][how]])


def test_each_process_holds_only_its_part(alone, together):
    """No process makes more than its share of a sharded result."""
    share = len(alone["Auto"]["keys"]) // len(together)
    assert [len(one["Auto"]["keys"]) for one in together] == [share] * len(together)


def test_for_process_is_the_child_at_the_process_index(together):
    """Each process gets its own child of the shared key."""
    expected = [ks.fingerprint(ks.derive(ks.key(42), index)) for index in range(len(together))]
    assert [one["process"] for one in together] == expected


def test_faults_on_other_processes_are_named(together):
    """A key repeated, or unlike, on another process's device is found by every process."""
    for one in together:
        repeated, unlike = one["agreement"]
        assert repeated.startswith("KeysEqualError check_distinct: keys must be distinct")
        assert "[0] on" in repeated
        assert "[7] on" in repeated
        assert unlike.startswith("KeysDifferError check_replicated: key must be the same")


def test_a_process_that_draws_otherwise_is_noticed(together):
    """Parts in which one process holds another word don't pass for one array."""
    parts = [one["Auto"]["keys"] for one in together]
    place = next(iter(parts[0]))
    faulty = {place: [word ^ 1 for word in parts[0][place]]}
    assert joined([*parts, parts[0]]) == joined(parts)
    with pytest.raises(AssertionError):
        joined([*parts, faulty])


def test_a_fresh_seed_is_the_same_everywhere(together):
    """Without a seed all processes get one fresh seed, another one each time."""
    (first, second), *others = [one["seeds"]["fresh"] for one in together]
    assert others == [[first, second]] * (len(together) - 1)
    assert first != second
    assert 0 <= first < 2**128


def test_a_given_seed_comes_back(together):
    """The same seed on every process comes back whole, whatever kind of integer each gave."""
    assert [one["seeds"]["same"] for one in together] == [[2**70, 7]] * len(together)


SEEDS = {
    2: (
        "1180591620717411303424 on process 0, -1180591620717411303424 on process 1",
        "7 on process 0, no seed on process 1",
    ),
    4: (
        "1180591620717411303424 on processes 0 and 2, -1180591620717411303424 on processes 1 and 3",
        "7 on processes 0, 2 and 3, no seed on process 1",
    ),
}


def test_processes_with_different_seeds_are_named(together):
    """Different seeds, or some without one, are an error on every process that names all."""
    for one in together:
        for how, told in zip(("differ", "some"), SEEDS[len(together)], strict=True):
            assert one["seeds"][how].startswith(
                f"SeedsDifferError agree_on_seed: seed must be the same everywhere, got {told}. "
            )


def test_processes_in_different_functions_are_named(together):
    """Processes in two functions get an error that says who is where, and can go on."""
    others = "process 0" if len(together) == 2 else "processes 0, 2 and 3"
    told = f"ks.agree_on_seed on {others}, ks.check_distinct on process 1"
    for index, one in enumerate(together):
        refused, later = one["mixed"]
        function = "check_distinct" if index == 1 else "agree_on_seed"
        assert refused.startswith(
            f"PeerError {function}: processes must be all in one call, got {told}. "
        )
        assert later == 8


def test_one_process_has_no_other_to_ask(alone):
    """On one process the repeated key is found, and a replicated one agrees with itself."""
    repeated, unlike = alone["agreement"]
    assert repeated.startswith("KeysEqualError")
    assert unlike == "no error"
    assert alone["mixed"] == ["no error", 8]
    assert alone["seeds"]["same"] == [2**70, 7]
    assert jax.process_count() == 1
