"""How many replicas of a model find their GPUs when those of others stand where they hinder it most."""

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils.placement import Group, left

TWO, FOUR = {"a": 8, "b": 8}, {"a": 8, "b": 8, "c": 8, "d": 8}


@pytest.mark.parametrize(
    ("model", "others", "gpus", "places"),
    [
        # alone, and beside others on one host, where GPUs are only counted
        (Group(1, 8, "ab"), [], TWO, 2),
        (Group(1, 4, "a"), [Group(4, 1, "a")], {"a": 8}, 1),
        (Group(1, 4, "a"), [Group(5, 1, "a")], {"a": 8}, 0),
        # replicas of one model are spread, one on each host before a second
        (Group(1, 8, "ab"), [Group(1, 1, "ab")], TWO, 1),
        (Group(1, 8, "ab"), [Group(2, 1, "ab")], TWO, 0),
        (Group(1, 8, "abcd"), [Group(3, 1, "abcd")], FOUR, 1),
        (Group(2, 4, "ab"), [Group(2, 1, "ab")], TWO, 2),
        (Group(2, 4, "ab"), [Group(8, 1, "ab")], TWO, 2),
        (Group(2, 4, "ab"), [Group(10, 1, "ab")], TWO, 0),
        (Group(1, 3, "ab"), [Group(2, 1, "ab")], {"a": 4, "b": 4}, 2),
        (Group(2, 3, "ab"), [Group(1, 2, "ab")], {"a": 4, "b": 4}, 1),
        # those of two models go where they hinder together
        (Group(1, 8, "ab"), [Group(1, 1, "ab"), Group(1, 1, "ab")], TWO, 0),
        (Group(1, 4, "ab"), [Group(1, 1, "ab")] * 3, {"a": 8, "b": 5}, 1),
        (Group(2, 4, "ab"), [Group(1, 3, "ab"), Group(1, 2, "ab"), Group(1, 4, "ab")], TWO, 1),
        # pools that do not touch, and pools that do
        (Group(1, 8, "ab"), [Group(8, 1, "cd")], FOUR, 2),
        (Group(1, 8, "ab"), [Group(1, 1, "bcd")], FOUR, 1),
        (Group(2, 8, "ab"), [Group(2, 1, "abcd")], FOUR, 0),
        (Group(1, 8, "cd"), [Group(1, 1, "abcd")], FOUR, 1),
        # one that is as wide or wider takes places too; replicas that find none themselves take nothing
        (Group(1, 8, "ab"), [Group(1, 8, "ab")], TWO, 1),
        (Group(1, 2, "ab"), [Group(1, 8, "ab")], TWO, 4),
        (Group(1, 4, "ab"), [Group(1, 8, "ab"), Group(2, 1, "ab")], TWO, 1),
        (Group(1, 2, "a"), [Group(3, 8, "a")], {"a": 4}, 2),
    ],
)
def test_places_that_are_left(model: Group, others: list[Group], gpus: dict[str, int], places: int) -> None:
    assert left(model, others, gpus) == places
