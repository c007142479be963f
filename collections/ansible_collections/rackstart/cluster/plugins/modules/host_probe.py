#!/usr/bin/python
"""Module: one look at a host."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackstart.cluster.plugins.module_utils import (
    probe,
    probe_health,
    probe_k3s,
    probe_network,
    probe_storage,
    probe_system,
)

DOCUMENTATION = """
module: host_probe
author: The Rackstart authors
short_description: Look at a host without changing it
description:
  - Gathers in one call what preflight and the verdict judge.
options:
  gather:
    description: Parts to look at besides the host's identity.
    type: list
    elements: str
    choices: [gpu, health, k3s, network, storage, system]
    default: [gpu, health, k3s, network, storage, system]
  disks:
    description: Paths whose file systems are measured; the nearest existing parent counts.
    type: list
    elements: path
    default: []
  revisions:
    description: Directories of published model revisions to read the manifests of.
    type: list
    elements: path
    default: []
  urls:
    description: URLs to ask from the host.
    type: list
    elements: str
    default: []
  names:
    description: Host names to resolve on the host.
    type: list
    elements: str
    default: []
  connects:
    description: HOST:PORT places to open a TCP connection to from the host.
    type: list
    elements: str
    default: []
  clock:
    description: The controller's time in seconds since 1970, to compare the host's clock with.
    type: float
"""

EXAMPLES = """
- name: Look at the host
  rackstart.cluster.host_probe:
    disks: [/var/lib/rancher, /srv/models]
    clock: "{{ now().timestamp() }}"
  register: look
"""

RETURN = """
probe:
  description:
    - hostname, static_hostname, machine_id, boot_id, os (id, version_id, name), kernel, kernel_packaged, arch, cpu_count, memory_mib, sudo,
      cgroup_controllers, swap; time_offset in seconds (host minus controller); disks by path (size_mib, free_mib, inodes, inodes_free,
      fstype, options, inside, rotational); store by revision directory (manifest_sha256, files; null when not published); urls by
      address (status or reason); connects by place (reason, empty when it answers).
    - With gpu, pci_gpus (slot, device_id), nvidia_smi (rc, gpus with index, uuid, name, memory_mib, driver_version and slot, error),
      driver_version, nouveau_loaded. With health, health (links, bars, xids, smi, switches, iommu, headers, modules, runfile).
    - With k3s, k3s (unit, active, binary_sha256, version, config_keys, server_url, ca_sha256, others, containerd_templates,
      toolkit).
    - With network, interfaces (name, mtu, speed, addresses), routes (to, device), resolver (servers, upstream, own_name, names),
      ports_listening (protocol, port, process, unit), mounts (source, target, fstype, options) of network and FUSE file systems.
    - With storage, exports (file, path, read_only, root_squash), read_speed (file, mb_per_s) of the first revisions.
    - With system, ssh_keys, product_uuid, units, clock_synchronised, modules, inotify, nofile, selinux, apparmor,
      apparmor_parser, secure_boot, cgroup_version, reboot, packages, firewalls, proxies.
    - null stands for what cannot be seen on the host.
  type: dict
  returned: always
"""

PARTS = ["gpu", "health", "k3s", "network", "storage", "system"]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "gather": {"type": "list", "elements": "str", "choices": PARTS, "default": PARTS},
            "disks": {"type": "list", "elements": "path", "default": []},
            "revisions": {"type": "list", "elements": "path", "default": []},
            "urls": {"type": "list", "elements": "str", "default": []},
            "names": {"type": "list", "elements": "str", "default": []},
            "connects": {"type": "list", "elements": "str", "default": []},
            "clock": {"type": "float"},
        },
        supports_check_mode=True,
    )
    params = module.params
    seen = {
        **probe.identity(),
        "time_offset": None if params["clock"] is None else round(time.time() - params["clock"], 1),
        "disks": probe_storage.disks(params["disks"]),
        "store": probe_storage.store(params["revisions"]),
        "urls": probe_network.answers(params["urls"]),
        "connects": probe_network.connects(params["connects"]),
    }
    parts = {
        "gpu": probe.gpu,
        "health": lambda: {"health": probe_health.health()},
        "k3s": lambda: {"k3s": probe_k3s.k3s()},
        "network": lambda: probe_network.network(params["names"]) | {"mounts": probe_storage.network_mounts()},
        "storage": lambda: {"exports": probe_storage.exports(), "read_speed": probe_storage.read_speed(params["revisions"])},
        "system": probe_system.system,
    }
    for part in params["gather"]:
        seen.update(parts[part]())
    module.exit_json(changed=False, probe=seen)


if __name__ == "__main__":
    main()
