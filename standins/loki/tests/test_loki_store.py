"""Segments on disk: nothing is lost by a process that ends anywhere, and what is too old goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins.loki.store import Entry, Store
from standins.shared.labels import LabelSet
from standins.shared.logql.parser import parse_matchers

SECOND = 1_000_000_000
A: LabelSet = (("job", "a"),)
B: LabelSet = (("job", "b"),)


def stored(store: Store, start: int = 0, end: int = 1 << 62) -> dict[LabelSet, list[Entry]]:
    found: dict[LabelSet, list[Entry]] = {}
    for part in store.select(parse_matchers('{job=~".+"}'), start, end):
        for labels, entries in part.read().items():
            found.setdefault(labels, []).extend(entries)
    return {labels: sorted(entries) for labels, entries in found.items()}


def test_lines_survive_a_process_that_is_killed(tmp_path: Path) -> None:
    store = Store(tmp_path, 1)
    store.append([(A, [(5, "later"), (3, "first")]), (B, [(4, "é\n\u2028")])], 1)
    # The file is not closed: a killed process does not either.
    again = Store(tmp_path, 2)
    assert stored(again) == {A: [(3, "first"), (5, "later")], B: [(4, "é\n\u2028")]}
    again.append([(A, [(6, "new")])], 2)
    assert stored(Store(tmp_path, 3))[A] == [(3, "first"), (5, "later"), (6, "new")]


def test_a_line_that_was_cut_off_costs_only_itself(tmp_path: Path) -> None:
    store = Store(tmp_path, 1)
    store.append([(A, [(1, "whole"), (2, "cut off")])], 1)
    store.close()
    (segment,) = tmp_path.glob("*.ndjson")
    segment.write_bytes(segment.read_bytes()[:-4])
    again = Store(tmp_path, 2)
    again.append([(A, [(3, "next")])], 2)
    assert stored(Store(tmp_path, 3)) == {A: [(1, "whole"), (3, "next")]}


def test_the_same_line_twice_is_one(tmp_path: Path) -> None:
    store = Store(tmp_path, 1)
    assert store.append([(A, [(1, "x"), (1, "x"), (1, "y")])], 1) == 2
    assert store.append([(A, [(1, "x")]), (B, [(1, "x")])], 1) == 1
    assert store.lines == 3


def test_lines_of_one_time_stay_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    def order(store: Store) -> list[str]:
        (part,) = store.select(parse_matchers('{job="a"}'), 0, 9)
        return [line for _, line in part.read()[A]]

    store = Store(tmp_path, 1)
    store.append([(A, [(5, "z"), (5, "a"), (7, "last"), (5, "m"), (5, "a"), (3, "first")])], 1)
    assert order(store) == ["first", "z", "a", "m", "last"]
    assert order(Store(tmp_path, 2)) == ["first", "z", "a", "m", "last"]


@pytest.mark.parametrize(
    ("start", "end", "times"), [(2, 4, [2, 3]), (2, 2, []), (0, 2, [1]), (4, 9, [4])]
)
def test_the_end_of_a_range_is_not_part_of_it(
    tmp_path: Path, start: int, end: int, times: list[int]
) -> None:
    store = Store(tmp_path, 1)
    store.append([(A, [(time, "x") for time in (1, 2, 3, 4)])], 1)
    assert [time for time, _ in stored(store, start, end).get(A, [])] == times


def filled(folder: Path, retention: int = 0) -> Store:
    """Return a store of three segments, two of them full, with a line at 1 s, 2 s and 3 s."""
    store = Store(folder, 0, retention=retention, max_segment=10)
    for second in (1, 2, 3):
        store.append([(A, [(second * SECOND, f"line {second}")])], second)
    return store


def seal(store: Store) -> None:
    while full := store.full():
        store.replace(full, full.seal())


def test_full_segments_are_sealed_and_read_from_disk(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = stored(store)
    seal(store)
    assert stored(store) == before
    assert len(list(tmp_path.glob("*.ndjson.gz"))) == 3
    assert stored(Store(tmp_path, 9)) == before
    assert store.label_sets(parse_matchers('{job="a"}'), 0, 2 * SECOND) == {A}
    assert store.label_sets(parse_matchers('{job="a"}'), 9 * SECOND, 10 * SECOND) == set()


@pytest.mark.parametrize("lost", ["*.index.json", "nothing"])
def test_sealing_that_was_interrupted_is_done_again(tmp_path: Path, lost: str) -> None:
    store = filled(tmp_path)
    expected = stored(store)
    full = store.full()
    assert full is not None
    copy = full.path.read_bytes()
    sealed = full.seal()
    full.path.write_bytes(copy)
    for path in tmp_path.glob(lost):
        path.unlink()
    again = Store(tmp_path, 9)
    assert stored(again) == expected
    assert again.lines == 3
    assert sealed.lines == 1


def test_retention_deletes_what_is_older(tmp_path: Path) -> None:
    store = filled(tmp_path, retention=10 * SECOND)
    seal(store)
    assert store.expire(11 * SECOND) == 0
    assert store.expire(12 * SECOND + 1) == 2
    assert stored(store) == {A: [(3 * SECOND, "line 3")]}
    assert stored(Store(tmp_path, 99)) == {A: [(3 * SECOND, "line 3")]}


def test_without_a_retention_nothing_is_deleted(tmp_path: Path) -> None:
    store = filled(tmp_path)
    seal(store)
    assert store.expire(1 << 62) == 0
    assert store.lines == 3
