"""Kubernetes objects of Prometheus itself: what it may read, where it keeps what it has seen, and its one replica."""

from __future__ import annotations

import json
import typing as t

import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import pods, scraping

Object = dict[str, t.Any]

NAME = "prometheus"
LABELS = pods.labels(NAME, "monitoring")
MATCH = pods.selector(LABELS)
PORT = 9090
USER = 65534  # nobody, as in the official image
DATA, FOLDER = "/prometheus", "/etc/prometheus"
CONFIG, LOADED = "prometheus.yml", "loaded.yml"
MARK = "rackstart:files_loaded"  # record whose label `mark` says of which files it was loaded
RBAC = "rbac.authorization.k8s.io"
ACCOUNT_NAME = "rackstart-prometheus"


class Settings(t.TypedDict):
    """image, checks_image: pinned by digest; rules, dashboards: text by file; storage_class: none for the node's own disk.

    claims: of each model's weights; retention: as Prometheus takes it; labels: of what the operator shall find;
    operator_namespace: where its Prometheus runs; nodes_away: of which nothing is expected.
    """

    image: str
    checks_image: str
    claims: dict[str, str]
    script: str
    rules: dict[str, str]
    dashboards: dict[str, str]
    storage_class: str
    storage_gib: int
    retention: str
    alertmanagers: list[str]
    labels: dict[str, str]
    operator_namespace: str
    nodes_away: list[str]


def text(item: Object) -> str:
    """As YAML, by way of JSON: Ansible's strings are none of YAML's."""
    return yaml.safe_dump(json.loads(json.dumps(item)), sort_keys=False)


def meta(name: str = NAME, namespace: str | None = pods.NAMESPACE) -> Object:
    """Metadata of an object."""
    return {"name": name, **({"namespace": namespace} if namespace else {}), "labels": LABELS}


def config_map(name: str, data: dict[str, str]) -> Object:
    """Files. data: text by name."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(name), "data": data}


def _role(kind: str, namespace: str | None, rules: list[Object]) -> list[Object]:
    """A role, and that Prometheus has it."""
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": pods.NAMESPACE}
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": meta(ACCOUNT_NAME, namespace), "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": meta(ACCOUNT_NAME, namespace),
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": ACCOUNT_NAME},
            "subjects": [subject],
        },
    ]


def access() -> list[Object]:
    """The service account, which may find nodes and the pods of two namespaces, and read the metrics of nodes and API servers."""
    found = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    namespaces = sorted({job.namespace for job in scraping.JOBS.values() if isinstance(job, scraping.Pods)})
    everywhere = [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta()},
        *(item for namespace in namespaces for item in _role("Role", namespace, found)),
        *_role("ClusterRole", None, everywhere),
    ]


def _storage(settings: Settings) -> tuple[list[Object], Object]:
    """The claim, if there is one, and the pod's volume. A rack has no storage class of its own: k3s' is switched off."""
    size = f"{settings['storage_gib']}Gi"
    if not settings["storage_class"]:
        return [], {"name": "data", "emptyDir": {"sizeLimit": size}}
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": settings["storage_class"], "resources": {"requests": {"storage": size}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta(), "spec": spec}
    return [claim], {"name": "data", "persistentVolumeClaim": {"claimName": NAME}}


def _container(settings: Settings) -> Object:
    probe = {"httpGet": {"path": "/-/ready", "port": "http"}, "timeoutSeconds": 5}
    return {
        "name": NAME,
        "image": settings["image"],
        "command": [
            "prometheus",
            f"--config.file={FOLDER}/{CONFIG}",
            "--config.auto-reload",
            "--config.auto-reload-interval=10s",
            f"--storage.tsdb.path={DATA}",
            f"--storage.tsdb.retention.time={settings['retention']}",
            # What is newest is not counted in it.
            f"--storage.tsdb.retention.size={settings['storage_gib'] * 1024 * 3 // 4}MB",
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": probe | {"periodSeconds": 5},
        "livenessProbe": probe | {"httpGet": {"path": "/-/healthy", "port": "http"}, "periodSeconds": 10, "failureThreshold": 6},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": pods.CONTAINER_SECURITY | {"readOnlyRootFilesystem": True},
        "volumeMounts": [
            # Whole, in one piece: the kubelet renews no subPath, and two volumes not at once.
            {"name": "files", "mountPath": FOLDER, "readOnly": True},
            {"name": "data", "mountPath": DATA},
        ],
    }


def mark(files: t.Mapping[str, str]) -> str:
    """Tells these files from others. files: text by name, with or without the one that holds the mark."""
    return pods.mark(*(part for name in sorted(files) if name != LOADED for part in (name, files[name])))


def _files(rules: dict[str, str], settings: Settings) -> dict[str, str]:
    config = text(scraping.configuration(settings["alertmanagers"], sorted([*rules, LOADED])))
    files = {CONFIG: config, **rules}
    record = {"record": MARK, "expr": "vector(1)", "labels": {"mark": mark(files)}}
    return files | {LOADED: text({"groups": [{"name": "rackstart-loaded", "rules": [record]}]})}


def objects(rules: dict[str, str], settings: Settings) -> list[Object]:
    """Everything of it, in the order to apply it. rules: text by file."""
    claim, data = _storage(settings)
    spec = {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "securityContext": pods.POD_SECURITY | {"runAsUser": USER, "runAsGroup": USER, "fsGroup": USER},
        "terminationGracePeriodSeconds": 60,
        "containers": [_container(settings)],
        "volumes": [{"name": "files", "configMap": {"name": NAME}}, data],
    }
    deployment = {
        "replicas": 1,
        "selector": {"matchLabels": MATCH},
        "strategy": {"type": "Recreate"},  # two at once would write to one volume
        "revisionHistoryLimit": 3,
        "template": {"metadata": {"labels": LABELS}, "spec": spec},
    }
    port = {"name": "http", "protocol": "TCP", "port": PORT, "targetPort": "http"}
    return [
        *access(),
        config_map(NAME, _files(rules, settings)),
        *claim,
        {"apiVersion": "v1", "kind": "Service", "metadata": meta(), "spec": {"type": "ClusterIP", "selector": MATCH, "ports": [port]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(), "spec": deployment},
    ]
