#!/usr/bin/python
"""Judges whether the cluster serves what the inventory declares."""

from __future__ import annotations

import datetime
import json
import shlex
import tempfile
from pathlib import Path

from ansible_collections.rackstart.cluster.plugins.module_utils import api, gates, observe, prompts

DOCUMENTATION = """
module: verdict
short_description: Judges whether the cluster serves what the inventory declares
description:
  - Looks at everything anew, judges it gate by gate, writes the verdict as JSON and fails when a gate is closed.
author: The Rackstart authors
options:
  inventory:
    description: Name of the inventory, for the file.
    type: str
    required: true
  path:
    description: File to write.
    type: path
    required: true
  server:
    description: Name of a server whose API is ready; empty when none is.
    type: str
    default: ""
  probes:
    description: Name of each host to what rackstart.cluster.host_probe saw of it, empty when it did not answer.
    type: dict
    required: true
  declared:
    description: "What the inventory declares: hosts, servers, away, marks, gpus, models, stores and storage."
    type: dict
    required: true
  claims:
    description: Name of each model to the name of its claim.
    type: dict
    required: true
  address:
    description: Address of a GPU node, through which models with a node port are reached.
    type: str
    required: true
  timeout:
    description: Seconds for one answer.
    type: int
    default: 120
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: Judges, but writes nothing and does not fail.
    support: full
"""

EXAMPLES = """
- name: Judge
  rackstart.cluster.verdict:
    inventory: site
    path: /root/verdict.json
    server: server-1
    probes: "{{ probes }}"
    declared: "{{ declared }}"
    claims: "{{ claims }}"
    address: 10.0.0.21
"""

RETURN = """
verdict:
  description: What the file holds.
  type: dict
  returned: always
"""


def endpoints(models: list[dict], address: str, kubeconfig: str) -> list[dict]:
    """Address of each model and a line to paste; a model without a node port is reached through a port-forward of kubectl."""
    found = []
    for model in models:
        url = f"http://{address}:{model['node_port']}/v1" if model.get("node_port") else "http://127.0.0.1:8000/v1"
        body = json.dumps(prompts.request(model, model["golden_prompts"][0]))
        curl = f"curl -sS {url}/chat/completions -H 'Content-Type: application/json' -d {shlex.quote(body)}"
        if not model.get("node_port"):
            forward = f"kubectl --kubeconfig {shlex.quote(kubeconfig)} -n llm port-forward service/{model['name']} 8000:80"
            curl = f"{forward} & {curl.replace('curl', 'curl --retry 9 --retry-connrefused', 1)}"
        found.append({"model": model["name"], "url": url, "curl": curl})
    return found


def write(path: Path, verdict: dict) -> None:
    """At once or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".verdict", delete=False) as file:
        json.dump(verdict, file, indent=2)
        file.write("\n")
    Path(file.name).replace(path)


def summary(closed: list[gates.Gate]) -> str:
    lines = [f"{gate['id']} {gate['target']}: expected {gate['expected']}, seen {gate['seen']}. {gate['remedy']}" for gate in closed]
    return "\n".join([f"The verdict is red: {len(closed)} gates are closed.", *lines])


def main() -> None:
    module = api.module(
        {
            "inventory": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "server": {"type": "str", "default": ""},
            "probes": {"type": "dict", "required": True},
            "declared": {"type": "dict", "required": True},
            "claims": {"type": "dict", "required": True},
            "address": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 120},
        }
    )
    params = module.params
    declared: gates.Declared = params["declared"]
    found = endpoints(declared["models"], params["address"], str(params["kubeconfig"] or "KUBECONFIG"))
    urls = {entry["model"]: entry["url"] for entry, model in zip(found, declared["models"], strict=True) if model.get("node_port")}
    seen, problem = None, "" if params["server"] else "no server is ready"
    if not problem:
        try:
            seen = observe.observe(api.Cluster(module), declared["models"], params["claims"], urls, params["timeout"])
        except (api.ClusterError, *api.ERRORS) as error:
            problem = api.reason(error)
    judged = gates.judge(declared, {host: probe or None for host, probe in params["probes"].items()}, seen, problem)
    closed = [gate for gate in judged if not gate["ok"]]
    verdict = {
        "version": 1,
        "inventory": params["inventory"],
        "generated": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "green": not closed,
        "gates": judged,
        "endpoints": found,
        "caches": [cache for served in (seen or {"models": {}})["models"].values() for cache in served["caches"]],
    }
    if not module.check_mode:
        write(Path(params["path"]), verdict)
    if closed and not module.check_mode:
        module.fail_json(msg=summary(closed), verdict=verdict)
    module.exit_json(changed=False, verdict=verdict)


if __name__ == "__main__":
    main()
