"""Kubernetes objects of the monitoring: Prometheus of our own, or what Prometheus' operator takes where its kinds are."""

from __future__ import annotations

import typing as t

import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import (
    checks_objects,
    gateway_objects,
    inference,
    pods,
    prometheus_objects,
    scraping,
)

Object = dict[str, t.Any]
Settings = prometheus_objects.Settings


def declared(models: list[Object]) -> Object:
    """Rules that say how many replicas of each model are declared, for others to compare with."""
    # Also where there is no model: Prometheus drops a group without rules.
    rules: list[Object] = [{"record": "rackstart:models_declared", "expr": f"vector({len(models)})"}]
    rules += [
        {"record": "model:replicas_declared", "expr": f"vector({int(model['replicas'])})", "labels": {"model": model["name"]}}
        for model in models
    ]
    return {"groups": [{"name": "rackstart-declared", "rules": rules}]}


def _for_operator(rules: dict[str, str], settings: Settings) -> list[Object]:
    groups = [group for text in rules.values() for group in yaml.safe_load(text)["groups"]]
    meta = prometheus_objects.meta("rackstart")
    meta["labels"] = meta["labels"] | settings["labels"]
    anywhere = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}
    ports = (inference.PORT, gateway_objects.HEALTH_PORT, scraping.CHECKS_PORT)
    policy = {
        "podSelector": {"matchExpressions": [{"key": scraping.COMPONENT, "operator": "In", "values": ["checks", "gateway", "inference"]}]},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [anywhere], "ports": [{"protocol": "TCP", "port": port} for port in ports]}],
    }
    return [
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": prometheus_objects.meta("operator"), "spec": policy},
        *scraping.pod_monitors(settings["labels"]),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": meta, "spec": {"groups": groups}},
    ]


def objects(models: list[Object], settings: Settings, operator: bool) -> list[Object]:
    """Everything, in the order to apply it. operator: whether the cluster knows the kinds of Prometheus' operator."""
    rules = settings["rules"] | {"declared.yml": prometheus_objects.text(declared(models))}
    dashboards = prometheus_objects.config_map("dashboards", settings["dashboards"])
    # The label that Grafana's sidecar looks for.
    dashboards["metadata"]["labels"] = prometheus_objects.LABELS | {"grafana_dashboard": "1"}
    return [
        pods.namespace(),
        *checks_objects.objects(settings["checks_image"], settings["claims"], settings["script"]),
        dashboards,
        *(_for_operator(rules, settings) if operator else prometheus_objects.objects(rules, settings)),
    ]
