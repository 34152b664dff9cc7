"""Which requests share a batch, and how large it may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from unisafe_providers.workers.batches import BatchSizes, Pool, Waiting

requests = st.lists(st.tuples(st.sampled_from(["text", "image"]), st.integers(1, 300), st.booleans()), min_size=1, max_size=60)


def pool_of(rows: list[tuple[str, int, bool]]) -> Pool:
    pool = Pool()
    for number, (group, length, alone) in enumerate(rows):
        pool.add(Waiting(identifier=number, group=group, length=length, room=32, payload=None, alone=alone))
    return pool


@given(requests, st.integers(1, 20), st.one_of(st.none(), st.integers(1, 2_000)))
def test_every_request_is_taken_once_and_the_oldest_first(rows: list[tuple[str, int, bool]], most: int, tokens: int | None) -> None:
    pool, taken = pool_of(rows), []
    while len(pool):
        oldest = min(set(range(len(rows))) - set(taken))
        batch = pool.take(most, tokens)
        assert oldest in {waiting.identifier for waiting in batch}
        taken += [waiting.identifier for waiting in batch]
    assert sorted(taken) == list(range(len(rows)))


@given(requests, st.integers(1, 20), st.one_of(st.none(), st.integers(1, 2_000)))
def test_a_batch_is_of_one_group_and_within_its_limits(rows: list[tuple[str, int, bool]], most: int, tokens: int | None) -> None:
    pool = pool_of(rows)
    while len(pool):
        batch = pool.take(most, tokens)
        assert len({waiting.group for waiting in batch}) == 1
        assert len(batch) <= most
        assert len(batch) == 1 or not any(waiting.alone for waiting in batch)
        wide = (max(waiting.length for waiting in batch) + 32) * len(batch)
        assert tokens is None or wide <= tokens or len(batch) == 1


def test_requests_of_similar_length_share_a_batch() -> None:
    lengths = [10, 500, 12, 490, 11, 510, 9, 505]
    pool = pool_of([("text", length, False) for length in lengths])
    batches = [sorted(waiting.length for waiting in pool.take(4)) for _ in range(2)]
    assert batches == [[9, 10, 11, 12], [490, 500, 505, 510]]


def test_found_sizes_double_while_there_is_room_and_stay_below_what_ran_out_of_memory() -> None:
    sizes = BatchSizes(None, 8, 64)
    sizes.note_success("text", 8, headroom=True)
    assert sizes.size("text") == 16
    sizes.note_success("text", 16, headroom=False)
    assert sizes.size("text") == 16
    sizes.note_failure("text", 16)
    assert sizes.size("text") == 8
    sizes.note_success("text", 8, headroom=True)
    assert sizes.size("text") == 8, "what did not fit is not tried again"
    assert sizes.size("image") == 8, "groups are apart"


def test_a_batch_that_was_not_full_says_nothing_about_a_larger_one() -> None:
    sizes = BatchSizes(None, 8, 64)
    sizes.note_success("text", 3, headroom=True)
    assert sizes.size("text") == 8


def test_a_size_of_the_user_s_own_does_not_grow_but_falls_when_memory_runs_out() -> None:
    sizes = BatchSizes(20, 8, 64)
    sizes.note_success("text", 20, headroom=True)
    assert sizes.size("text") == 20
    sizes.note_failure("text", 20)
    assert sizes.size("text") == 10
    sizes.note_failure("text", 1)
    assert sizes.size("text") == 1
