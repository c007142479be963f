"""What a rack looks like to preflight when nothing is wrong with it: the data that the tests of its checks change."""

import json
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import checks

from rackstart.paths import ROOT

ENGINE = json.loads((Path(checks.__file__).parent / "vllm_0_32_0.json").read_text())
INFERENCE = yaml.safe_load((ROOT / "roles/inference/meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
CONFIG = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
    "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 8192, "torch_dtype": "bfloat16",
}  # fmt: skip
REVISION = "0123456789abcdef0123456789abcdef01234567"
SLOTS = ("0000:17:00.0", "0000:65:00.0")
MIRROR = "http://192.0.2.2"
TOOLKIT = "https://toolkit.example.org/deb/amd64"


def disk(**changed: Any) -> dict[str, Any]:
    return {
        "free_mib": 50000, "inodes": 4000000, "inodes_free": 3000000, "fstype": "ext4", "options": ["rw", "relatime"], "inside": [],
        "rotational": False,
    } | changed  # fmt: skip


def health(slots: tuple[str, ...]) -> dict[str, Any]:
    row = {"ecc": 0, "pending": False, "failed": False, "mig": False, "used_mib": 4}
    return {
        "links": {slot: {"width": 16, "most": 16, "speed": 16.0, "slot": 32.0} for slot in slots},
        "bars": {slot: [{"mib": 16, "assigned": True}, {"mib": 65536, "assigned": True}] for slot in slots},
        "xids": [], "smi": {str(index): dict(row) for index, _ in enumerate(slots)}, "switches": 6, "iommu": "passthrough",
        "headers": "installed", "modules": "open", "runfile": False,
    }  # fmt: skip


def probe(name: str, address: str, slots: tuple[str, ...]) -> dict[str, Any]:
    return {
        "hostname": name, "machine_id": f"id-of-{name}", "os": {"id": "debian", "version_id": "12"}, "arch": "x86_64", "time_offset": 0.4,
        "kernel": "6.1.0-28-amd64", "memory_mib": 128000, "cgroup_controllers": ["cpu", "cpuset", "io", "memory", "pids"],
        "disks": {path: disk() for path in ("/var/lib", "/var/lib/rancher", "/srv/models")}, "store": {}, "read_speed": None,
        "exports": [], "mounts": [], "urls": {MIRROR: "200"}, "connects": {},
        "k3s": {
            "active": False, "used": [], "version": "v1.34.3+k3s1", "server_url": "", "ca_sha256": None, "others": [],
            "containerd_templates": [], "toolkit": [],
        },
        "interfaces": [{"name": "eno1", "mtu": 9000, "speed": 25000, "addresses": [address]}],
        "routes": [{"to": "0.0.0.0/0", "device": "eno1"}, {"to": "192.0.2.0/24", "device": "eno1"}],
        "resolver": {"servers": {"192.0.2.53": ""}, "upstream": [], "own_name": "", "names": {"192.0.2.2": ""}},
        "ports_listening": [{"protocol": "tcp", "port": 22, "process": "sshd"}],
        "ssh_keys": [f"ssh-ed25519 key-of-{name}"], "product_uuid": f"uuid-of-{name}", "clock_synchronised": True, "swap": [],
        "units": {"chrony": "active", "docker": "inactive", "containerd": "inactive", "nvidia-fabricmanager": "active"},
        "modules": dict.fromkeys(("overlay", "br_netfilter", "nf_conntrack", "vxlan", "nfs"), True),
        "inotify": {"instances": 8192, "watches": 524288}, "nofile": 1048576, "selinux": "off", "apparmor": True, "apparmor_parser": True,
        "secure_boot": False, "cgroup_version": 2, "reboot": "", "firewalls": [], "proxies": [],
        "packages": {"broken": [], "held": ["nvidia-driver-cuda"], "driver_unheld": [], "unattended": True, "lock": "", "sources": {}},
        "pci_gpus": [{"slot": slot, "device_id": "0x20b0"} for slot in slots], "nouveau_loaded": False, "driver_version": None,
        "nvidia_smi": {"rc": 0, "error": "", "gpus": [{"index": index, "memory_mib": 40960} for index, _ in enumerate(slots)]},
        "health": health(slots),
    }  # fmt: skip


def host(name: str, address: str, groups: list[str], slots: tuple[str, ...] = ()) -> dict[str, Any]:
    gpus = {"labels": {"gpu": "true"}, "taints": [{"key": "nvidia.com/gpu"}]} if slots else {"labels": {}, "taints": []}
    seen = probe(name, address, slots)
    return {
        "probe": seen, "reason": "", "address": address, "port": 22, "groups": groups, "gpu_count": len(slots),
        "gpu_memory_mib": 40960, **gpus,
    }  # fmt: skip


def good() -> dict[str, Any]:
    model = {
        "name": "llama", "repo": "org/llama", "revision": REVISION, "engine": "vllm", "served_name": "llama", "replicas": 2,
        "gpus_per_replica": 1, "node_selector": {"gpu": "true"}, "context_length": 8192, "dtype": "bfloat16",
        "startup_seconds": 900, "resources": {"requests": {"memory": "24Gi"}, "limits": {"memory": "32Gi"}},
        "extra_args": ["--enforce-eager", "--max_num_seqs=64"],
        "golden_prompts": [{"prompt": "a", "expect": "b"}],
    }  # fmt: skip
    look = {
        "hosts": {
            "server-1": host("server-1", "192.0.2.11", ["k3s_server", "storage"]),
            "gpu-1": host("gpu-1", "192.0.2.21", ["k3s_agent", "gpu"], SLOTS),
            "gpu-2": host("gpu-2", "192.0.2.22", ["k3s_agent", "gpu"], SLOTS),
        },
        "servers": ["server-1"],
        "doors": {"server-1": ""},
        "addresses": ["192.0.2.11", "192.0.2.21", "192.0.2.22"],
        "models": [model],
        "model_options": INFERENCE["inference_models"]["options"],
        "sizes": {"llama": {"store": 16 << 30, "weights": 15 << 30, "access": 200, "config": dict(CONFIG)}},
        "storage": {
            "backend": "kernel", "path": "/srv/models", "server": "192.0.2.11", "export": "/srv/models", "clients": ["192.0.2.0/24"],
        },
        "networks": ["10.42.0.0/16", "10.43.0.0/16"],
        "arguments": ENGINE["arguments"],
        "quantizations": ENGINE["quantization"],
        "engine": {"gpu_memory_utilization": 0.92, "shm_size": "4Gi"},
        "gateway": {"address": "192.0.2.11", "service_type": "NodePort", "node_port": 30443, "certificate": "", "private_key": ""},
        "certificate": "",
        "unlocked": [],
        "lock_command": "python bootstrap.py --inventory site lock",
        "mirror": {"url": MIRROR, "error": ""},
        "artifacts": {f"files.k3s ({MIRROR}/k3s)": ""},
        "repositories": {"nvidia_driver_debian12": "https://nvidia.example.org/deb/", "nvidia_container_toolkit_deb": f"{TOOLKIT}/"},
        "k3s_config": {"server": {"kubelet-arg": ["max-pods=200"]}, "agent": {}},
        "k3s_version": "v1.34.4+k3s1",
        "driver": {"version": "580.173.02-1", "modules": "open"},
        "proxy": False,
        "proxy_logins": [],
        "registry_auth_problem": "",
        "token": False,
        "min_free_mib": {"/var/lib": 10240},
        "gpu_min_free_mib": {"/var/lib/rancher": 40960},
        "waivers": {"os.swap": {"reason": "zram, tried by hand", "until": "2026-12-31"}},
        "numbers": [{"host": "", "name": "gpu_operator_timeout", "value": 900, "low": "1", "high": "86400"}],
        "today": "2026-11-24",
    }  # fmt: skip
    store = look["hosts"]["server-1"]["probe"]
    store["exports"] = [{"file": "/etc/exports", "path": "/srv/models", "read_only": True, "root_squash": True}]
    store["k3s"]["ca_sha256"] = "c" * 64
    store["read_speed"] = {"file": "/srv/models/weights", "mb_per_s": 2000.0}
    return look


def put(look: dict[str, Any], path: str, value: Any) -> None:
    """Set one value, by its way through dictionaries and lists; keys with a / in them are written with a |."""
    *parents, last = (key.replace("|", "/") for key in path.split("/"))
    at: Any = look
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[int(last) if isinstance(at, list) else last] = value
