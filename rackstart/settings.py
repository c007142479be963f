"""What an inventory has to hold: the groups and settings of the template `inventories/site`, and of each host where it is."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from rackstart.paths import Project

TEMPLATE = "inventories/site"
NUMBERS = ("gpu_count", "gpu_memory_mib")  # of each GPU host
KINDS = {dict: "a mapping, {} for none", list: "a list, [] for none", bool: "true or false"}
Places = dict[str, str]  # name -> FILE:LINE


def mistakes(
    project: Project, groups: Mapping[str, Iterable[str]], hosts: Mapping[str, Mapping[str, Any]], common: Mapping[str, Any]
) -> Iterator[str]:
    """What is missing or of another kind than the template's, each with its place and what to do.

    groups: hosts of each; hosts: every host's variables as Ansible reads them, not templated; common: those of the controller.
    """
    template = project.root / TEMPLATE
    if not template.is_dir():
        return
    needed = yaml.safe_load((template / "hosts.yml").read_text())["all"]["children"]
    for group in sorted(needed.keys() - groups.keys()):
        near = _misspelt(group, groups.keys() - needed.keys())
        yield f"{project.shown(project.inventory / 'hosts.yml')}: there is no group {group}{near}; it may be empty"
    yield from _settings(project, template, hosts, common)
    for host, variables in hosts.items():
        yield from _host(host, variables, [name for name in needed if host in groups.get(name, ())])


def _settings(project: Project, template: Path, hosts: Mapping[str, Mapping[str, Any]], common: Mapping[str, Any]) -> Iterator[str]:
    known = {name: value for _, text in _plain(template) for name, value in yaml.safe_load(text).items()}
    missing = known.keys() - set(common).union(*hosts.values())
    kinds = {name: wrong for name, value in known.items() if (wrong := _wrong(common.get(name, value), type(value)))}
    if not missing and not kinds:
        return
    known_at, own_at = _places(project, template), _places(project, project.inventory)
    for name in sorted(missing):
        near = _misspelt(name, own_at.keys() - known.keys(), own_at)
        yield f"{name} is not set{near}; {known_at[name]} says what it is, and its value there is the usual one"
    for name, wrong in kinds.items():
        yield f"{own_at.get(name, project.shown(project.inventory))}: {name} has to be {wrong}"


def _host(host: str, variables: Mapping[str, Any], groups: list[str]) -> Iterator[str]:
    place = f"host {host} (in {', '.join(groups) or 'no group of these'})"
    if not variables.get("ansible_host"):
        yield f"{place} has no ansible_host; write the address that the other hosts reach it by, or mend the name where it is misspelt"
    for name in NUMBERS if "gpu" in groups else ():
        if not _written(value := variables.get(name)) and not str(value).isdecimal():
            yield f"{place}: {name} has to be a number, not {value!r}"
    if wrong := _wrong(variables.get("node_labels_extra", {}), dict):
        yield f"{place}: node_labels_extra has to be {wrong}"


def _wrong(value: Any, kind: type) -> str:
    """What a value has to be, when it is not; '' for what Ansible has yet to work out."""
    return "" if kind not in KINDS or isinstance(value, kind) or _written(value) else KINDS[kind]


def _written(value: Any) -> bool:
    return isinstance(value, str) and "{{" in value


def _misspelt(name: str, strange: Iterable[str], places: Places | None = None) -> str:
    near = difflib.get_close_matches(name, list(strange), n=1, cutoff=0.75)
    return f", but {near[0]}{f' ({places[near[0]]})' if places else ''}: is that misspelt?" if near else ""


def _plain(inventory: Path) -> Iterator[tuple[Path, str]]:
    """Files of settings, with their text, that are not encrypted."""
    for file in sorted((inventory / "group_vars").rglob("*.y*ml")):
        if not (text := file.read_text()).startswith("$ANSIBLE_VAULT;"):
            yield file, text


def _places(project: Project, inventory: Path) -> Places:
    roots = [(file, yaml.compose(text, yaml.SafeLoader)) for file, text in _plain(inventory)]
    return {
        key.value: f"{project.shown(file)}:{key.start_mark.line + 1}"
        for file, root in roots
        if isinstance(root, yaml.MappingNode)
        for key, _ in root.value
    }
