"""Preflight's checks, from outside: a look that is good, and one change to it that a check must find."""

import copy
import json
from pathlib import Path

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import checks, findings

ARGUMENTS = json.loads((Path(checks.__file__).parent / "vllm_0_32_0.json").read_text())["arguments"]
REVISION = "0123456789abcdef0123456789abcdef01234567"


def probe(name, gpus=0):
    return {
        "hostname": name, "machine_id": f"id-of-{name}", "os": {"id": "debian", "version_id": "12"}, "arch": "x86_64", "time_offset": 0.4,
        "addresses": [f"192.0.2.{len(name)}"], "disks": {"/var/lib": {"free_mib": 50000}, "/srv/models": {"free_mib": 50000}}, "store": {},
        "k3s": {"active": False, "containerd_templates": []}, "ports_listening": [{"protocol": "tcp", "port": 22, "process": "sshd"}],
        "pci_gpus": [{"slot": str(i)} for i in range(gpus)], "nvidia_smi": {"gpus": []}, "nouveau_loaded": False,
    }  # fmt: skip


def host(name, address, groups, gpus=0):
    taints = [{"key": "nvidia.com/gpu"}] if gpus else []
    labels = {"gpu": "true"} if gpus else {}
    return {
        "probe": probe(name, gpus), "reason": "", "address": address, "groups": groups, "gpu_count": gpus, "gpu_memory_mib": 40960,
        "labels": labels, "taints": taints,
    }  # fmt: skip


@pytest.fixture
def look():
    return {
        "hosts": {
            "server-1": host("server-1", "192.0.2.11", ["k3s_server", "storage"]),
            "gpu-1": host("gpu-1", "192.0.2.21", ["k3s_agent", "gpu"], 2),
            "gpu-2": host("gpu-2", "192.0.2.22", ["k3s_agent", "gpu"], 2),
        },
        "models": [
            {
                "name": "llama", "repo": "org/llama", "revision": REVISION, "engine": "vllm", "served_name": "llama", "replicas": 2,
                "gpus_per_replica": 1, "node_selector": {"gpu": "true"}, "context_length": 8192, "dtype": "bfloat16",
                "extra_args": ["--enforce-eager", "--max_num_seqs=64"], "golden_prompts": [{"prompt": "a", "expect": "b"}],
            }
        ],
        "sizes": {"llama": {"store": 16 << 30, "weights": 15 << 30}},
        "storage_path": "/srv/models",
        "networks": ["10.42.0.0/16", "10.43.0.0/16"],
        "arguments": ARGUMENTS,
        "unlocked": [],
        "lock_command": "python bootstrap.py --inventory site lock",
        "mirror": {"url": "http://192.0.2.2", "error": ""},
        "k3s_config": {"server": {"kubelet-arg": ["max-pods=200"]}, "agent": {}},
        "min_free_mib": {"/var/lib": 10240},
        "waivers": {},
    }  # fmt: skip


def put(look, path, value):
    *parents, last = path.split("/")
    for key in parents:
        look = look[int(key)] if isinstance(look, list) else look[key]
    look[int(last) if isinstance(look, list) else last] = value


def test_a_good_look_is_green(look):
    assert checks.refused(checks.judge(look)) == []


BAD = [
    # check, target, change to the good look: {path: value}
    ("host.reachable", "gpu-1", {"hosts/gpu-1/probe": {}, "hosts/gpu-1/reason": "no route to host"}),
    ("host.reachable", "gpu-2", {"hosts/gpu-2/probe": {}, "hosts/gpu-2/reason": "sudo: a password is required"}),
    ("host.machine_id", "gpu-1", {"hosts/gpu-1/probe/machine_id": "id-of-gpu-2"}),
    ("host.machine_id", "server-1", {"hosts/server-1/probe/machine_id": ""}),
    ("host.address", "gpu-1", {"hosts/gpu-1/address": "192.0.2.22"}),
    ("host.hostname", "gpu-1", {"hosts/gpu-1/probe/hostname": "gpu-2"}),
    ("k3s.config", "k3s_server_config", {"k3s_config/server": {"kubelet-args": ["max-pods=200"]}}),
    ("k3s.config", "k3s_agent_config", {"k3s_config/agent": {"token": "secret"}}),
    ("waivers.known", "inventory", {"waivers": {"gpu.cuont": "one is away for repair"}}),
    ("groups.storage", "inventory", {"hosts/server-1/groups": ["k3s_server"]}),
    ("groups.servers", "inventory", {"hosts/gpu-1/groups": ["k3s_server", "gpu"]}),
    ("groups.gpu", "gpu-1", {"hosts/gpu-1/groups": ["gpu"]}),
    ("groups.roles", "inventory", {"hosts/server-1/groups": ["k3s_server", "k3s_agent", "storage"]}),
    ("groups.schedulable", "inventory", {"hosts/server-1/taints": [{"key": "nvidia.com/gpu"}]}),
    ("network.ranges", "inventory", {"networks": ["10.42.0.0/16", "10.42.128.0/17"]}),
    ("network.overlap", "gpu-1", {"hosts/gpu-1/address": "10.42.3.4"}),
    ("os.supported", "gpu-1", {"hosts/gpu-1/probe/os": {"id": "ubuntu", "version_id": "24.04"}}),
    ("os.architecture", "gpu-1", {"hosts/gpu-1/probe/arch": "aarch64"}),
    ("os.clock", "gpu-1", {"hosts/gpu-1/probe/time_offset": -90.0}),
    ("disk.free", "gpu-1", {"hosts/gpu-1/probe/disks": {"/var/lib": {"free_mib": 9}}}),
    ("k3s.templates", "gpu-1", {"hosts/gpu-1/probe/k3s/containerd_templates": ["config.toml.tmpl"]}),
    ("ports.free", "server-1", {"hosts/server-1/probe/ports_listening": [{"protocol": "tcp", "port": 6443, "process": "haproxy"}]}),
    ("gpu.count", "gpu-1", {"hosts/gpu-1/probe/pci_gpus": [{"slot": "0"}]}),
    ("gpu.memory", "gpu-1/0", {"hosts/gpu-1/probe/nvidia_smi/gpus": [{"index": 0, "memory_mib": 23034}]}),
    ("store.space", "server-1", {"sizes/llama/store": 60 << 30}),
    ("artifacts.locked", "inventory", {"unlocked": ["files.k3s is not locked"]}),
    ("artifacts.mirror", "http://192.0.2.2", {"mirror/error": "connection refused"}),
    ("model.revision", "models/llama", {"models/0/revision": "main"}),
    ("model.name", "models/vllm-a", {"models/0/name": "vllm-a"}),
    ("model.name", "models/Llama", {"models/0/name": "Llama"}),
    ("model.engine", "models/llama", {"models/0/engine": "tgi"}),
    ("model.golden_prompts", "models/llama", {"models/0/golden_prompts": []}),
    ("model.arguments", "models/llama", {"models/0/extra_args": ["--swap-space=4"]}),
    ("model.arguments", "models/llama", {"models/0/extra_args": ["--enforce-eagr"]}),
    ("model.arguments", "models/llama", {"models/0/extra_args": ["--port=9000"]}),
    ("model.gpus", "models/llama", {"models/0/replicas": 5}),
    ("model.gpus", "models/llama", {"models/0/gpus_per_replica": 4}),
    ("model.gpus", "models/llama", {"models/0/node_selector": {"pool": "h100"}}),
    ("model.memory", "models/llama", {"sizes/llama/weights": 40 << 30}),
]


@pytest.mark.parametrize(("check", "target", "change"), BAD, ids=[f"{check}-{n}" for n, (check, _, _) in enumerate(BAD)])
def test_one_fault_is_named_where_it_is(look, check, target, change):
    for path, value in change.items():
        put(look, path, copy.deepcopy(value))
    red = checks.refused(checks.judge(look))
    assert (check, target) in [(entry["id"], entry["target"]) for entry in red]
    assert all(entry["remedy"] and entry["expected"] for entry in red)


def test_a_near_argument_is_offered(look):
    look["models"][0]["extra_args"] = ["--enforce-eagr"]
    (red,) = checks.refused(checks.judge(look))
    assert "--enforce-eager" in red["remedy"]


def test_a_waiver_lets_a_run_go_on_and_is_kept_in_the_report(look):
    look["hosts"]["gpu-1"]["probe"]["os"] = {"id": "ubuntu", "version_id": "24.04"}
    look["waivers"] = {"os.supported": "tried by hand"}
    found = checks.judge(look)
    assert checks.refused(found) == []
    assert [entry["waived"] for entry in found if entry["id"] == "os.supported" and not entry["ok"]] == ["tried by hand"]


def test_a_published_revision_needs_no_space(look):
    look["sizes"]["llama"]["store"] = 60 << 30
    look["hosts"]["server-1"]["probe"]["store"] = {f"/srv/models/org/llama/{REVISION}": {"files": 3}}
    assert checks.refused(checks.judge(look)) == []


def test_what_k3s_itself_holds_is_free(look):
    look["hosts"]["server-1"]["probe"]["k3s"]["active"] = True
    look["hosts"]["server-1"]["probe"]["ports_listening"] = [{"protocol": "tcp", "port": 6443, "process": "k3s"}]
    look["hosts"]["server-1"]["probe"]["addresses"] = ["192.0.2.11", "10.42.0.1"]
    assert checks.refused(checks.judge(look)) == []


def test_the_table_names_the_checks_that_there_are(look):
    look["hosts"]["gpu-1"]["probe"]["nvidia_smi"]["gpus"] = [{"index": 0, "memory_mib": 40960}]
    found = checks.judge(look)
    look["sizes"]["llama"] = {"error": "the hub answers 401"}
    assert {entry["id"] for entry in found + checks.judge(look)} == findings.CHECKS.keys()
