#!/usr/bin/python
"""Module: one look at a host."""

from __future__ import annotations

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
    choices: [gpu, k3s, network]
    default: [gpu, k3s, network]
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
    - hostname, machine_id, boot_id, os (id, version_id, name), kernel, kernel_packaged, arch, cpu_count, memory_mib, sudo,
      cgroup_controllers; time_offset in seconds (host minus controller); disks by path (size_mib, free_mib, inodes_free, fstype);
      store by revision directory (manifest_sha256, files; null when not published); urls by address (status or reason).
    - With gpu, pci_gpus (slot, device_id), nvidia_smi (rc, gpus with index, uuid, name, memory_mib, driver_version and slot, error),
      driver_version, nouveau_loaded.
    - With k3s, k3s (unit, active, binary_sha256, version, config_keys, containerd_templates).
    - With network, addresses, ports_listening (protocol, port, process, unit), mounts (source, target, fstype, options) of network
      and FUSE file systems.
  type: dict
  returned: always
"""

import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.rackstart.cluster.plugins.module_utils import probe  # noqa: E402


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "gather": {"type": "list", "elements": "str", "choices": ["gpu", "k3s", "network"], "default": ["gpu", "k3s", "network"]},
            "disks": {"type": "list", "elements": "path", "default": []},
            "revisions": {"type": "list", "elements": "path", "default": []},
            "urls": {"type": "list", "elements": "str", "default": []},
            "clock": {"type": "float"},
        },
        supports_check_mode=True,
    )
    clock = module.params["clock"]
    seen = {
        **probe.identity(),
        "time_offset": None if clock is None else round(time.time() - clock, 1),
        "disks": probe.disks(module.params["disks"]),
        "store": probe.store(module.params["revisions"]),
        "urls": probe.answers(module.params["urls"]),
    }
    if "gpu" in module.params["gather"]:
        seen.update(probe.gpu())
    if "k3s" in module.params["gather"]:
        seen["k3s"] = probe.k3s()
    if "network" in module.params["gather"]:
        networked = [mount for mount in probe.mount_table() if mount["fstype"].startswith(("nfs", "fuse."))]
        seen.update(addresses=probe.addresses(), ports_listening=probe.listeners(), mounts=networked)
    module.exit_json(changed=False, probe=seen)


if __name__ == "__main__":
    main()
