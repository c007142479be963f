"""The form that the files of roles and playbooks have."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rackstart.paths import ROOT

FILES = sorted([*ROOT.glob("roles/*/*/*.yml"), *ROOT.glob("playbooks/**/*.yml")])
CONTENTS = sorted(ROOT.glob("roles/*/tasks/main.yml"))
LONGEST = 150  # lines
CHAPTERS = {f"ansible.builtin.{word}" for word in ("import_tasks", "include_tasks", "import_role", "include_role")}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("file", FILES, ids=name)
def test_no_file_is_long(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= LONGEST


def others(tasks: list[dict[str, Any]]) -> Iterator[str]:
    """Names of the tasks that are no chapter."""
    yield from (task.get("name", str(task)) for task in tasks if not CHAPTERS & task.keys())


@pytest.mark.parametrize("file", CONTENTS, ids=name)
def test_main_is_a_table_of_contents(file: Path) -> None:
    assert list(others(yaml.safe_load(file.read_text()))) == []


def modes(node: Any) -> Iterator[str]:
    """Every mode that a file or directory is declared with."""
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "mode" and isinstance(value, str))
        for value in node.values():
            yield from modes(value)
    elif isinstance(node, list):
        for item in node:
            yield from modes(item)
    elif isinstance(node, str):
        yield from re.findall(r"'mode': '(\d+)'", node)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_nothing_is_declared_that_others_may_write(file: Path) -> None:
    assert [mode for mode in modes(yaml.safe_load(file.read_text())) if int(mode, 8) & 0o022] == []
