"""The table of engine arguments that roles judge by is what the pinned vLLM's own parser says."""

import json
import subprocess

from lab import paths
from lab.engine.build import VERSION, artifact

UTILS = paths.REPO / "collections/ansible_collections/rackstart/cluster/plugins/module_utils"


def test_table_is_the_parsers() -> None:
    command = [artifact() / "bin/python", paths.REPO / "lab/engine/arguments.py"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    table = UTILS / f"vllm_{VERSION.replace('.', '_')}.json"
    assert json.loads(table.read_text()) == json.loads(printed)


def test_engine_is_the_version_of_the_image() -> None:
    assert f":v{VERSION}\n" in (paths.REPO / "artifacts.yml").read_text()
