"""Modules that run on hosts, and what they import, are within the Python of RHEL 9, which is 3.9."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from rackstart.paths import ROOT

PLUGINS = ROOT / "collections/ansible_collections/rackstart/cluster/plugins"
OLDEST = (3, 9)
# The others run on the controller, or, as model_revision does, in an environment of a Python that the role brings.
ON_HOSTS = ("files", "host_probe", "k3s_state", "mok", "nvidia_driver", "packages_held", "service_environment", "store_unused", "units")
LATER = {"tomllib", "itertools.pairwise", "datetime.UTC", "enum.StrEnum", "types.NoneType", "contextlib.chdir"}


def newer(source: str) -> Iterator[str]:
    """What a module takes from a later Python, with its line; annotations do not count where they are not evaluated."""
    try:
        tree = ast.parse(source, feature_version=OLDEST)
    except SyntaxError as error:
        yield f"line {error.lineno}: {error.msg}"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            keywords = {keyword.arg for keyword in node.keywords}
            if (node.func.id == "zip" and "strict" in keywords) or (node.func.id == "dataclass" and keywords & {"slots", "kw_only"}):
                yield f"line {node.lineno}: {node.func.id}({', '.join(sorted(str(word) for word in keywords))}=)"
            if node.func.id == "isinstance" and isinstance(node.args[1], ast.BinOp):
                yield f"line {node.lineno}: isinstance(x, A | B)"
        names = {f"{node.module}.{alias.name}" for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
        names |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
        yield from (f"line {getattr(node, 'lineno', 0)}: import of {name}" for name in names & LATER)
    annotated = any(isinstance(node, ast.AnnAssign | ast.FunctionDef) for node in ast.walk(tree))
    if annotated and "from __future__ import annotations" not in source:
        yield "annotations are evaluated: from __future__ import annotations is missing"


def imports(file: Path) -> set[Path]:
    """The module_utils that a file names."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    names = {f"{node.module}.{alias.name}" for node in nodes for alias in node.names if ".module_utils" in str(node.module)}
    parts = {part for name in names for part in name.split(".module_utils.", 1)[1].split(".")}
    return {PLUGINS / "module_utils" / f"{part}.py" for part in parts if (PLUGINS / "module_utils" / f"{part}.py").exists()}


def used(file: Path) -> set[Path]:
    """A file and the module_utils that it imports, directly or not."""
    found, new = set(), {file}
    while new:
        found |= new
        new = set().union(*map(imports, new)) - found
    return found


@pytest.mark.parametrize("module", ON_HOSTS)
def test_a_module_of_hosts_is_within_python_3_9(module: str) -> None:
    found = {str(file.relative_to(PLUGINS)): list(newer(file.read_text())) for file in used(PLUGINS / "modules" / f"{module}.py")}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "source",
    [
        "match 1:\n    case 1: pass\n",
        "zip([], [], strict=True)\n",
        "isinstance(1, int | str)\n",
        "from itertools import pairwise\n",
        "import tomllib\n",
        "def f(x: int | None) -> None: ...\n",
    ],
)
def test_what_is_newer_is_seen(source: str) -> None:
    assert list(newer(source))


def test_what_is_imported_is_looked_at() -> None:
    assert {"driver.py", "gpus.py", "probe.py"} <= {file.name for file in used(PLUGINS / "modules/nvidia_driver.py")}
