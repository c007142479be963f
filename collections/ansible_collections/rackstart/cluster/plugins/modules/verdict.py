#!/usr/bin/python
"""Judges whether the cluster serves what the inventory declares."""

from __future__ import annotations

import datetime
import json
import shlex
import tempfile
from pathlib import Path

from ansible_collections.rackstart.cluster.plugins.module_utils import api, gates, gateway_client, golden, observe

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
    description: "What the inventory declares: hosts, servers, away, marks, gpus, models, stores, storage and gateways."
    type: dict
    required: true
  claims:
    description: Name of each model to the name of its claim.
    type: dict
    required: true
  gateway:
    description: "How the gateway is asked: host, port, ca (PEM files of authorities), and authority, the one of them that is ours."
    type: dict
    required: true
  key:
    description: Rackstart's own key at the gateway.
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
    gateway: {host: 10.0.0.11, port: 30443, ca: [], authority: ""}
    key: "{{ vault_gateway_key }}"
"""

RETURN = """
verdict:
  description: What the file holds.
  type: dict
  returned: always
"""


def endpoints(models: list[dict], host: str, port: int, authority: str) -> list[dict]:
    """Address of each model and a line to paste, which takes the key from the shell's KEY without naming it to other processes."""
    trust, url = f" --cacert {shlex.quote(authority)}" if authority else "", f"https://{host}:{port}/v1"
    header = """--header @<(printf 'Authorization: Bearer %s' "$KEY") --header 'Content-Type: application/json'"""
    found = []
    for model in models:
        body = json.dumps(golden.request(model, model["golden_prompts"][0]))
        curl = f"curl -sS{trust} {url}/chat/completions {header} -d {shlex.quote(body)}"
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
            "gateway": {"type": "dict", "required": True},
            "key": {"type": "str", "required": True, "no_log": True},
            "timeout": {"type": "int", "default": 120},
        }
    )
    params = module.params
    declared: gates.Declared = params["declared"]
    gateway = params["gateway"]
    address: gateway_client.Address = {"host": gateway["host"], "port": int(gateway["port"]), "ca": gateway["ca"]}
    asked: observe.Asked = {"address": address, "key": params["key"]}
    seen, problem = None, "" if params["server"] else "no server is ready"
    if not problem:
        try:
            seen = observe.observe(api.Cluster(module), declared["models"], params["claims"], asked, params["timeout"])
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
        "endpoints": endpoints(declared["models"], address["host"], address["port"], gateway["authority"]),
        "clients": seen["gateway"]["clients"] if seen else [],
        "caches": [cache for served in (seen or {"models": {}})["models"].values() for cache in served["caches"]],
    }
    if not module.check_mode:
        write(Path(params["path"]), verdict)
    if closed and not module.check_mode:
        module.fail_json(msg=summary(closed), verdict=verdict)
    module.exit_json(changed=False, verdict=verdict)


if __name__ == "__main__":
    main()
