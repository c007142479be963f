"""The README of each role."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pages.markdown import table, text
from rackstart.paths import ROOT
from rackstart.stages import CLUSTER, STAGES

ROLES, PLAYBOOKS = ROOT / "roles", ROOT / "playbooks"
LONGEST = 80  # characters of a default that is shown in the table
Options = dict[str, dict[str, Any]]


def names() -> list[str]:
    return sorted(path.parent.parent.name for path in ROLES.glob("*/meta/argument_specs.yml"))


def page(role: str) -> str:
    """Purpose, hosts and variables; then what each further entry point has of its own."""
    specs = _specs(role)
    main, defaults = specs.pop("main"), _defaults(role)
    lines = [f"# {role}", "", "Generated from `meta/argument_specs.yml` and `defaults/main.yml` by `docs/generate.py`.", ""]
    lines += [*_purpose(main), "", *_used(role), "", "## Variables", *_variables(main["options"], defaults)]
    for name, entry in specs.items():
        lines += ["", f"## Entry point `{name}`", "", *_purpose(entry)]
        if entry["options"] == main["options"] != {}:
            lines += ["", "It has the same variables."]
        elif entry["options"]:
            lines += _variables(entry["options"], defaults)
    return text(*lines)


def _specs(role: str) -> dict[str, dict[str, Any]]:
    return _read(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"]


def _defaults(role: str) -> dict[str, Any]:
    path = ROLES / role / "defaults" / "main.yml"
    return _read(path) if path.exists() else {}


def _purpose(entry: dict[str, Any]) -> list[str]:
    return [f"{entry['short_description']}.", *([""] if "description" in entry else []), *map(_prose, entry.get("description", []))]


def _prose(described: str) -> str:
    return re.sub(r"C\(([^)]+)\)", r"`\1`", described)


def _used(role: str) -> Iterator[str]:
    """Which stages run it for which hosts, and which roles import it."""
    for stage in STAGES:
        for entry in dict.fromkeys(entry for name, entry in _roles_of(_read(PLAYBOOKS / f"{stage.name}.yml")) if name == role):
            what = "it" if entry == "main" else f"its entry point `{entry}`"
            hosts = {"all": "all hosts", CLUSTER: "the cluster, from the controller"}.get(
                stage.hosts, f"the hosts of group `{stage.hosts}`"
            )
            yield f"Stage [{stage.name}](../../playbooks/{stage.name}.yml) runs {what} for {hosts}."
    for other in names():
        tasks = (_read(path) for path in sorted((ROLES / other / "tasks").glob("*.yml")))
        if role in {name for task in tasks for name, _ in _roles_of(task)}:
            yield f"Role [{other}](../{other}/README.md) imports it."


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _roles_of(node: Any) -> Iterator[tuple[str, str]]:
    """Name and entry point of each role that plays or tasks name."""
    if isinstance(node, list):
        for item in node:
            yield from _roles_of(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "roles":
                yield from ((item["role"], "main") for item in value)
            elif key in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                yield value["name"], value.get("tasks_from", "main")
            else:
                yield from _roles_of(value)


def _variables(options: Options, values: dict[str, Any]) -> list[str]:
    if not options:
        return ["", "None."]
    return ["", *table(("variable", "type", "default", "what it is"), _rows(options, values, ""))]


def _rows(options: Options, values: dict[str, Any], above: str) -> Iterator[tuple[str, ...]]:
    for name, option in options.items():
        kind = f"list of {option['elements']}" if "elements" in option else option["type"]
        choices = f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}." if "choices" in option else ""
        yield f"`{above}{name}`", kind, _default(option, values.get(name, option.get("default"))), _prose(option["description"]) + choices
        yield from _rows(option.get("options", {}), {}, f"{above}{name}{'[]' if 'elements' in option else ''}.")


def _default(option: dict[str, Any], value: Any) -> str:
    if option.get("required"):
        return "**required**"
    if value is None:
        return ""
    shown = value or '""' if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    shown = shown.removesuffix("\n...\n").strip()
    return f"`{shown}`" if len(shown) <= LONGEST else "[see there](defaults/main.yml)"
