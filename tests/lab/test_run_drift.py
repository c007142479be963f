"""Whatever the roles manage, altered by hand, is named by a dry run, named by the next run, and as it was after it."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client import AppsV1Api, CoreV1Api, PolicyV1Api
from kubernetes.dynamic import DynamicClient

from tests.lab.drive import MODEL, Finished, api, on

pytestmark = pytest.mark.lab

Bootstrap = Callable[..., Finished]
Alteration = tuple[str, str, str, str]  # stage that mends it, host, shell command, what is reported (a regular expression)

ETC, K3S, UNITS, APT = "/etc", "/etc/rancher/k3s", "/etc/systemd/system", "/etc/apt"
REVISION = f"/srv/models/{MODEL['repo']}/{MODEL['revision']}"
TOKENS = "k3s_node : Write tokens, registries and proxies, which may hold secrets"  # and so not by name

FILES = [
    ("host", "gpu-1", f"{APT}/apt.conf.d/90rackstart-proxy"),
    ("host", "gpu-1", f"{ETC}/systemd/system.conf.d/rackstart-proxy.conf"),
    ("host", "gpu-2", f"{ETC}/modules-load.d/rackstart.conf"),
    ("host", "gpu-2", f"{ETC}/sysctl.d/90-rackstart.conf"),
    ("host", "server-1", f"{ETC}/rackstart-firewall.nft"),
    ("host", "gpu-1", f"{UNITS}/rackstart-firewall.service"),
    ("storage", "server-1", f"{ETC}/ganesha/ganesha.conf"),
    ("models", "server-1", "/opt/rackstart/model-store/requirements.txt"),
    ("driver", "gpu-2", f"{ETC}/modprobe.d/rackstart-nouveau.conf"),
    ("driver", "gpu-2", f"{APT}/sources.list.d/rackstart-nvidia-driver.sources"),
    ("driver", "gpu-2", f"{APT}/preferences.d/rackstart-nvidia-driver"),
    ("driver", "gpu-1", f"{APT}/sources.list.d/rackstart-nvidia-container-toolkit.sources"),
    ("control_plane", "server-1", f"{K3S}/config.yaml"),
    ("control_plane", "server-1", f"{K3S}/config.yaml.d/registration.yaml"),
    ("control_plane", "server-1", f"{UNITS}/k3s.service"),
    ("nodes", "gpu-1", f"{K3S}/config.yaml"),
    ("nodes", "gpu-1", f"{UNITS}/k3s-agent.service"),
]
ALTERATIONS: list[Alteration] = [
    *((stage, host, f"echo '# by hand' >>{path}; chmod 666 {path}", path) for stage, host, path in FILES),
    ("host", "gpu-1", "hostname by-hand; echo by-hand >/etc/hostname", "host : Set the host name"),
    ("host", "gpu-2", "sed -i /^127.0.1.1/d /etc/hosts", "host : Resolve the host name locally"),
    ("host", "gpu-2", "systemctl disable --now rackstart-firewall", "rackstart-firewall.service enabled, "),
    ("host", "server-1", "dpkg --remove nftables", "host : Install packages"),
    ("storage", "server-1", "systemctl mask --now nfs-ganesha", "nfs-ganesha.service unmasked"),
    ("models", "server-1", f"echo >>{REVISION}/config.json", "model_store : (Verify what is published|Publish what is missing)"),
    ("driver", "gpu-1", "systemctl stop nvidia-persistenced", "nvidia-persistenced.service started"),
    ("driver", "gpu-1", f"echo >>{APT}/keyrings/rackstart-nvidia-driver.asc", "nvidia_driver : Fetch the repository's key"),
    ("driver", "gpu-2", f"chmod 600 {APT}/keyrings/rackstart-nvidia-container-toolkit.asc", "nvidia_container_toolkit : Fetch"),
    ("driver", "gpu-1", "apt-mark unhold nvidia-driver-cuda", "nvidia_driver : Hold the driver"),
    ("driver", "gpu-2", "apt-mark unhold nvidia-container-toolkit", "nvidia_container_toolkit : Hold the toolkit"),
    ("control_plane", "server-1", "cp /usr/local/bin/k3s /x; echo >>/x; mv /x /usr/local/bin/k3s", "k3s_node : Install the k3s binary"),
    ("control_plane", "server-1", f"echo by-hand >{K3S}/agent-token", TOKENS),
    ("nodes", "gpu-1", f"chmod 644 {K3S}/registries.yaml", TOKENS),
    ("nodes", "gpu-2", f"echo X=1 >>{UNITS}/k3s-agent.service.env; systemctl disable k3s-agent", TOKENS),
    ("nodes", "gpu-2", "systemctl disable k3s-agent", "k3s-agent.service enabled"),
]  # fmt: skip

# Every kind that is applied, and the stage that applies it.
OBJECTS = {
    ("v1", "Namespace"): "volumes",
    ("v1", "PersistentVolume"): "volumes",
    ("v1", "PersistentVolumeClaim"): "volumes",
    ("v1", "ServiceAccount"): "inference",
    ("apps/v1", "DaemonSet"): "volumes",
    ("apps/v1", "Deployment"): "inference",
    ("v1", "Service"): "inference",
    ("v1", "ConfigMap"): "gateway",
    ("v1", "Secret"): "gateway",
    ("networking.k8s.io/v1", "NetworkPolicy"): "gateway",
    ("policy/v1", "PodDisruptionBudget"): "inference",
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): "monitoring",
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): "monitoring",
    ("rbac.authorization.k8s.io/v1", "Role"): "monitoring",
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): "monitoring",
    ("helm.cattle.io/v1", "HelmChart"): "gpu_operator",
}
NAMED = {
    "prepull-vllm": "inference",
    "engine-key": "inference",
    "engines": "inference",
    "gateway": "gateway",
    **dict.fromkeys(("checks", "dashboards", "prometheus"), "monitoring"),
    "gpu-operator": "gpu_operator",
}  # objects that another stage applies than most of their kind


def managed() -> list[tuple[Any, str]]:
    """(object, stage) of each object that the roles applied, found by who the server says has applied it."""
    client = DynamicClient(api())
    found = []
    for (version, kind), stage in OBJECTS.items():
        resource = client.resources.get(api_version=version, kind=kind)
        ours = [item for item in resource.get().items if any(entry.manager == "rackstart" for entry in item.metadata.managedFields or [])]
        assert ours, f"nothing of kind {kind}"
        found += [((resource, item), NAMED.get(item.metadata.name, stage)) for item in ours]
    return found


def label(resource: Any, item: Any) -> None:
    """Label an object by hand, as kubectl and clients do."""
    meta = item.metadata
    patch = {"metadata": {"labels": {"by-hand": "true"}}}
    resource.patch(body=patch, name=meta.name, namespace=meta.namespace, content_type="application/merge-patch+json")


def alter_objects() -> set[tuple[str, str]]:
    """Write to every object; (stage, KIND/NAME) of each."""
    expected = set()
    for (resource, item), stage in managed():
        label(resource, item)
        expected.add((stage, f"{item.kind}/{item.metadata.name}"))
    name, namespace = MODEL["name"], "llm"
    AppsV1Api(api()).patch_namespaced_deployment_scale(name, namespace, {"spec": {"replicas": 1}})
    CoreV1Api(api()).patch_namespaced_service(name, namespace, {"spec": {"sessionAffinity": "ClientIP"}})
    PolicyV1Api(api()).patch_namespaced_pod_disruption_budget(name, namespace, {"spec": {"maxUnavailable": 2}})
    CoreV1Api(api()).patch_node("gpu-1", {"metadata": {"labels": {"gpu": None}}})
    CoreV1Api(api()).patch_node("gpu-2", {"spec": {"taints": None}})
    return expected | {("labels", "Node/gpu-1, Node/gpu-2")}


def missing(expected: set[tuple[str, str, str]], run: Finished) -> set[tuple[str, str, str]]:
    """What of the alterations, (stage, what, host), a run does not name."""
    return {
        (stage, what, host)
        for stage, what, host in expected
        if not any(stage == seen and host == where and re.search(what, task) for seen, task, where in run.changes)
    }


def test_all_of_it_at_once(cluster: str, bootstrap: Bootstrap) -> None:
    expected = {(stage, what, "localhost") for stage, what in alter_objects()}
    for stage, host, command, what in ALTERATIONS:
        on(host, command)
        expected.add((stage, what, host))

    verify = bootstrap("--inventory", "lab", "verify", "--json")
    assert verify.code == 4, verify
    assert verify.red >= {("node.labels", "labels"), ("replica.count", "inference")}

    dry = bootstrap("--inventory", "lab", "check", "--json")
    assert missing(expected, dry) == set(), dry

    mended = bootstrap("--inventory", "lab", "--json")
    assert mended.code == 0, mended
    assert missing(expected, mended) == set(), mended
    assert mended.json["verdict"]["green"]

    after = bootstrap("--inventory", "lab", "check")
    assert after.code == 0, after
    assert after.out.strip() == "nothing would change"


@pytest.mark.chaos
@pytest.mark.parametrize(("stage", "host", "command", "what"), ALTERATIONS, ids=[f"{host}: {what}" for _, host, _, what in ALTERATIONS])
def test_each_alone(cluster: str, bootstrap: Bootstrap, stage: str, host: str, command: str, what: str) -> None:
    on(host, command)
    mended = bootstrap("--inventory", "lab", "--only", stage, "--json")
    assert mended.code == 0, mended
    assert missing({(stage, what, host)}, mended) == set(), mended
    again = bootstrap("--inventory", "lab", "--only", stage, "--json")
    assert again.changes == set(), again


@pytest.mark.chaos
def test_each_object_alone(cluster: str, bootstrap: Bootstrap) -> None:
    for (resource, item), stage in managed():
        label(resource, item)
        mended = bootstrap("--inventory", "lab", "--only", stage, "--json")
        assert mended.code == 0, mended
        assert missing({(stage, f"{item.kind}/{item.metadata.name}", "localhost")}, mended) == set(), mended
        found = resource.get(name=item.metadata.name, namespace=item.metadata.namespace)
        assert "by-hand" not in dict(found.metadata.labels or {})
