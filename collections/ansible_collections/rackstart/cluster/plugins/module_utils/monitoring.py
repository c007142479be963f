"""Kubernetes objects of the monitoring: Prometheus of our own, or what Prometheus' operator takes where its kinds are."""

from __future__ import annotations

import typing as t

import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import checks_objects, engines, pods, prometheus_objects, scraping

Object = dict[str, t.Any]
Settings = prometheus_objects.Settings
WATCHDOG = "rackstart-watchdog"  # group of rules; kube-prometheus-stack has the same alert, and sends it nowhere by default


def declared(models: list[Object], away: t.Sequence[str] = ()) -> Object:
    """Rules that say how many replicas of each model are declared, how many are ready, and which nodes are away by somebody's word."""
    # Also where there is no model: Prometheus drops a group without rules.
    rules: list[Object] = [{"record": "rackstart:models_declared", "expr": f"vector({len(models)})"}]
    for model in models:
        # As the gateway finds them: of vLLM a page of metrics says nothing of that, and Ollama has none. Silent without a gateway, which
        # has its own alert.
        ready = f'max(haproxy_backend_active_servers{{job="{scraping.label("gateway")}", proxy="{model["name"]}"}})'
        records = {"model:replicas_declared": f"vector({int(model['replicas'])})", "model:replicas_up": ready}
        rules += [{"record": name, "expr": expression, "labels": {"model": model["name"]}} for name, expression in records.items()]
    rules += [{"record": "rackstart:node_away", "expr": "vector(1)", "labels": {"node": node}} for node in away]
    return {"groups": [{"name": "rackstart-declared", "rules": rules}]}


def _to_operator(name: str, job: scraping.Pods, namespace: str) -> Object:
    """A policy that lets Prometheus in that namespace read one job's pods. Any pod could bear its label, and reach a whole engine by it."""
    selectors = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
    }
    ingress = [{"from": [selectors], "ports": [{"protocol": "TCP", "port": job.port}]}]
    spec = {"podSelector": {"matchLabels": scraping.match(job)}, "policyTypes": ["Ingress"], "ingress": ingress}
    metadata = prometheus_objects.meta(f"operator-{name}")
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _for_operator(rules: dict[str, str], settings: Settings) -> list[Object]:
    groups = [group for text in rules.values() for group in yaml.safe_load(text)["groups"] if group["name"] != WATCHDOG]
    meta = prometheus_objects.meta("rackstart")
    meta["labels"] = meta["labels"] | settings["labels"]
    return [
        *(_to_operator(name, job, settings["operator_namespace"]) for name, job in scraping.of_ours().items()),
        *scraping.pod_monitors(settings["labels"]),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": meta, "spec": {"groups": groups}},
    ]


def objects(models: list[Object], settings: Settings, operator: bool) -> list[Object]:
    """Everything, in the order to apply it. operator: whether the cluster knows the kinds of Prometheus' operator."""
    rules = settings["rules"] | {"declared.yml": prometheus_objects.text(declared(models, settings["nodes_away"]))}
    dashboards = prometheus_objects.config_map("dashboards", settings["dashboards"])
    # The label that Grafana's sidecar looks for.
    dashboards["metadata"]["labels"] = prometheus_objects.LABELS | {"grafana_dashboard": "1"}
    return [
        pods.namespace(),
        *checks_objects.objects(settings["checks_image"], settings["claims"], settings["script"], any(map(engines.on_gpu, models))),
        dashboards,
        *(_for_operator(rules, settings) if operator else prometheus_objects.objects(rules, settings)),
    ]
