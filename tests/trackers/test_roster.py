"""Going through a registry in turns: everything is seen, and nothing is gone through needlessly."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from autoinstrument.trackers.roster import Roster


class Record:
    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.over = False


class Registry(dict[int, Record]):
    """Counts how many of its records are touched from its end."""

    touched = 0
    made = 0

    def add(self, count: int = 1) -> None:
        for _ in range(count):
            self.made += 1
            self[self.made] = Record(self.made)

    def end(self, serial: int) -> None:
        self.pop(serial).over = True

    def values(self) -> Any:
        return _Values(self)

    def roster(self) -> Roster[Record]:
        return Roster(self, lambda: self.made, lambda record: record.over)


class _Values:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __reversed__(self) -> Iterator[Record]:
        for record in reversed(dict.values(self._registry)):
            self._registry.touched += 1
            yield record


def serials(records: list[Record]) -> list[int]:
    return sorted(record.serial for record in records)


def test_each_record_is_seen_once_a_round_and_new_ones_at_once() -> None:
    registry = Registry()
    registry.add(10)
    roster = registry.roster()
    assert serials(roster.turn(4)) == list(range(1, 11))  # all are new
    seen = [serials(roster.turn(4)) for _ in range(3)]
    assert sorted(chain.from_iterable(seen)) == list(range(1, 11))
    assert roster.rounds == 2
    registry.add()
    assert 11 in serials(roster.turn(4))
    assert roster.rounds == 3


def test_round_ends_however_much_is_made_meanwhile() -> None:
    registry = Registry()
    registry.add(20)
    roster = registry.roster()
    roster.turn(5)
    begun = roster.rounds
    for _ in range(20):
        registry.add(15)
        roster.turn(5)
    assert roster.rounds - begun >= 2


def test_records_that_are_over_are_dropped() -> None:
    registry = Registry()
    registry.add(6)
    roster = registry.roster()
    roster.turn(10)
    for serial in (2, 4, 6):
        registry.end(serial)
    assert serials(roster.turn(10)) == [1, 3, 5]
    assert len(roster) == 3


def test_record_that_comes_later_than_its_number_is_seen() -> None:
    registry = Registry()
    registry.add(200)
    late = registry.pop(199)
    roster = registry.roster()
    seen = serials(roster.turn(1_000))
    registry[late.serial] = late
    seen += [serial for serial in serials(roster.turn(1_000)) if serial == late.serial]
    assert seen == [*range(1, 199), 200, 199]
    assert serials(roster.turn(1_000)) == list(range(1, 201))  # and not twice in a round


def test_registry_is_not_gone_through_for_a_turn() -> None:
    registry = Registry()
    registry.add(10_000)
    roster = registry.roster()
    for _ in range(3):
        roster.turn(100)
    registry.touched = 0
    for _ in range(10):
        roster.turn(100)
    assert registry.touched == 0
    registry.add(5)
    roster.turn(100)
    assert registry.touched < 200


def test_short_lived_records_do_not_pile_up() -> None:
    registry = Registry()
    roster = registry.roster()
    for _ in range(100):
        first = registry.made + 1
        registry.add(300)
        roster.turn(10)
        for serial in range(first, registry.made + 1):
            registry.end(serial)
    assert len(roster) <= 5_000


def test_slices_give_everything_once() -> None:
    registry = Registry()
    registry.add(25)
    roster = registry.roster()
    roster.turn(10)
    registry.add(5)
    parts = list(roster.slices(7))
    assert max(map(len, parts)) == 7
    assert serials(list(chain.from_iterable(parts))) == list(range(1, 31))
