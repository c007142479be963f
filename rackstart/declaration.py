"""The file in which the inventory declares its models, with one of them added, taken out or at another revision; all else stays."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rackstart import files
from rackstart.errors import ConfigurationError
from rackstart.paths import Project


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Indents lists as the inventories do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


@dataclass(frozen=True)
class Declaration:
    """shown: the file as a user reads it; text: what is in it."""

    path: Path
    shown: str
    text: str

    @classmethod
    def read(cls, project: Project) -> "Declaration":
        """Raises ConfigurationError unless just one file of group_vars/all declares `models`, as a list."""
        folder = project.inventory / "group_vars"
        paths = sorted(path for pattern in ("all.y*ml", "all/**/*.y*ml") for path in folder.glob(pattern) if path.is_file())
        texts = {path: path.read_text() for path in paths}
        found = [path for path, text in texts.items() if not text.startswith("$ANSIBLE_VAULT;") and _models(_compose(text)) is not None]
        if len(found) != 1:
            said = f"declared in {', '.join(map(project.shown, found))}" if found else "declared nowhere in it"
            raise ConfigurationError(f"{project.shown(folder)}/all: `models` is {said}; declare it in one file, such as models.yml")
        return cls(found[0], project.shown(found[0]), texts[found[0]])

    def write(self, text: str) -> None:
        """Replace the file. Raises ConfigurationError when it cannot be written."""
        files.replace(self.path, text)

    def added(self, model: dict[str, Any]) -> str:
        """The text with one more model at the end of the list."""
        models = self._list()
        dumped = yaml.dump([model], Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
        column = models.start_mark.column if models.value else 2
        lines = [f"{' ' * column}{line}\n" for line in dumped.splitlines()]
        if models.value:
            before = self.text.splitlines(keepends=True)
            place = _end(models)
            before[place - 1] = before[place - 1].rstrip("\n") + "\n"
            text = "".join([*before[:place], *lines, *before[place:]])
        else:
            start, end = models.start_mark.index, models.end_mark.index
            text = f"{self.text[:start].rstrip(' ')}\n{''.join(lines).rstrip()}{self.text[end:]}"
        return self._checked(text, [*map(_plain, models.value), *map(_plain, _compose(dumped).value)])

    def without(self, name: str) -> str:
        """The text without a model and the comment that stands right above it."""
        models, lines = self._list(), self.text.splitlines(keepends=True)
        model = self._find(models, name)
        start = model.start_mark.line
        while lines[start - 1].lstrip().startswith("#"):
            start -= 1
        text = "".join([*lines[:start], *lines[_end(model) :]])
        return self._checked(text, [_plain(one) for one in models.value if one is not model])

    def revised(self, name: str, revision: str) -> str:
        """The text with a model at another revision."""
        models = self._list()
        model = self._find(models, name)
        scalar = yaml.safe_dump(revision).splitlines()[0]  # in quotes where it would be a number
        node = _value(model, "revision")
        if node is None:
            raise self._refusal()
        text = f"{self.text[: node.start_mark.index]}{scalar}{self.text[node.end_mark.index :]}"
        wanted = [_plain(one, revision if one is model else None) for one in models.value]
        return self._checked(text, wanted)

    def revision(self, name: str) -> str:
        """Of a model, as the file has it."""
        node = _value(self._find(self._list(), name), "revision")
        return str(node.value) if node else ""

    def _list(self) -> Any:
        models = _models(_compose(self.text))
        empty = isinstance(models, yaml.ScalarNode) and models.value in ("", "null", "~")
        if empty or (isinstance(models, yaml.SequenceNode) and not (models.flow_style and models.value)):
            return models
        raise self._refusal()

    def _find(self, models: Any, name: str) -> Any:
        for model in models.value:
            node = _value(model, "name")
            if node is not None and node.value == name:
                return model
        raise self._refusal()

    def _checked(self, text: str, wanted: list[Any]) -> str:
        """The text, if it says what it should and all else as before."""
        whole = _plain(_compose(self.text))
        expected = [(key, wanted if key[1] == "models" else value) for key, value in whole]
        try:
            if _plain(_compose(text)) == expected:
                return text
        except yaml.YAMLError:
            pass
        raise self._refusal()

    def _refusal(self) -> ConfigurationError:
        return ConfigurationError(f"{self.shown}: `models` is not written as a plain list, one entry after the other; change it by hand")


def _compose(text: str) -> Any:
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _value(node: Any, name: str) -> Any:
    """The node of a key of a mapping; None when there is none."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)


def _models(root: Any) -> Any:
    return _value(root, "models")


def _end(node: Any) -> int:
    """Number of the line with which a node's content ends: that of a block goes on to what follows, over comments."""
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return int(node.end_mark.line) + (1 if node.end_mark.column else 0)


def _plain(node: Any, revision: str | None = None) -> Any:
    """A node without its places, for comparison; a model's at another revision, when that is given."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(_plain(key), _plain(value)) for key, value in node.value]
        return [(key, ("tag:yaml.org,2002:str", revision) if revision and key[1] == "revision" else value) for key, value in pairs]
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return (node.tag, node.value)
