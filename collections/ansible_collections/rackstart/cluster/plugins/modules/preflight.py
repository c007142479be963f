#!/usr/bin/python
"""Judges whether a run may touch the hosts."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackstart.cluster.plugins.module_utils import artifacts, certificates, checks, checks_models, checks_outside

DOCUMENTATION = """
module: preflight
author: The Rackstart authors
short_description: Judges whether a run may touch the hosts
description:
  - Judges the inventory and what M(rackstart.cluster.host_probe) saw of each host, writes every finding as JSON, and fails with the
    list of those that stop a run. Changes nothing on any host.
options:
  look:
    description: "What C(checks.judge) takes, but for what is found here: sizes, arguments, quantizations, unlocked, doors, mirror,
      artifacts, repositories, certificate, k3s_version, token and today."
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
    description: JSON table of the arguments that the pinned engine accepts, and of the GPUs that its quantizations ask for.
    type: path
    required: true
  ca_certificates:
    description: PEM files of authorities that mirror, hub and publishers may have their certificates from, beside those of the system.
    type: list
    elements: path
    default: []
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
counts:
  description: How many findings are green, red, waived or not to be judged (unknown), and how many there are.
  type: dict
  returned: when nothing stops the run
"""


def read(path: str) -> dict[str, Any]:
    file = Path(path)
    return (yaml.safe_load(file.read_text()) or {}) if file.exists() else {}


def certificate_problem(gateway: dict[str, Any]) -> str:
    """What is wrong with a certificate of the user's."""
    if not gateway["certificate"] and not gateway["private_key"]:
        return ""
    try:
        certificates.given(Path(gateway["certificate"]).expanduser(), Path(gateway["private_key"]).expanduser(), gateway["address"])
    except certificates.CertificateProblem as error:
        return str(error)
    return ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "look": {"type": "dict", "required": True},
            "artifacts_file": {"type": "path", "required": True},
            "lock_file": {"type": "path", "required": True},
            "arguments_file": {"type": "path", "required": True},
            "ca_certificates": {"type": "list", "elements": "path", "default": []},
            "mirror": {"type": "str", "default": ""},
            "hub": {"type": "str", "default": ""},
            "token": {"type": "str", "default": "", "no_log": True},
            "path": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    declared, lock = read(params["artifacts_file"]), read(params["lock_file"])
    try:
        artifacts.trust(checks_outside.TRUSTED, params["ca_certificates"])
    except artifacts.ArtifactError as error:
        module.fail_json(msg=str(error))
    engine = json.loads(Path(params["arguments_file"]).read_text())
    look = params["look"] | {
        "unlocked": artifacts.problems(declared, lock),
        "arguments": engine["arguments"],
        "quantizations": engine["quantization"],
        "doors": checks_outside.doors(params["look"]["hosts"]),
        "mirror": checks_outside.mirror(params["mirror"]),
        "artifacts": checks_outside.reach(checks_outside.addresses(declared, lock, params["mirror"])),
        "repositories": {
            name: artifacts.mirrored(entry["url"], params["mirror"]) for name, entry in (declared.get("repositories") or {}).items()
        },
        "sizes": checks_outside.sizes(params["hub"], params["token"], checks_models.complete(params["look"]["models"])),
        "k3s_version": declared["files"]["k3s"]["version"],
        "token": bool(params["token"]),
        "certificate": certificate_problem(params["look"]["gateway"]),
        "today": date.today().isoformat(),
    }
    found = checks.judge(look)
    Path(params["path"]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    Path(params["path"]).write_text(json.dumps({"version": 1, "checks": found}, indent=2) + "\n")
    lines = [f"{e['id']} {e['target']}: seen {e['seen']}; expected {e['expected']}; {e['remedy']}" for e in checks.refused(found)]
    if lines:
        module.fail_json(msg="\n".join([f"Preflight refused ({len(lines)} of {len(found)} checks):", *lines]))
    module.exit_json(changed=False, counts=checks.count(found))


if __name__ == "__main__":
    main()
