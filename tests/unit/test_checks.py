"""Preflight's checks, from outside: a look that is good, and one change to it that a check must find, or that it cannot judge."""

import copy
import json
from typing import Any

import jsonschema
import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import checks, volumes
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_table import CHECKS

from rackstart import doctor
from rackstart.paths import ROOT
from tests.unit.checks_look import CONFIG, SLOTS, TOOLKIT, disk, good, put

Look = dict[str, Any]
AT = "hosts/gpu-1/probe"
UBUNTU = {"id": "ubuntu", "version_id": "24.04"}
ANSWERS = {f"hosts/{name}/probe/connects": {"192.0.2.11:2049": ""} for name in good()["hosts"]}
UNMOUNTED = {"storage/backend": "external", **ANSWERS}
FILER = {"source": "192.0.2.11:/srv/models", "target": "/srv/models", "fstype": "nfs4", "options": ["rw"]}
MOUNTS = "hosts/server-1/probe/mounts"
EXTERNAL = UNMOUNTED | {MOUNTS: [FILER]}
EXPORT = {"file": "/etc/exports", "path": "/srv/models", "read_only": True, "root_squash": True}
GANESHA = {"protocol": "tcp", "port": 2049, "process": "ganesha.nfsd", "unit": "nfs-ganesha.service"}
STRANGER = GANESHA | {"process": "nfsd", "unit": "unfs3.service"}
V100, T4 = ([{"slot": slot, "device_id": device} for slot in SLOTS] for device in ("0x1db4", "0x1eb8"))
MXFP4 = {"quant_method": "mxfp4"}
LLAMA = good()["models"][0]
OF_VLLM = ("dtype", "extra_args")
OLLAMA = {key: value for key, value in LLAMA.items() if key not in OF_VLLM} | {"engine": "ollama", "file": "llama-q8_0.gguf"}
ON_CPU = OLLAMA | {"gpus_per_replica": 0, "node_selector": {}}
WIDE = LLAMA | {"name": "wide", "served_name": "wide", "gpus_per_replica": 2}
POOLS = {"hosts/gpu-1/labels": {"gpu": "true", "pool": "small"}, "hosts/gpu-2/labels": {"gpu": "true", "pool": "large"}}
SMALL, LARGE = LLAMA | {"node_selector": {"pool": "small"}}, WIDE | {"replicas": 1, "node_selector": {"pool": "large"}}
SIZE = {"store": 16 << 30, "weights": 15 << 30}


@pytest.fixture
def look() -> Look:
    return good()


def judged(look: Look, change: Look) -> list[dict[str, Any]]:
    for path, value in change.items():
        put(look, path, copy.deepcopy(value))
    return checks.judge(look)


RED = [
    # check, target, change to the good look: {path: value}
    ("host.reachable", "gpu-1", {"hosts/gpu-1/probe": {}, "hosts/gpu-1/reason": "no route to host"}),
    ("host.reachable", "gpu-2", {"hosts/gpu-2/probe": {}, "hosts/gpu-2/reason": "sudo: a password is required"}),
    ("host.machine_id", "gpu-1", {f"{AT}/machine_id": "id-of-gpu-2"}),
    ("host.machine_id", "server-1", {"hosts/server-1/probe/machine_id": ""}),
    ("host.ssh_keys", "gpu-1", {f"{AT}/ssh_keys": ["ssh-ed25519 key-of-gpu-2"]}),
    ("host.product_uuid", "gpu-1", {f"{AT}/product_uuid": "uuid-of-gpu-2"}),
    ("host.address", "gpu-1", {"hosts/gpu-1/address": "192.0.2.22"}),
    ("host.name", "GPU.1", {"hosts": {"GPU.1": good()["hosts"]["gpu-1"]}}),
    ("host.hostname", "gpu-1", {f"{AT}/hostname": "gpu-2"}),
    ("groups.storage", "inventory", {"hosts/server-1/groups": ["k3s_server"]}),
    ("groups.servers", "inventory", {"servers": ["server-1", "server-2"]}),
    ("groups.gpu", "gpu-1", {"hosts/gpu-1/groups": ["gpu"]}),
    ("groups.roles", "inventory", {"hosts/server-1/groups": ["k3s_server", "k3s_agent", "storage"]}),
    ("groups.schedulable", "inventory", {"hosts/server-1/taints": [{"key": "nvidia.com/gpu"}]}),
    ("settings.numbers", "gpu_operator_timeout", {"numbers/0/value": 0}),
    ("settings.numbers", "gpu_operator_timeout", {"numbers/0/value": "ten minutes"}),
    ("settings.numbers", "gpu-1/gpu_operator_timeout", {"numbers/0/host": "gpu-1", "numbers/0/value": 0}),
    ("settings.places", "storage_server", {"storage/server": ""}),
    ("settings.places", "storage_export", {"storage/export": ""}),
    ("settings.places", "storage_path", {"storage": good()["storage"] | {"path": ""}, "hosts/server-1/probe/disks/": disk()}),
    ("settings.places", "gateway_address", {"gateway/address": ""}),
    ("settings.proxy", "inventory", {"proxy_logins": ["https"]}),
    ("settings.registry_auth", "inventory", {"registry_auth_problem": "wrong for r.test"}),
    ("os.supported", "gpu-1", {f"{AT}/os": {"id": "ubuntu", "version_id": "20.04"}}),
    ("os.supported", "gpu-1", {f"{AT}/os": {"id": "rocky", "version_id": "8.10"}}),
    ("os.supported", "gpu-1", {f"{AT}/os": {"id": "almalinux", "version_id": "9.6"}}),
    ("os.supported", "gpu-1", {f"{AT}/os": {"id": "arch", "version_id": ""}}),
    ("os.architecture", "gpu-1", {f"{AT}/arch": "aarch64"}),
    ("os.clock", "gpu-1", {f"{AT}/time_offset": -90.0}),
    ("os.time_service", "gpu-1", {f"{AT}/units": {"chrony": "inactive", "docker": "active"}}),
    ("os.time_synchronised", "gpu-1", {f"{AT}/clock_synchronised": False}),
    ("os.memory", "server-1", {"hosts/server-1/probe/memory_mib": 1024}),
    ("os.swap", "gpu-1", {f"{AT}/swap": ["/dev/zram0"], "waivers": {}}),
    ("os.modules", "gpu-1", {f"{AT}/modules/vxlan": False}),
    ("os.nfs_client", "gpu-1", {f"{AT}/modules/nfs": False}),
    ("os.inotify", "gpu-1", {f"{AT}/inotify": {"instances": 128, "watches": 524288}}),
    ("os.nofile", "gpu-1", {f"{AT}/nofile": 20000}),
    ("os.selinux", "gpu-1", {f"{AT}/selinux": "enforcing", "k3s_config/agent": {"selinux": True}}),
    ("os.apparmor", "gpu-1", {f"{AT}/apparmor_parser": False}),
    ("os.reboot", "gpu-1", {f"{AT}/reboot": "vmlinuz-6.1.0-29-amd64 is installed, 6.1.0-28-amd64 runs"}),
    ("os.packages", "gpu-1", {f"{AT}/packages/broken": ["libc6"]}),
    ("os.package_lock", "gpu-1", {f"{AT}/packages/lock": "unattended-upgr (var/lib/dpkg/lock)"}),
    ("os.held", "gpu-1", {f"{AT}/packages/held": ["nfs-common"]}),
    ("os.held", "gpu-1", {f"{AT}/packages/held": ["linux-image-amd64"]}),
    ("os.held", "server-1", {"hosts/server-1/probe/os": UBUNTU, "hosts/server-1/probe/packages/held": ["linux-image-generic"]}),
    ("os.sources", "gpu-1", {f"{AT}/packages/sources": {TOOLKIT: "/etc/apt/sources.list.d/nvidia-container-toolkit.list"}}),
    ("os.sources", "gpu-1", {f"{AT}/packages/sources": {"https://nvidia.example.org/deb": "/etc/apt/sources.list.d/cuda-debian12.list"}}),
    ("os.unattended", "gpu-1", {f"{AT}/packages/driver_unheld": ["nvidia-driver-cuda"]}),
    ("network.ranges", "inventory", {"networks": ["10.42.0.0/16", "10.42.128.0/17"]}),
    ("network.ranges", "inventory", {"networks": ["10.42.0.5/16", "10.43.0.0/16"]}),
    ("network.ranges", "inventory", {"networks": ["10.42.0.0/16,fd00:42::/56", "10.43.0.0/16,fd00:43::/112"]}),
    ("network.overlap", "gpu-1", {"hosts/gpu-1/address": "10.42.3.4"}),
    ("network.routes", "gpu-1", {f"{AT}/routes": [{"to": "10.42.7.0/24", "device": "eno1"}]}),
    ("network.routes", "gpu-1", {f"{AT}/k3s/active": True, f"{AT}/routes": [{"to": "10.0.0.0/8", "device": "wg0"}]}),
    ("network.node_ip", "gpu-1", {"hosts/gpu-1/address": "gpu-1.example.org"}),
    ("network.node_ip", "gpu-1", {"hosts/gpu-1/address": "192.0.2.99"}),
    ("network.default_route", "gpu-1", {f"{AT}/routes": [{"to": "192.0.2.0/24", "device": "eno1"}]}),
    ("network.mtu", "gpu-1", {f"{AT}/interfaces/0/mtu": 1500}),
    ("network.mtu_size", "gpu-1", {f"{AT}/interfaces/0/mtu": 1280}),
    ("network.mirror", "gpu-1", {f"{AT}/urls": {"http://192.0.2.2": "timed out"}}),
    ("network.controller", "server-1", {"doors": {"server-1": "timed out"}}),
    ("network.firewall", "gpu-1", {f"{AT}/units": {"firewalld": "active"}}),
    ("network.firewall", "gpu-1", {f"{AT}/firewalls": ["ufw"], f"{AT}/units": {}}),
    ("network.proxy", "gpu-1", {f"{AT}/proxies": ["http://proxy:3128 in /etc/environment"]}),
    ("dns.resolver", "gpu-1", {f"{AT}/resolver/servers": {"192.0.2.53": "timed out"}}),
    ("dns.resolver", "gpu-1", {f"{AT}/resolver/servers": {}}),
    ("dns.upstream", "gpu-1", {f"{AT}/resolver/servers": {"127.0.0.53": ""}}),
    ("dns.own_name", "gpu-1", {f"{AT}/resolver/own_name": "Name or service not known"}),
    ("dns.names", "gpu-1", {f"{AT}/resolver/names": {"mirror.example.org": "no answer within 3 s"}}),
    ("k3s.config", "k3s_server_config", {"k3s_config/server": {"kubelet-args": ["max-pods=200"]}}),
    ("k3s.config", "k3s_agent_config", {"k3s_config/agent": {"token": "secret"}}),
    ("k3s.part", "gpu-1", {f"{AT}/k3s/used": ["k3s.service"]}),
    ("k3s.part", "server-1", {"hosts/server-1/probe/k3s/used": ["k3s.service", "k3s-agent.service"]}),
    ("k3s.templates", "gpu-1", {f"{AT}/k3s/containerd_templates": ["config.toml.tmpl"]}),
    ("k3s.upgrade", "gpu-1", {f"{AT}/k3s/version": "v1.35.1+k3s1"}),
    ("k3s.upgrade", "gpu-1", {f"{AT}/k3s/version": "v1.32.9+k3s1"}),
    ("k3s.one_cluster", "gpu-1", {"hosts/gpu-1/groups": ["k3s_server", "gpu"], f"{AT}/k3s/ca_sha256": "d" * 64}),
    ("k3s.toolkit", "gpu-1", {f"{AT}/k3s/toolkit": ["/usr/local/nvidia/toolkit/nvidia-container-runtime"]}),
    ("k3s.server_url", "gpu-1", {f"{AT}/k3s/server_url": "https://198.51.100.1:6443"}),
    ("k3s.cgroup", "gpu-1", {f"{AT}/cgroup_version": 1, "k3s_version": "v1.35.0+k3s1"}),
    ("k3s.cgroup_controllers", "gpu-1", {f"{AT}/cgroup_controllers": ["cpu", "pids"]}),
    ("k3s.runtimes", "gpu-1", {f"{AT}/units/docker": "active"}),
    ("k3s.others", "gpu-1", {f"{AT}/k3s/others": ["kubeadm"]}),
    ("ports.free", "server-1", {"hosts/server-1/probe/ports_listening": [{"protocol": "tcp", "port": 6443, "process": "haproxy"}]}),
    ("ports.free", "gpu-1", {f"{AT}/ports_listening": [{"protocol": "tcp", "port": 10256, "process": "kube-proxy"}]}),
    ("ports.nfs", "server-1", {"hosts/server-1/probe/ports_listening": [GANESHA]}),
    ("ports.nfs", "server-1", {"storage/backend": "ganesha", "hosts/server-1/probe/ports_listening": [STRANGER]}),
    ("disk.free", "gpu-1", {f"{AT}/disks/|var|lib/free_mib": 9}),
    ("disk.inodes", "gpu-1", {f"{AT}/disks/|var|lib/inodes_free": 100}),
    ("disk.filesystem", "gpu-1", {f"{AT}/disks/|var|lib|rancher": disk(fstype="nfs4")}),
    ("disk.options", "gpu-1", {f"{AT}/disks/|var|lib|rancher": disk(options=["rw", "noexec"])}),
    ("disk.etcd", "server-1", {"hosts/server-1/probe/disks/|var|lib|rancher": disk(rotational=True)}),
    ("store.space", "server-1", {"sizes/llama/store": 60 << 30}),
    ("store.space", "server-1", EXTERNAL | {"sizes/llama/store": 60 << 30}),
    ("store.space", "server-1", EXTERNAL | {MOUNTS: [FILER | {"source": "192.0.2.11:/srv/models/"}], "sizes/llama/store": 60 << 30}),
    ("store.filesystem", "server-1", {"hosts/server-1/probe/disks/|srv|models": disk(fstype="btrfs")}),
    ("store.one_filesystem", "server-1", {"hosts/server-1/probe/disks/|srv|models": disk(inside=["/srv/models/org"])}),
    ("nfs.clients", "gpu-1", {"storage/clients": ["192.0.2.11", "198.51.100.0/24"]}),
    ("nfs.server", "gpu-1", EXTERNAL | {f"{AT}/connects": {"192.0.2.11:2049": "connection refused"}}),
    ("nfs.read_only", "server-1", {"hosts/server-1/probe/exports": [EXPORT | {"read_only": False}]}),
    ("nfs.root_squash", "server-1", {"hosts/server-1/probe/exports": [EXPORT | {"path": "/srv", "root_squash": False}]}),
    ("nfs.mounts", "gpu-1", {f"{AT}/mounts": [{"source": "192.0.2.11:/srv/models/org", "target": "/mnt", "options": ["rw"]}]}),
    ("gpu.declared", "gpu-1", {"hosts/gpu-1/gpu_memory_mib": 40}),
    ("gpu.count", "gpu-1", {f"{AT}/pci_gpus": [{"slot": SLOTS[0], "device_id": "0x20b0"}]}),
    ("gpu.alike", "gpu-1", {f"{AT}/pci_gpus/0/device_id": "0x20b2"}),
    ("gpu.driver", "gpu-1", {f"{AT}/pci_gpus": V100}),
    ("gpu.driver", "gpu-1", {f"{AT}/driver_version": "570.86.10", f"{AT}/health/runfile": True}),
    ("gpu.driver", "gpu-1", {"driver/modules": "open", f"{AT}/health/modules": "proprietary", f"{AT}/health/runfile": True}),
    ("gpu.nouveau", "gpu-1", {f"{AT}/nouveau_loaded": True}),
    ("gpu.memory", "gpu-1/0", {f"{AT}/nvidia_smi/gpus": [{"index": 0, "memory_mib": 23034}]}),
    ("gpu.headers", "gpu-1", {f"{AT}/health/headers": "missing"}),
    ("gpu.runfile", "gpu-1", {f"{AT}/health/runfile": True}),
    ("gpu.smi", "gpu-1", {f"{AT}/nvidia_smi": {"rc": 18, "gpus": [], "error": "Driver/library version mismatch"}}),
    ("gpu.secure_boot", "gpu-1", {f"{AT}/secure_boot": True, f"{AT}/nvidia_smi": {"rc": 9, "gpus": [], "error": "no driver"}}),
    ("gpu.iommu", "gpu-1", {f"{AT}/health/iommu": "translating"}),
    ("gpu.pcie_width", f"gpu-1/{SLOTS[1]}", {f"{AT}/health/links/{SLOTS[1]}/width": 8}),
    ("gpu.pcie_speed", f"gpu-1/{SLOTS[1]}", {f"{AT}/health/links/{SLOTS[1]}/slot": 8.0}),
    ("gpu.bar", f"gpu-1/{SLOTS[1]}", {f"{AT}/health/bars/{SLOTS[1]}/1/assigned": False}),
    ("gpu.xid", "gpu-1", {f"{AT}/health/xids": [{"slot": "0000:17:00", "xid": 79, "times": 1}]}),
    ("gpu.ecc", "gpu-1/1", {f"{AT}/health/smi/1/ecc": 3}),
    ("gpu.row_remap", "gpu-1/1", {f"{AT}/health/smi/1/failed": True}),
    ("gpu.mig", "gpu-1/1", {f"{AT}/health/smi/1/mig": True}),
    ("gpu.in_use", "gpu-1/1", {f"{AT}/health/smi/1/used_mib": 30000}),
    ("gpu.fabric", "gpu-1", {f"{AT}/units/nvidia-fabricmanager": "failed"}),
    ("artifacts.locked", "inventory", {"unlocked": ["files.k3s is not locked"]}),
    ("artifacts.mirror", "http://192.0.2.2", {"mirror/error": "connection refused"}),
    ("artifacts.reachable", "files.k3s (url)", {"artifacts": {"files.k3s (url)": "HTTP 404"}}),
    ("waivers.known", "inventory", {"waivers": {"gpu.cuont": {"reason": "one is away for repair", "until": "2026-12-31"}}}),
    ("waivers.form", "os.held", {"waivers": {"os.held": "pinned by hand"}}),
    ("waivers.current", "os.held", {"waivers": {"os.held": {"reason": "pinned by hand", "until": "2026-11-23"}}}),
    ("model.fields", "models/llama", {"models/0/context_length": "8k"}),
    ("model.fields", "models/llama", {"models/0/golden_seconds": 0}),
    ("model.fields", "models/llama", {"models/0/golden_seconds": "3 s"}),
    ("model.fields", "models/llama", {"models/0/resources": "4Gi"}),
    ("model.fields", "models/llama", {"models/0/resources": {"requests": "4Gi"}}),
    ("model.fields", "models/llama", {"models/0/repo": None}),
    ("model.fields", "models/llama", {"models/0/replicas": None}),
    ("model.fields", "models/llama", {"models/0/env": "x"}),
    ("model.fields", "models/llama", {"models/0/node_selector": "x"}),
    ("model.fields", "models/llama", {"models/0/repo": 1}),
    ("model.fields", "models/llama", {"models/0/revision": int("1" * 40)}),
    ("model.fields", "models/llama", {"models/0/extra_args": "--enforce-eager"}),
    ("model.fields", "models/0", {"models": [{"repo": "org/llama"}]}),
    ("model.fields", "models/llama", {"models": [{key: value for key, value in LLAMA.items() if key != "dtype"}]}),
    ("model.repo", "models/llama", {"models/0/repo": "llama"}),
    ("model.revision", "models/llama", {"models/0/revision": "main"}),
    ("model.name", "models/vllm-a", {"models/0/name": "vllm-a"}),
    ("model.name", "models/Llama", {"models/0/name": "Llama"}),
    ("model.name", "models/gateway", {"models/0/name": "gateway"}),
    ("model.name", "models/prometheus", {"models/0/name": "prometheus"}),
    ("model.name", "models/checks", {"models/0/name": "checks"}),
    ("model.name", f"models/{'a' * 47}", {"models/0/name": "a" * 47}),
    ("model.served_name", "models/llama", {"models/0/served_name": "a|b"}),
    ("model.served_name", "models/other", {"models": [LLAMA, LLAMA | {"name": "other"}]}),
    ("model.engine", "models/llama", {"models/0/engine": "tgi"}),
    ("model.engine", "models/llama", {"models/0/gpus_per_replica": 0}),
    ("model.fields", "models/llama", {"models": [{key: value for key, value in OLLAMA.items() if key != "file"}]}),
    ("model.ollama", "models/llama", {"models": [OLLAMA | {"file": "llama-00001-of-00002.gguf"}]}),
    ("model.ollama", "models/llama", {"models": [OLLAMA | {"served_name": "a/b/c/d"}]}),
    ("model.ollama", "models/llama", {"models": [OLLAMA, LLAMA | {"name": "other", "served_name": "other"}]}),
    ("model.arguments", "models/llama", {"models": [OLLAMA | {"extra_args": ["--enforce-eager"]}]}),
    ("model.arguments", "models/llama", {"models": [OLLAMA | {"env": {"OLLAMA_HOST": "0.0.0.0"}}]}),
    ("model.gpus", "models/llama", {"models": [ON_CPU | {"node_selector": {"gpu": "true"}}]}),
    ("model.host_memory", "models/llama", {"models": [ON_CPU | {"resources": {"requests": {"memory": "64Gi"}}}]}),
    ("nfs.clients", "server-1", {"models": [ON_CPU], "storage/clients": ["192.0.2.21", "192.0.2.22"]}),
    ("model.golden_prompts", "models/llama", {"models/0/golden_prompts": []}),
    ("model.arguments", "models/llama", {"models/0/extra_args": ["--swap-space=4"]}),
    ("model.arguments", "models/llama", {"models/0/extra_args": ["--enforce-eagr"]}),
    ("model.arguments", "models/llama", {"models/0/extra_args": ["--port=9000"]}),
    ("model.arguments", "models/llama", {"models/0/extra_args": ["--runner", "pooling"]}),
    ("model.arguments", "models/llama", {"models/0/extra_args": ["--convert=embed"]}),
    ("model.arguments", "models/llama", {"models/0/extra_args": ["--api-key=secret"]}),
    ("model.arguments", "models/llama", {"models/0/env": {"VLLM_API_KEY": "secret"}}),
    ("gateway.node_port", "inventory", {"gateway/node_port": 8080}),
    ("gateway.node_port", "inventory", {"k3s_config/server": {"service-node-port-range": "31000-31999"}}),
    ("gateway.address", "inventory", {"gateway/service_type": "LoadBalancer"}),
    ("gateway.certificate", "192.0.2.11", {"certificate": "gateway.crt ended on 2026-11-23: renew it."}),
    ("model.options", "models/llama", {"models/0/golden_prompts": [{"prompt": "a"}]}),
    ("model.options", "models/llama", {"models/0/golden_prompts": [{"prompt": "a", "expect": "b", "max_token": 4}]}),
    ("model.options", "models/llama", {"models/0/resources": {"limit": {"memory": "32Gi"}}}),
    ("model.options", "models/llama", {"models/0/extra_arg": []}),
    ("model.options", "models/llama", {"models/0": {key: value for key, value in LLAMA.items() if key != "resources"}}),
    ("model.compute", "models/llama", {f"{AT}/pci_gpus": V100, "models/0/dtype": "half"}),
    ("model.dtype", "models/llama", {f"{AT}/pci_gpus": T4}),
    ("model.dtype", "models/llama", {"models/0/dtype": "half", "sizes/llama/config/model_type": "gemma3_text"}),
    ("model.tensor_parallel", "models/llama", {"models/0/gpus_per_replica": 3}),
    ("model.context", "models/llama", {"models/0/context_length": 16384}),
    ("model.quantization", "models/llama", {f"{AT}/pci_gpus": T4, "sizes/llama/config": CONFIG | {"quantization_config": MXFP4}}),
    ("model.quantization", "models/llama", {"models/0/extra_args": ["--quantization=squeezellm"]}),
    ("model.fp8", "models/llama", {"models/0/extra_args": ["--kv-cache-dtype=fp8"]}),
    ("model.memory_limit", "models/llama", {"models/0/resources": {"limits": {"memory": "20Gi"}}}),
    ("model.shm", "models/llama", {"engine/shm_size": "64Mi"}),
    ("model.gpus", "models/llama", {"models/0/replicas": 5}),
    ("model.gpus", "models/llama", {"models/0/gpus_per_replica": 4}),
    ("model.gpus", "models/llama", {"models/0/node_selector": {"pool": "h100"}}),
    ("model.placement", "models/wide", {"models": [LLAMA | {"replicas": 1}, WIDE]}),
    ("model.placement", "models/wide", {"models": [WIDE, OLLAMA]}),
    ("model.host_memory", "models/llama", {"models/0/resources": {"requests": {"memory": "250Gi"}}}),
    ("model.access", "models/llama", {"sizes/llama": {"error": "HTTP 401", "status": 401}}),
    ("model.access", "models/llama", {"sizes/llama": SIZE | {"access": 403}, "token": True}),
    ("model.size", "models/llama", {"sizes/llama": {"error": "the hub answers 503"}}),
    ("model.memory", "models/llama", {"sizes/llama/weights": 40 << 30}),
    ("model.load_time", "models/llama", {"hosts/server-1/probe/read_speed/mb_per_s": 20.0}),
    ("model.load_time", "models/llama", {"hosts/server-1/probe/interfaces/0/speed": 100}),
]  # fmt: skip
NO_SMI = {"rc": None, "gpus": [], "error": "nvidia-smi is not installed"}
UNKNOWN = [
    ("host.reachable", "gpu-1", {"hosts/gpu-1/probe": {}}),
    ("host.ssh_keys", "gpu-1", {f"{AT}/ssh_keys": []}),
    ("host.product_uuid", "gpu-1", {f"{AT}/product_uuid": "00000000-0000-0000-0000-000000000000"}),
    ("os.reboot", "gpu-1", {f"{AT}/reboot": None}),
    ("os.time_service", "gpu-1", {f"{AT}/units": {}}),
    ("os.time_synchronised", "gpu-1", {f"{AT}/clock_synchronised": None}),
    ("os.modules", "gpu-1", {f"{AT}/modules/vxlan": None}),
    ("os.nfs_client", "gpu-1", {f"{AT}/modules/nfs": None}),
    ("os.inotify", "gpu-1", {f"{AT}/inotify": {"instances": None, "watches": None}}),
    ("os.nofile", "gpu-1", {f"{AT}/nofile": None}),
    ("os.packages", "gpu-1", {f"{AT}/packages": None}),
    ("network.node_ip", "gpu-1", {f"{AT}/interfaces": []}),
    ("network.mtu", "gpu-1", {f"{AT}/interfaces": []}),
    ("network.firewall", "gpu-1", {f"{AT}/units": {}}),
    ("k3s.cgroup", "gpu-1", {f"{AT}/cgroup_version": None}),
    ("k3s.cgroup_controllers", "gpu-1", {f"{AT}/cgroup_controllers": []}),
    ("k3s.runtimes", "gpu-1", {f"{AT}/units": {}}),
    ("disk.inodes", "gpu-1", {f"{AT}/disks/|var|lib": disk(inodes=0, inodes_free=0, fstype="btrfs")}),
    ("disk.etcd", "server-1", {"hosts/server-1/probe/disks/|var|lib|rancher": disk(rotational=None)}),
    ("store.space", "server-1", {"sizes/llama": {"error": "timed out"}}),
    ("store.space", "server-1", UNMOUNTED | {"sizes/llama/store": 60 << 30}),
    ("store.space", "server-1", UNMOUNTED | {MOUNTS: [FILER | {"source": "192.0.2.9:/srv/models"}], "sizes/llama/store": 60 << 30}),
    ("store.space", "server-1", UNMOUNTED | {MOUNTS: [FILER | {"target": "/mnt"}], "sizes/llama/store": 60 << 30}),
    ("nfs.read_only", "server-1", {"hosts/server-1/probe/exports": []}),
    ("nfs.clients", "gpu-1", {"storage/clients": ["@racks"]}),
    ("gpu.smi", "gpu-1", {f"{AT}/nvidia_smi": NO_SMI}),
    ("gpu.memory", "gpu-1", {f"{AT}/nvidia_smi": NO_SMI}),
    ("gpu.fabric", "gpu-1", {f"{AT}/nvidia_smi": NO_SMI}),
    ("gpu.headers", "gpu-1", {f"{AT}/health/headers": None}),
    ("gpu.secure_boot", "gpu-1", {f"{AT}/secure_boot": None}),
    ("gpu.iommu", "gpu-1", {f"{AT}/health/iommu": None}),
    ("gpu.pcie_width", f"gpu-1/{SLOTS[0]}", {f"{AT}/health/links/{SLOTS[0]}": None}),
    ("gpu.pcie_speed", f"gpu-1/{SLOTS[0]}", {f"{AT}/health/links/{SLOTS[0]}/slot": None}),
    ("gpu.bar", f"gpu-1/{SLOTS[0]}", {f"{AT}/health/bars/{SLOTS[0]}": None}),
    ("gpu.xid", "gpu-1", {f"{AT}/health/xids": None}),
    ("gpu.ecc", "gpu-1/*", {f"{AT}/health/smi": None}),
    ("gpu.row_remap", "gpu-1/0", {f"{AT}/health/smi/0/pending": None}),
    ("model.compute", "models/llama", {"hosts/gpu-1/probe": {}, "hosts/gpu-2/probe": {}}),
    ("model.dtype", "models/llama", {"hosts/gpu-1/probe": {}, "hosts/gpu-2/probe": {}}),
    ("model.host_memory", "models/llama", {"hosts/gpu-1/probe": {}, "hosts/gpu-2/probe": {}}),
    ("model.access", "models/llama", {"sizes": {}}),
    ("model.memory", "models/llama", {"sizes": {}}),
    ("model.memory", "models/llama", {"sizes/llama/config": None}),
    ("model.memory", "models/llama", {"models/0/extra_args": ["--kv-cache-memory-bytes=4G"]}),
    ("model.tensor_parallel", "models/llama", {"sizes/llama/config": {}}),
    ("model.context", "models/llama", {"sizes/llama/config": {}}),
    ("model.quantization", "models/llama", {"sizes/llama/config": None}),
    ("model.memory_limit", "models/llama", {"sizes": {}}),
    ("model.load_time", "models/llama", {"hosts/server-1/probe/read_speed": None}),
]  # fmt: skip


def ids(table: list[tuple[str, str, Look]]) -> list[str]:
    return [f"{check}-{number}" for number, (check, _, _) in enumerate(table)]


def test_a_good_look_is_green_in_every_check(look: Look) -> None:
    others: list[Look] = [EXTERNAL, {"models": [OLLAMA]}, {"models": [ON_CPU]}]
    found = checks.judge(look) + [entry for change in others for entry in judged(good(), change)]
    assert [entry for entry in found if not entry["ok"]] == []
    assert {entry["id"] for entry in found} == CHECKS.keys()


@pytest.mark.parametrize(("check", "target", "change"), RED, ids=ids(RED))
def test_one_fault_is_named_where_it_is(look: Look, check: str, target: str, change: Look) -> None:
    found = judged(look, change)
    (red,) = [entry for entry in found if (entry["id"], entry["target"], entry["ok"]) == (check, target, False)]
    assert red["remedy"]
    assert (red in checks.refused(found)) == (red["severity"] == "required")


@pytest.mark.parametrize(
    ("host", "version", "free", "paths"),
    [
        ("server-1", None, 11000, {"/var/lib": True}),
        ("gpu-1", None, 11000, {"/var/lib": True, "/var/lib/rancher": False}),
        ("gpu-1", None, 41000, {"/var/lib": True, "/var/lib/rancher": True}),
        ("gpu-1", "v1.34.3+k3s1", 11000, {"/var/lib": True}),  # images are there
    ],
)
def test_a_new_gpu_host_needs_room_for_images(look: Look, host: str, version: str | None, free: int, paths: dict[str, bool]) -> None:
    at = f"hosts/{host}/probe"
    change = {f"{at}/k3s/version": version} | {
        f"{at}/disks/{path.replace('/', '|')}/free_mib": free for path in ("/var/lib", "/var/lib/rancher")
    }
    found = {
        entry["expected"].rpartition(" ")[2]: entry["ok"]
        for entry in judged(look, change)
        if (entry["id"], entry["target"]) == ("disk.free", host)
    }
    assert found == paths


def test_room_that_somebody_asks_for_beyond_the_images_is_asked_for(look: Look) -> None:
    change = {"hosts/gpu-1/probe/k3s/version": None, "min_free_mib": {"/var/lib/rancher": 200000}}
    (entry,) = [entry for entry in judged(look, change) if (entry["id"], entry["target"]) == ("disk.free", "gpu-1")]
    assert "200000" in entry["expected"]


@pytest.mark.parametrize(
    ("models", "ok", "seen"),
    [
        ([SMALL, LARGE], True, "room for 1 in the worst case; on the same hosts: none"),
        ([LLAMA, LARGE], False, "room for 0 in the worst case; on the same hosts: llama"),
        ([SMALL, LARGE | {"node_selector": {}}], True, "room for 1 in the worst case; on the same hosts: llama"),
        ([LLAMA, LARGE | {"replicas": 0}], True, "room for 0 in the worst case; on the same hosts: llama"),
        ([ON_CPU, WIDE], True, "room for 2 in the worst case; on the same hosts: none"),
        ([WIDE | {"replicas": 3}], True, "room for 2 in the worst case; on the same hosts: none"),  # which model.gpus refuses
    ],
)
def test_wide_replicas_want_hosts_on_which_no_others_spread(look: Look, models: list[Look], ok: bool, seen: str) -> None:
    found = judged(look, POOLS | {"models": models})
    (entry,) = [entry for entry in found if (entry["id"], entry["target"]) == ("model.placement", "models/wide")]
    assert (entry["ok"], entry["seen"]) == (ok, seen)


@pytest.mark.parametrize(
    ("model", "least"), [(LLAMA, 164), (WIDE, 186), (WIDE | {"gpus_per_replica": 8}, 204), (OLLAMA | {"gpus_per_replica": 2}, 157)]
)
def test_a_memory_limit_grows_with_the_processes_of_a_replica(look: Look, model: Look, least: int) -> None:
    weights = {"sizes": {model["name"]: SIZE | {"weights": 140 << 30}}}
    for limit, ok in ((least, True), (least - 1, False)):
        found = judged(look, weights | {"models": [model | {"resources": {"limits": {"memory": f"{limit}Gi"}}}]})
        (entry,) = [entry for entry in found if entry["id"] == "model.memory_limit"]
        assert (entry["ok"], entry["expected"]) == (ok, f"{least}Gi, for the weights to be read ahead")


@pytest.mark.parametrize("name", ["a" * 46, "gateway-a", "checks-a", "a-vllm"])
def test_a_name_that_is_taken_fits_into_every_label(look: Look, name: str) -> None:
    (entry,) = [entry for entry in judged(look, {"models/0/name": name}) if entry["id"] == "model.name"]
    assert entry["ok"]
    assert len(volumes.claim(LLAMA | {"name": name}, "192.0.2.11", "/srv/models")) <= 63


@pytest.mark.parametrize(
    ("id", "version", "seen"),
    [
        ("debian", "12", "debian 12"),
        ("debian", "13", "debian 13"),
        ("ubuntu", "24.04", "ubuntu 24.04 (tests emulate it)"),
        ("rhel", "9.4", "rhel 9.4 (tests emulate it)"),
        ("rocky", "9.6", "rocky 9.6 (tests emulate it)"),
    ],
)
def test_a_distribution_that_is_taken_says_how_it_was_tried(look: Look, id: str, version: str, seen: str) -> None:
    found = judged(look, {f"{AT}/os": {"id": id, "version_id": version}})
    (entry,) = [entry for entry in found if (entry["id"], entry["target"]) == ("os.supported", "gpu-1")]
    assert (entry["ok"], entry["seen"]) == (True, seen)


@pytest.mark.parametrize(("check", "target", "change"), UNKNOWN, ids=ids(UNKNOWN))
def test_what_was_not_seen_is_neither_green_nor_red(look: Look, check: str, target: str, change: Look) -> None:
    found = judged(look, change)
    (unknown,) = [entry for entry in found if (entry["id"], entry["target"]) == (check, target)]
    assert unknown["ok"] is None
    assert unknown["seen"]
    assert unknown not in checks.refused(found)


def test_every_check_has_a_fault_that_it_finds() -> None:
    assert {check for check, _, _ in RED} == CHECKS.keys()


def test_the_report_fits_its_schema(look: Look) -> None:
    published = json.loads((ROOT / "rackstart/schemas/preflight.schema.json").read_text())
    assert published == doctor.schema()
    found = judged(look, {f"{AT}/os": {"id": "arch", "version_id": ""}, f"{AT}/nofile": None})
    jsonschema.validate({"version": 1, "checks": found}, published)
