#!/usr/bin/python
"""Judges whether a run may touch the hosts."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackstart.cluster.plugins.module_utils import artifacts, checks

DOCUMENTATION = """
module: preflight
author: The Rackstart authors
short_description: Judges whether a run may touch the hosts
description:
  - Judges the inventory and what M(rackstart.cluster.host_probe) saw of each host, writes every finding as JSON, and fails with the
    list of those that stop a run. Changes nothing on any host.
options:
  look:
    description: "What C(checks.judge) takes, but for sizes, arguments, unlocked and mirror, which are found here."
    type: dict
    required: true
  artifacts_file:
    description: artifacts.yml.
    type: path
    required: true
  lock_file:
    description: artifacts.lock.yml of the inventory.
    type: path
    required: true
  arguments_file:
    description: JSON table of the arguments that the pinned engine accepts.
    type: path
    required: true
  mirror:
    description: The mirror's address, empty for none.
    type: str
    default: ""
  hub:
    description: The hub's address; sizes of models are asked there.
    type: str
    default: ""
  token:
    description: The hub's token, for gated models.
    type: str
    default: ""
  path:
    description: File to write.
    type: path
    required: true
"""

EXAMPLES = """
- name: Judge
  rackstart.cluster.preflight:
    look: "{{ look }}"
    artifacts_file: artifacts.yml
    lock_file: inventories/site/artifacts.lock.yml
    arguments_file: vllm.json
    path: /root/preflight.json
"""

RETURN = """
checks:
  description: Every finding with id, severity, target, ok, seen, expected, remedy and waived.
  type: list
  elements: dict
  returned: when nothing stops the run
"""

WEIGHTS = (".safetensors", ".bin", ".gguf")


def fetch(url: str, token: str = "") -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read()


def size(hub: str, token: str, model: dict[str, Any]) -> dict[str, Any]:
    """Bytes of a revision in the store, and of its weights; or the error."""
    try:
        files = json.loads(fetch(f"{hub}/api/models/{model['repo']}/tree/{model['revision']}?recursive=true", token))
    except (OSError, ValueError) as error:
        return {"error": f"{hub}: {error}"}
    sizes = {entry["path"]: entry["size"] for entry in files if entry["type"] == "file"}
    return {"store": sum(sizes.values()), "weights": sum(size for path, size in sizes.items() if path.endswith(WEIGHTS))}


def mirror(url: str) -> dict[str, str]:
    error = ""
    if url:
        try:
            fetch(url)
        except urllib.error.HTTPError:
            pass  # it answers
        except OSError as problem:
            error = str(problem)
    return {"url": url, "error": error}


def read(path: str) -> dict[str, Any]:
    file = Path(path)
    return (yaml.safe_load(file.read_text()) or {}) if file.exists() else {}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "look": {"type": "dict", "required": True},
            "artifacts_file": {"type": "path", "required": True},
            "lock_file": {"type": "path", "required": True},
            "arguments_file": {"type": "path", "required": True},
            "mirror": {"type": "str", "default": ""},
            "hub": {"type": "str", "default": ""},
            "token": {"type": "str", "default": "", "no_log": True},
            "path": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    models = params["look"]["models"]
    look = params["look"] | {
        "unlocked": artifacts.problems(read(params["artifacts_file"]), read(params["lock_file"])),
        "arguments": json.loads(Path(params["arguments_file"]).read_text())["arguments"],
        "mirror": mirror(params["mirror"]),
        "sizes": {model["name"]: size(params["hub"], params["token"], model) for model in models} if params["hub"] else {},
    }
    found = checks.judge(look)
    Path(params["path"]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    Path(params["path"]).write_text(json.dumps({"version": 1, "checks": found}, indent=2) + "\n")
    lines = [f"{e['id']} {e['target']}: seen {e['seen']}; expected {e['expected']}; {e['remedy']}" for e in checks.refused(found)]
    if lines:
        module.fail_json(msg="\n".join([f"Preflight refused ({len(lines)} of {len(found)} checks):", *lines]))
    module.exit_json(changed=False, checks=found)


if __name__ == "__main__":
    main()
