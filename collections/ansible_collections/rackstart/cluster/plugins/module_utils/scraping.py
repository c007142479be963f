"""What Prometheus scrapes, and which series of it are kept: as prometheus.yml, and as the operator's PodMonitors. Pure functions."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import engines, gateway_objects, pods

Object = dict[str, t.Any]

INTERVAL = "30s"
CHECKS_PORT, CHECKS_PATH = 9101, "/metrics.txt"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
COMPONENT = "app.kubernetes.io/component"
POD = "__meta_kubernetes_pod_"


@dataclasses.dataclass(frozen=True)
class Pods:
    """Pods with metrics. keep: regular expression of the series' names; labels: of the target, by where Kubernetes says it."""

    selector: str
    port: int
    port_name: str
    path: str = "/metrics"
    namespace: str = pods.NAMESPACE
    keep: str = ".+"
    labels: dict[str, str] = dataclasses.field(default_factory=lambda: {"pod": f"{POD}name", "node": f"{POD}node_name"})


@dataclasses.dataclass(frozen=True)
class Nodes:
    """Ports of nodes, over TLS, for who has a token that says so."""

    port: int
    path: str
    keep: str
    selector: str = ""


MODEL = {"model": f"{POD}label_app_kubernetes_io_name", "pod": f"{POD}name", "node": f"{POD}node_name"}
JOBS: dict[str, Pods | Nodes] = {
    "inference": Pods(f"{engines.ENGINE}=vllm", engines.PORT, "http", labels=MODEL, keep="vllm:.+"),
    "gateway": Pods(f"{COMPONENT}=gateway", gateway_objects.HEALTH_PORT, "health", keep="haproxy_(frontend|backend|process)_.+"),
    "checks": Pods(f"{COMPONENT}=checks", CHECKS_PORT, "metrics", CHECKS_PATH),
    # The series' own labels pod and namespace are those of who uses the GPU.
    "dcgm": Pods("app=nvidia-dcgm-exporter", 9400, "metrics", namespace="gpu-operator", labels={"node": f"{POD}node_name"}, keep="DCGM_.+"),
    "kubelet": Nodes(10250, "/metrics", "kubelet_volume_stats_.+"),
    "cadvisor": Nodes(10250, "/metrics/cadvisor", "container_(fs_usage|fs_limit|memory_working_set)_bytes|machine_memory_bytes"),
    "apiserver": Nodes(
        6443,
        "/metrics",
        "apiserver_client_certificate_expiration_seconds_.+|apiserver_storage_size_bytes|etcd_request.+",
        "node-role.kubernetes.io/control-plane=true",
    ),
}  # fmt: skip


def _filter(keep: str) -> list[Object]:
    return [{"source_labels": ["__name__"], "regex": keep, "action": "keep"}] if keep != ".+" else []


def label(name: str) -> str:
    """What the series of a job say of it. A Prometheus that others use too may have a job `gateway` of theirs."""
    job = JOBS[name]
    if not isinstance(job, Pods):
        return name
    # The GPU Operator's ServiceMonitor takes it from the label `app`.
    return f"rackstart-{name}" if name in of_ours() else match(job)["app"]


def _labels(name: str, job: Pods) -> list[Object]:
    renamed = [{"target_label": "job", "replacement": label(name)}] if label(name) != name else []
    return renamed + [{"source_labels": [source], "target_label": target} for target, source in job.labels.items()]


def _of_pods(name: str, job: Pods) -> Object:
    discovery = {"role": "pod", "namespaces": {"names": [job.namespace]}, "selectors": [{"role": "pod", "label": job.selector}]}
    relabel = [
        {"source_labels": [f"{POD}container_port_number"], "regex": str(job.port), "action": "keep"},
        # Of a pod that has ended no metrics are to be had.
        {"source_labels": [f"{POD}phase"], "regex": "Succeeded|Failed", "action": "drop"},
        *_labels(name, job),
    ]
    scrape = {"job_name": name, "metrics_path": job.path, "kubernetes_sd_configs": [discovery], "relabel_configs": relabel}
    return scrape | {"metric_relabel_configs": _filter(job.keep)}


def _of_nodes(name: str, job: Nodes) -> Object:
    discovery: Object = {"role": "node"} | ({"selectors": [{"role": "node", "label": job.selector}]} if job.selector else {})
    address = "__meta_kubernetes_node_address_InternalIP"
    return {
        "job_name": name,
        "scheme": "https",
        "metrics_path": job.path,
        "authorization": {"credentials_file": f"{ACCOUNT}/token"},
        # k3s signs both servers' certificates by the authority that every pod is given.
        "tls_config": {"ca_file": f"{ACCOUNT}/ca.crt"},
        "kubernetes_sd_configs": [discovery],
        "relabel_configs": [
            {"source_labels": [address], "target_label": "__address__", "replacement": f"$1:{job.port}"},
            {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "node"},
        ],
        "metric_relabel_configs": _filter(job.keep),
    }


def configuration(alertmanagers: list[str], rules: t.Iterable[str] = ()) -> Object:
    """prometheus.yml. alertmanagers: HOST:PORT of each; rules: names of the files that lie beside it."""
    alerting = {"alerting": {"alertmanagers": [{"static_configs": [{"targets": alertmanagers}]}]}} if alertmanagers else {}
    return {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        **alerting,
        "rule_files": list(rules),
        "scrape_configs": [_of_pods(name, job) if isinstance(job, Pods) else _of_nodes(name, job) for name, job in JOBS.items()],
    }


def match(job: Pods) -> dict[str, str]:
    """The job's selector as labels."""
    return dict([job.selector.split("=")])


def of_ours() -> dict[str, Pods]:
    """Jobs of our own pods, by name."""
    return {name: job for name, job in JOBS.items() if isinstance(job, Pods) and job.namespace == pods.NAMESPACE}


def _monitor(name: str, job: Pods, extra_labels: dict[str, str]) -> Object:
    names = {"source_labels": "sourceLabels", "target_label": "targetLabel"}

    def camel(rules: list[Object]) -> list[Object]:
        return [{names.get(key, key): value for key, value in rule.items()} for rule in rules]

    endpoint = {"port": job.port_name, "path": job.path, "interval": INTERVAL, "relabelings": camel(_labels(name, job))}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": name, "namespace": pods.NAMESPACE, "labels": pods.labels(name, "monitoring") | extra_labels},
        "spec": {
            "selector": {"matchLabels": match(job)},
            "podMetricsEndpoints": [endpoint | {"metricRelabelings": camel(_filter(job.keep))}],
        },
    }


def pod_monitors(extra_labels: dict[str, str]) -> list[Object]:
    """The same of our own pods for Prometheus' operator; its own stack has kubelets and API servers, the GPU Operator its exporter."""
    return [_monitor(name, job, extra_labels) for name, job in of_ours().items()]
