"""What can be broken in a role: a task dropped, a default flipped, a file's mode widened; where a role has too few of these, more."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.mutations import code
from tests.mutations.table import PLUGINS
from tests.mutations.text import cut, line, mappings, nodes, without

LISTS = ("tasks", "block", "rescue", "always")
WIDER = {"0600": "0644", "0640": "0644", "0644": "0666", "0700": "0755", "0755": "0777"}
MODE = re.compile(r"""mode['"]?: ['"](0\d{3})['"]""")
FIRST = ("task dropped", "default flipped", "mode widened")  # the rest only where these do not give enough


@dataclass(frozen=True)
class Mutant:
    """One file with one change."""

    kind: str
    file: str
    line: int
    what: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def chosen(root: Path, role: str, seed: int, count: int) -> list[Mutant]:
    """So many mutants of a role, of each kind in turn, the same for the same seed and files."""
    pick = random.Random(f"{seed} {role}")
    kinds: dict[str, list[Mutant]] = {}
    for mutant in every(root, role):
        kinds.setdefault(mutant.kind, []).append(mutant)
    for found in kinds.values():
        pick.shuffle(found)
    first = [kinds.pop(kind) for kind in FIRST if kind in kinds]
    return [*_in_turn(first), *_in_turn(list(kinds.values()))][:count]


def _in_turn(kinds: list[list[Mutant]]) -> Iterator[Mutant]:
    for round_ in range(max(map(len, kinds), default=0)):
        yield from (found[round_] for found in kinds if round_ < len(found))


def every(root: Path, role: str) -> Iterator[Mutant]:
    """All mutants of a role, in the order of its files."""
    for path in sorted((root / "roles" / role).rglob("*")):
        file = str(path.relative_to(root))
        if path.parent.name in ("tasks", "handlers") and path.suffix == ".yml":
            yield from _of_tasks(file, path.read_text())
        elif path.parent.name in ("defaults", "vars") and path.suffix == ".yml":
            yield from _of_variables(file, path.read_text())
        elif path.parent.name == "templates":
            yield from _of_template(file, path.read_text())
    for name in PLUGINS.get(role, ()):
        file = f"collections/ansible_collections/rackstart/cluster/plugins/{name}.py"
        yield from (Mutant("code turned", file, *turned) for turned in code.turned((root / file).read_text()))


def _of_tasks(file: str, text: str) -> Iterator[Mutant]:
    top = yaml.compose(text)
    for node, alone in _tasks(top, True):
        parts = {key.value: value for key, value in node.value}
        rest = "[]\n" if alone else ""
        yield Mutant("task dropped", file, line(node), parts["name"].value, cut(text, node, rest))
        if isinstance(parts.get("when"), yaml.ScalarNode):
            when = parts["when"]
            turned = text[: when.start_mark.index] + f"not ({when.value})" + text[when.end_mark.index :]
            yield Mutant("condition turned", file, line(when), f"{parts['name'].value}: when not ({when.value})", turned)
    yield from _modes(file, text, top)
    yield from _entries(file, text, top, LISTS)


def _of_variables(file: str, text: str) -> Iterator[Mutant]:
    top = yaml.compose(text)
    if "/defaults/" in file:
        for key, value in top.value:
            yield from _flips(file, text, key.value, value)
    else:
        yield from _entries(file, text, top, ())
    yield from _modes(file, text, top)


def _of_template(file: str, text: str) -> Iterator[Mutant]:
    lines = text.splitlines(keepends=True)
    for number, said in enumerate(lines):
        if said.strip() and not re.match(r"\s*(#|{%|{#|}|;)", said):
            yield Mutant("template's line dropped", file, number + 1, said.strip(), "".join(lines[:number] + lines[number + 1 :]))


def _tasks(node: yaml.Node, whole: bool) -> Iterator[tuple[yaml.MappingNode, bool]]:
    """Each task that is more than a block, and whether it is all that its file has. One alone in its block has to stay: no YAML without."""
    for item in node.value:
        lists = [value for key, value in item.value if key.value in LISTS]
        if not lists and (whole or len(node.value) > 1):
            yield item, len(node.value) == 1
        for below in lists:
            yield from _tasks(below, False)


def _flips(file: str, text: str, name: str, node: yaml.Node) -> Iterator[Mutant]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _flips(file, text, f"{name}.{key.value}", value)
    elif isinstance(node, yaml.SequenceNode) and node.value:
        yield Mutant("default flipped", file, line(node), f"{name}: its last entry dropped", without(text, node, len(node.value) - 1))
    elif isinstance(node, yaml.ScalarNode) and (new := _other(node)):
        flipped = text[: node.start_mark.index] + new + text[node.end_mark.index :]
        yield Mutant("default flipped", file, line(node), f"{name}: {node.value} -> {new}", flipped)


def _other(node: yaml.ScalarNode) -> str:
    """Another value of the same type; none for what is computed or empty."""
    if node.tag.endswith(":bool"):
        return "false" if node.value == "true" else "true"
    if node.tag.endswith(":int"):
        return str(int(node.value) * 2 + 1)
    return f"{node.value}-other" if node.value and not node.style and "{{" not in node.value else ""


def _modes(file: str, text: str, top: yaml.Node) -> Iterator[Mutant]:
    for found in MODE.finditer(text):
        wider = WIDER[found[1]]
        place = text.count("\n", 0, found.start()) + 1
        yield Mutant("mode widened", file, place, f"{found[1]} -> {wider}", text[: found.start(1)] + wider + text[found.end(1) :])
    for node in mappings(top):
        names = {key.value for key, _ in node.value}
        if "path" in names and names <= {"path", "content"}:  # as rackstart.cluster.files takes it
            before, wider = ("0644", "0666") if "content" in names else ("0755", "0777")
            (key, value) = node.value[0]
            end, indent = value.end_mark.index, " " * key.start_mark.column
            added = f', mode: "{wider}"' if node.flow_style else f'\n{indent}mode: "{wider}"'
            rest = "" if node.flow_style else text[end:].partition("\n")[0]
            widened = text[:end] + rest + added + text[end + len(rest) :]
            yield Mutant("mode widened", file, line(node), f"{value.value}: {before} -> {wider}", widened)


def _entries(file: str, text: str, top: yaml.Node, passed_by: tuple[str, ...]) -> Iterator[Mutant]:
    """Each entry of a list of two or more: a package, a file, a unit."""
    for node in nodes(top):
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(value, yaml.SequenceNode) and len(value.value) > 1 and key.value not in passed_by:
                    for number, item in enumerate(value.value):
                        said = text[item.start_mark.index : item.end_mark.index].strip().splitlines()[0]
                        yield Mutant("entry dropped", file, line(item), f"{key.value}: {said}", without(text, value, number))
