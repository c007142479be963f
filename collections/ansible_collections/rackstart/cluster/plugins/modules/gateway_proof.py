#!/usr/bin/python
"""Proves that the gateway admits who has a key, and nobody else."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackstart.cluster.plugins.module_utils import gateway_client

DOCUMENTATION = """
module: gateway_proof
short_description: Proves that the gateway admits who has a key, and nobody else
description:
  - Asks the gateway for its models over TLS, as a client does, with a key that is right, one that is wrong, and none.
  - A node port leads to replicas a moment after they are ready, so that it asks again until it is answered right.
author: The Rackstart authors
options:
  host:
    description: Name or address of the gateway.
    type: str
    required: true
  port:
    description: Its port.
    type: int
    required: true
  ca:
    description: PEM files of authorities beside those of the system.
    type: list
    elements: path
    default: []
  key:
    description: A key that is right, for every model.
    type: str
    required: true
  models:
    description: Served names that it has to list.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds for one answer, and until the right one.
    type: int
    default: 60
attributes:
  check_mode:
    description: Asks the same in check mode.
    support: full
"""

EXAMPLES = """
- name: Prove the gateway
  rackstart.cluster.gateway_proof:
    host: llm.example.org
    port: 30443
    key: "{{ vault_gateway_key }}"
    models: [llama-3-8b]
"""

RETURN = "{}"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "ca": {"type": "list", "elements": "path", "default": []},
            "key": {"type": "str", "required": True, "no_log": True},
            "models": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params = module.params
    address: gateway_client.Address = {"host": params["host"], "port": params["port"], "ca": params["ca"]}
    end = time.monotonic() + params["timeout"]
    while (listed := gateway_client.listed(address, params["key"], params["timeout"])) != params["models"]:
        if time.monotonic() > end:
            advice = "Look at its logs: kubectl -n llm logs -l app.kubernetes.io/component=gateway --tail=-1"
            module.fail_json(msg=f"https://{params['host']}:{params['port']} lists {listed} and not {params['models']}. {advice}")
        time.sleep(1)
    admitted = {what: seen for what, seen in gateway_client.refusals(address, params["timeout"]).items() if seen != "HTTP 401"}
    if admitted:
        said = ", ".join(f"{what} with {seen}" for what, seen in admitted.items())
        module.fail_json(msg=f"https://{params['host']}:{params['port']} answers {said} and not with HTTP 401.")
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
