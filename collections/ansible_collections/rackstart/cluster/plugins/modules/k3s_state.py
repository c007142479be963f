#!/usr/bin/python
"""What a host has of k3s."""

from __future__ import annotations

import ssl
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackstart.cluster.plugins.module_utils.probe_network import interfaces
from ansible_collections.rackstart.cluster.plugins.module_utils.units import RUNNING, show

DOCUMENTATION = """
module: k3s_state
short_description: What a host has of k3s
description:
  - Reads, and changes nothing, whether k3s runs here, whether it holds data and whether its API is ready.
  - Waits until k3s is up, when asked to.
author: The Rackstart authors
options:
  unit:
    description: The unit, which says whether this host is a server or an agent.
    type: str
    required: true
    choices: [k3s, k3s-agent]
  wait:
    description: Seconds to wait until k3s is up. 0 looks once.
    type: int
    default: 0
  node:
    description: Name of the host's node, to ask whether a server votes in etcd; needed to wait.
    type: str
    default: ""
  servers:
    description: Servers to knock at from this host, name to address.
    type: dict
    default: {}
  address:
    description: Address of the host whose interface is to be named.
    type: str
    default: ""
  kubeconfig:
    description: Returns the administrator's kubeconfig too; the task then needs no_log.
    type: bool
    default: false
attributes:
  check_mode:
    description: Runs the same in check mode.
    support: full
"""

EXAMPLES = """
- name: Ask for the state of k3s
  rackstart.cluster.k3s_state:
    unit: k3s
  register: state
"""

RETURN = """
active:
  description: The unit runs, or is being started.
  type: bool
  returned: always
datadir:
  description: The host holds a server's etcd data, or an agent's client certificate.
  type: bool
  returned: always
config:
  description: Text of config.yaml, empty without one. Holds no token, since the roles keep it in a file of its own.
  type: str
  returned: always
ready:
  description: The API server of this host answers /readyz. Always false on an agent.
  type: bool
  returned: always
voter:
  description: The node's condition EtcdIsVoter is True.
  type: bool
  returned: always
kubelet:
  description: The kubelet of this host answers that it is healthy.
  type: bool
  returned: always
up:
  description: A server's API is ready and it votes in etcd; an agent's unit runs, and its kubelet is healthy.
  type: bool
  returned: always
other:
  description: The other unit, k3s or k3s-agent, where it runs here or is enabled, else nothing.
  type: str
  returned: always
kubeconfig:
  description: Text of k3s.yaml, empty without one.
  type: str
  returned: when asked for
interface:
  description: Name of the interface that has the address, empty when none has it.
  type: str
  returned: always
answering:
  description: Names of the servers whose supervisor answers this host on port 6443.
  type: list
  elements: str
  returned: always
"""

DATA = {"k3s": "/var/lib/rancher/k3s/server/db/etcd", "k3s-agent": "/var/lib/rancher/k3s/agent/client-kubelet.crt"}
CONFIG = Path("/etc/rancher/k3s/config.yaml")
KUBECONFIG = Path("/etc/rancher/k3s/k3s.yaml")
KUBELET = "http://127.0.0.1:10248/healthz"


def kubectl(module: AnsibleModule, *arguments: str) -> str:
    """Output of kubectl against this host's own API server, empty when it does not answer."""
    command = ["/usr/local/bin/k3s", "kubectl", "--request-timeout=5s", *arguments]
    if not Path(command[0]).exists():
        return ""
    return_code, out, _ = module.run_command(command)
    return out.strip() if return_code == 0 else ""


def says(url: str, word: bytes) -> bool:
    """What answers on an address of the rack says the word. Nothing secret is sent, and the certificate is checked by k3s when it joins.

    No proxy is asked: urllib knows no networks in the no_proxy that sudo may take from /etc/environment.
    """
    secure = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({}), secure).open(url, timeout=5) as response:
            return response.read() == word
    except (OSError, HTTPException):
        return False


def holder(address: str) -> str:
    """Name of the interface that has an address, empty when none has."""
    with suppress(ValueError):  # a host's name, or nothing
        own = ip_address(address)
        return next((link["name"] for link in interfaces() if own in map(ip_address, link["addresses"])), "")
    return ""


def look(module: AnsibleModule) -> dict:
    """The state of k3s now."""
    unit, node = module.params["unit"], module.params["node"]
    other = next(name for name in DATA if name != unit)
    own, others = show(module, [unit, other], ("ActiveState", "UnitFileState"))
    active = own["ActiveState"] in RUNNING
    kubelet = active and says(KUBELET, b"ok")
    ready = unit == "k3s" and KUBECONFIG.exists() and kubectl(module, "get", "--raw=/readyz") == "ok"
    condition = '-o=jsonpath={.status.conditions[?(@.type=="EtcdIsVoter")].status}'
    voter = ready and bool(node) and kubectl(module, "get", "node", node, condition) == "True"
    return {
        "active": active,
        "datadir": Path(DATA[unit]).exists(),
        "config": CONFIG.read_text() if CONFIG.exists() else "",
        "ready": ready,
        "voter": voter,
        "kubelet": kubelet,
        "up": voter if unit == "k3s" else kubelet,
        "other": other if others["ActiveState"] in RUNNING or others["UnitFileState"] == "enabled" else "",
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True, "choices": list(DATA)},
            "wait": {"type": "int", "default": 0},
            "node": {"type": "str", "default": ""},
            "servers": {"type": "dict", "default": {}},
            "address": {"type": "str", "default": ""},
            "kubeconfig": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wait = module.params["wait"]
    end = time.monotonic() + wait
    state = look(module)
    while not state["up"] and time.monotonic() < end:
        time.sleep(2)
        state = look(module)
    if wait and not state["up"]:
        module.fail_json(msg=f"k3s is not up after {wait} s.", **state)
    if module.params["kubeconfig"]:
        state["kubeconfig"] = KUBECONFIG.read_text() if KUBECONFIG.exists() else ""
    answering = [name for name, address in module.params["servers"].items() if says(f"https://{address}:6443/ping", b"pong")]
    module.exit_json(changed=False, answering=answering, interface=holder(module.params["address"]), **state)


if __name__ == "__main__":
    main()
