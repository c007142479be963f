"""Numbers of roles: each has a range, its default lies in it, and one that is set outside is found wherever it is."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import ranges

from rackstart.paths import ROOT

SPECS = sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
# Numbers without a range, each with the reason why there is none.
WITHOUT: dict[str, str] = {}


def options_of(options: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, option in options.items():
        yield f"{above}{name}", option
        yield from options_of(option.get("options") or {}, f"{above}{name}.")


NUMBERS = {
    name: option
    for file in SPECS
    for entry in yaml.safe_load(file.read_text())["argument_specs"].values()
    for name, option in options_of(entry.get("options") or {})
    if {option.get("type"), option.get("elements")} & {"int", "float"}
}


def test_there_are_numbers_and_no_reason_is_left_over() -> None:
    assert len(NUMBERS) > 15
    assert WITHOUT.keys() <= NUMBERS.keys()


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_has_a_range_that_its_default_lies_in_or_a_reason(name: str) -> None:
    bounds = ranges.bounds(NUMBERS[name])
    assert (bounds is None) == (name in WITHOUT)
    if bounds:
        assert float(bounds[0]) < float(bounds[1])
        assert ranges.inside(NUMBERS[name].get("default", bounds[0]), *bounds)


OPTIONS = {
    "timeout": {"type": "int", "description": "Seconds. From 1 to 60."},
    "free": {"type": "int", "description": "Any."},
    "models": {
        "type": "list",
        "elements": "dict",
        "options": {"port": {"type": "int", "description": ["A port.", "From 1 to 65535."]}},
    },
    "store": {"type": "dict", "options": {"part": {"type": "float", "description": "From 0.01 to 1."}}},
}


def test_numbers_are_found_at_every_depth_and_only_where_they_are_set() -> None:
    values = {
        "timeout": 61,
        "free": -1,
        "models": [{"name": "a", "port": 80}, {"port": "x"}, {"name": "b"}, "broken"],
        "store": {"part": 2},
    }
    found = {row["name"]: (row["value"], ranges.inside(row["value"], row["low"], row["high"])) for row in ranges.numbers(OPTIONS, values)}
    assert found == {
        "timeout": (61, False),
        "models[a].port": (80, True),
        "models[1].port": ("x", False),
        "store.part": (2, False),
    }
    assert list(ranges.numbers(OPTIONS, {"models": []})) == []
    assert [ranges.ranged(option) for option in OPTIONS.values()] == [True, False, True, True]


@pytest.mark.parametrize(
    ("value", "inside"), [(1, True), (60, True), ("30", True), (0, False), (61, False), (True, False), (None, False), ([], False)]
)
def test_both_ends_are_inside(value: Any, inside: bool) -> None:
    assert ranges.inside(value, "1", "60") is inside
