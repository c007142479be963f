"""The role (roles/monitoring/) on a real API server: applied, again, with Prometheus' operator in the cluster, and without it again.

No pod ever runs there, so that nothing is waited for but what is removed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import programs
import pytest
import yaml

from rackstart.paths import ROOT
from tests.loopback import free, program

DIGEST = "@sha256:" + "0" * 64
PLAY = {
    "hosts": "localhost",
    "gather_facts": False,
    "vars": {
        "ansible_python_interpreter": sys.executable,
        "monitoring_image": f"prometheus{DIGEST}",
        "monitoring_checks_image": f"busybox{DIGEST}",
        "monitoring_models": [{"name": "tiny", "replicas": 2, "engine": "vllm", "gpus_per_replica": 1}],
        "monitoring_claims": {"tiny": "weights-tiny-0a"},
        "monitoring_timeout": 0,
    },
    "tasks": [{"name": "Collect metrics", "ansible.builtin.import_role": {"name": "monitoring", "tasks_from": "serve"}}],
}
OWN = {"Deployment/prometheus", "Service/prometheus", "ServiceAccount/prometheus", "ConfigMap/prometheus"}
POLICIES = {"NetworkPolicy/operator-inference", "NetworkPolicy/operator-gateway", "NetworkPolicy/operator-checks"}
OPERATORS = {"PodMonitor/inference", "PodMonitor/gateway", "PodMonitor/checks", "PrometheusRule/rackstart"} | POLICIES


def kind(name: str) -> dict[str, Any]:
    """As much of a kind of Prometheus' operator as the API server needs to keep its objects."""
    plural = f"{name.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": name, "plural": plural, "singular": name.lower()},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


class Role:
    def __init__(self, kubectl: programs.Kubectl) -> None:
        self.kubectl, self.playbook = kubectl, kubectl.folder / "play.yml"
        self.playbook.write_text(yaml.safe_dump([PLAY]))
        cluster = {"server": f"https://{programs.LOOPBACK}:6443", "certificate-authority": str(kubectl.folder / "ca.crt")}
        config = {
            "clusters": [{"name": "one", "cluster": cluster}],
            "users": [{"name": "one", "user": {"token": programs.ADMIN}}],
            "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
            "current-context": "one",
        }
        (kubectl.folder / "kubeconfig").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))

    def run(self, *arguments: str) -> set[str]:
        """Objects that it changed."""
        environment = os.environ | {
            "K8S_AUTH_KUBECONFIG": str(self.kubectl.folder / "kubeconfig"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        }
        command = ["ansible-playbook", "-i", "localhost,", "-c", "local", *arguments, self.playbook]
        done = subprocess.run(command, env=environment, cwd=self.kubectl.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        tasks = json.loads(done.stdout)["plays"][0]["tasks"]
        return {name for task in tasks for name in task["hosts"]["localhost"].get("changes", [])}


@pytest.fixture
def role(tmp_path: Path) -> Iterator[Role]:
    with programs.api_server(tmp_path, (free(), free())) as kubectl:
        kubectl("create", "namespace", "gpu-operator")
        role = Role(kubectl)
        flags = [f"--kubeconfig={tmp_path / 'kubeconfig'}", "--controllers=garbage-collector-controller", "--leader-elect=false"]
        collector = [kubectl.binary, "component", "kube-controller-manager", *flags, "--bind-address=127.0.0.1", f"--secure-port={free()}"]
        with program(tmp_path / "collector.log", *collector):
            yield role


def test_it_is_applied_once_and_gives_way_to_the_operator(role: Role) -> None:
    assert role.run() > OWN | {"Deployment/checks", "ClusterRole/rackstart-prometheus"}
    assert role.run() == set()
    for name in ("PodMonitor", "PrometheusRule"):
        role.kubectl("create", "-f", "-", given=kind(name))
        role.kubectl("wait", "--for=condition=Established", f"crd/{name.lower()}s.monitoring.coreos.com", "--timeout=60s")
    assert role.run("--check") == OWN | OPERATORS
    assert "deletionTimestamp" not in role.kubectl("get", "deployment", "prometheus", "-n", "llm", "-o", "yaml")
    assert role.run() == OWN | OPERATORS
    assert role.run() == set()
    left = set(role.kubectl("get", "deployments,services", "-n", "llm", "-o", "name").split())
    assert left == {"deployment.apps/checks"}
    role.kubectl("delete", "crd", "podmonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com")
    assert role.run() == OWN | POLICIES
