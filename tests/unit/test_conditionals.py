"""Conditions of tasks are true or false: Ansible ends a play over one that comes out as a list or a text, on the hosts that reach it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, nodes

from rackstart.paths import ROOT

KEYS = {"when", "changed_when", "failed_when", "until", "that"}
FILES = [*ROOT.glob("roles/*/tasks/**/*.yml"), *ROOT.glob("roles/*/handlers/*.yml"), *ROOT.glob("playbooks/**/*.yml")]
OPTIONS = {
    name: option["type"]
    for file in ROOT.glob("roles/*/meta/argument_specs.yml")
    for entry in yaml.safe_load(file.read_text())["argument_specs"].values()
    for name, option in entry.get("options", {}).items()
}


def conditions(value: Any) -> Iterator[str]:
    """All of a file's, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in KEYS:
                yield from map(str, inner if isinstance(inner, list) else [inner])
            else:
                yield from conditions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from conditions(inner)


def neither(expression: str) -> list[str]:
    """What of a condition can come out as neither; a variable that is no role's option is believed."""
    template = Environment(autoescape=True).parse("{{ " + expression + " }}")
    left, found = [template.find(nodes.Output).nodes[0]], []
    while left:
        node = left.pop()
        if isinstance(node, nodes.And | nodes.Or):
            left += [node.left, node.right]
        elif isinstance(node, nodes.Filter) and node.name == "default":
            left += [node.node, *node.args]
        elif isinstance(node, nodes.Filter) and node.name != "bool":
            found.append(node.name)
        elif isinstance(node, nodes.Const) and not isinstance(node.value, bool):
            found.append(str(node.value))
        elif isinstance(node, nodes.Name) and OPTIONS.get(node.name, "bool") != "bool":
            found.append(node.name)
        elif isinstance(node, nodes.List | nodes.Dict | nodes.BinExpr):
            found.append(type(node).__name__)
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_conditions(file: Path) -> None:
    assert {text: found for text in conditions(yaml.safe_load(file.read_text())) if (found := neither(text))} == {}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("a.b == 'c' or (a.b == 'd' and nfs_server_clients)", ["nfs_server_clients"]),
        ("nfs_server_clients | length > 0 and not nfs_server_clients", []),
        ("a is defined and nfs_server_clients | length", ["length"]),
        ("a | default(true) or a | default([])", ["List"]),
        ("a.changed or a.stdout.startswith('[') or host_firewall or false", []),
    ],
)
def test_what_is_neither_is_seen(expression: str, found: list[str]) -> None:
    assert neither(expression) == found
