"""Numbers of roles: each has a range, its default lies in it, and one that is set outside is found wherever it is."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import ranges

from rackstart.paths import ROOT

SPECS = sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
# Numbers without a range, each with the reason why there is none.
WITHOUT = {"preflight_gateway.node_port": "the check gateway.node_port knows which ports k3s gives away"}


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
    "seconds": {"type": "int", "description": "Seconds. From 1 to 60."},
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
        "seconds": 61,
        "free": -1,
        "models": [{"name": "a", "port": 80}, {"port": "x"}, {"name": "b"}, "broken"],
        "store": {"part": 2},
    }
    found = {row["name"]: (row["value"], ranges.inside(row["value"], row["low"], row["high"])) for row in ranges.numbers(OPTIONS, values)}
    assert found == {
        "seconds": (61, False),
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


SETTINGS = """
all:
  vars: {seconds: 61, free: -1, store: {part: 0.5}}
  hosts:
    same: {seconds: "{{ 60 + 1 }}", free: -2}
    own: {seconds: 0, late: "{{ size * 2 }}", size: 40}
    by_facts: {seconds: "{{ ansible_facts.size }}", store: {part: "{{ ansible_facts.size }}"}, late: "{{ ansible_facts.size }}"}
  children:
    few: {vars: {store: {part: 2}}, hosts: {of_group: {}}}
    away: {vars: {seconds: 99}, hosts: {broken: {}}}
"""
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - copy:
        content: "{{ query('rackstart.cluster.numbers', playbook_dir, hosts=groups['all'] | reject('in', groups['away'])) | to_json }}"
        dest: "{{ playbook_dir }}/found.json"
"""


def test_numbers_are_those_of_all_and_what_a_host_has_otherwise(tmp_path: Path) -> None:
    specs = {"argument_specs": {"main": {"options": OPTIONS | {"late": OPTIONS["seconds"]}}}}
    (tmp_path / "role/meta").mkdir(parents=True)
    for name, text in {
        "role/meta/argument_specs.yml": yaml.safe_dump(specs, sort_keys=False),
        "hosts.yml": SETTINGS,
        "play.yml": PLAY,
    }.items():
        (tmp_path / name).write_text(text)
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "hosts.yml", "-c", "local", "play.yml"]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(row["host"], row["name"], row["value"]) for row in json.loads((tmp_path / "found.json").read_text())] == [
        ("", "seconds", 61),
        ("", "store.part", 0.5),
        ("own", "seconds", 0),
        ("own", "late", 80),
        ("of_group", "store.part", 2),
    ]
