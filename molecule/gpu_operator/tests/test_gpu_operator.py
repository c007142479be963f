"""Role gpu_operator: what the cluster offers after it."""

import json
from collections.abc import Callable

import yaml
from testinfra.host import Host

Run = Callable[[Host, str], tuple[int, str]]


def test_the_nodes_gpus_can_be_asked_for(host: Host, as_root: Run) -> None:
    code, text = as_root(host, "k3s kubectl get node mol-gpu --output=json")
    assert code == 0, text
    assert json.loads(text)["status"]["allocatable"]["nvidia.com/gpu"] == "2"


def test_the_operator_is_ready_and_leaves_driver_and_toolkit_to_the_hosts(host: Host, as_root: Run) -> None:
    code, text = as_root(host, "k3s kubectl get clusterpolicy cluster-policy --output=json")
    assert code == 0, text
    policy = json.loads(text)
    assert policy["status"]["state"] == "ready"
    assert policy["spec"]["driver"]["enabled"] is False
    assert policy["spec"]["toolkit"]["enabled"] is False


def test_the_chart_is_told_what_the_hosts_need(host: Host, as_root: Run) -> None:
    code, text = as_root(host, "k3s kubectl --namespace=kube-system get helmchart gpu-operator --output=json")
    assert code == 0, text
    values = yaml.safe_load(json.loads(text)["spec"]["valuesContent"])
    assert values["cdi"] == {"enabled": True, "nriPluginEnabled": False}
    assert values["operator"]["runtimeClass"] == "nvidia"
    assert (values["operator"]["cleanupCRD"], values["operator"]["upgradeCRD"]) == (False, True)
    assert values["migManager"]["enabled"] is False
    assert values["dcgmExporter"]["serviceMonitor"]["enabled"] is False  # nothing of Prometheus' operator is here
    gpu = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    server = {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}
    assert values["daemonsets"]["tolerations"] == [gpu]
    assert values["operator"]["tolerations"] == [server]
    assert values["node-feature-discovery"]["worker"]["tolerations"] == [server, gpu]


def test_a_gpu_that_is_not_offered_is_missed(converge: Callable[..., tuple[int, str]]) -> None:
    three = {"mol-gpu": {"boot": "", "driver": "", "uuids": ["GPU-a", "GPU-b", "GPU-c"]}}
    code, said = converge(gpu_operator_gpus=three, gpu_operator_timeout=5)
    assert code != 0
    assert "mol-gpu offers 2 of 3" in said.partition("fatal:")[2]


def test_a_pod_gets_a_gpu(host: Host, as_root: Run) -> None:
    spec = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one-gpu", "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "runtimeClassName": "nvidia",
            "containers": [
                {
                    "name": "look",
                    "image": "docker.io/library/busybox:1.37.0",
                    "command": ["sh", "-c", "env | grep ^NVIDIA_VISIBLE_DEVICES="],
                    "resources": {"limits": {"nvidia.com/gpu": "1"}},
                }
            ],
        },
    }
    kubectl = "k3s kubectl"
    code, text = as_root(host, f"echo '{json.dumps(spec)}' | {kubectl} apply --filename=-")
    assert code == 0, text
    try:
        wait = "wait pod/one-gpu --for=jsonpath='{.status.phase}'=Succeeded --timeout=60s"
        code, text = as_root(host, f"{kubectl} {wait}")
        assert code == 0, as_root(host, f"{kubectl} describe pod one-gpu")
        assert as_root(host, f"{kubectl} logs one-gpu")[1].startswith("NVIDIA_VISIBLE_DEVICES=")
    finally:
        as_root(host, f"{kubectl} delete pod one-gpu --now")


def test_every_gpu_was_proven_and_no_pod_of_it_is_left(host: Host, as_root: Run) -> None:
    code, text = as_root(host, "k3s kubectl get node mol-gpu --output=json")
    assert code == 0, text
    assert len(json.loads(text)["metadata"]["annotations"]["rackstart.dev/gpu-smoke"]) == 64
    code, text = as_root(host, "k3s kubectl get pods --namespace=gpu-operator --selector=app.kubernetes.io/name=gpu-smoke --output=json")
    assert code == 0, text
    assert json.loads(text)["items"] == []
