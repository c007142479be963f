"""The GPU Operator: its HelmChart, and whether what is deployed is what was declared. Pure functions."""

from __future__ import annotations

import base64
import gzip
import json
import typing as t

import yaml

Object = dict[str, t.Any]
NAMESPACE = "gpu-operator"
RELEASE = "gpu-operator"
POLICY = "cluster-policy"


def namespace() -> Object:
    """The operator's namespace; its operands are privileged."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
    }


def helm_chart(content: str, values: Object) -> Object:
    """The HelmChart that k3s installs. content: the chart's archive in base64."""
    return {
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChart",
        "metadata": {"name": RELEASE, "namespace": "kube-system"},
        "spec": {
            "chartContent": content,
            "targetNamespace": NAMESPACE,
            "valuesContent": yaml.safe_dump(values),
            "failurePolicy": "abort",  # the default uninstalls the operator when an upgrade fails
            # Of the chart's hooks, as Go writes it and helm-controller stores it: another form would differ on every run.
            "timeout": "15m0s",
            "backOffLimit": 5,
        },
    }


def release(secrets: list[Object]) -> Object:
    """The newest Helm release of the operator, decoded from the secrets in which Helm keeps them; empty without one."""
    if not secrets:
        return {}
    return json.loads(gzip.decompress(base64.b64decode(base64.b64decode(_newest(secrets)["data"]["release"]))))


def _newest(secrets: list[Object]) -> Object:
    return max(secrets, key=lambda secret: int(secret["metadata"]["labels"]["version"]))


def stuck(secrets: list[Object], job: Object | None) -> str:
    """Name of the secret of a release that the next job would give up at, since failurePolicy says so; empty for none."""
    if not secrets:
        return ""
    found = _newest(secrets)["metadata"]
    status = found["labels"]["status"]
    return str(found["name"]) if status == "failed" or (status.startswith("pending-") and job_failed(job)) else ""


def holds(declared: t.Any, found: t.Any) -> bool:
    """Everything declared is found; a HelmChartConfig may add more."""
    if isinstance(declared, dict):
        return isinstance(found, dict) and all(key in found and holds(value, found[key]) for key, value in declared.items())
    return bool(declared == found)


def release_problem(found: Object, version: str, values: Object) -> str:
    """How the deployed release differs from the declared one, or nothing."""
    if not found:
        return "Helm has not installed it yet"
    status, deployed = found["info"]["status"], found["chart"]["metadata"]["version"]
    if status != "deployed":
        return f"Helm's release {found['version']} is {status}: {found['info'].get('description', '')}"
    if deployed.lstrip("v") != version.lstrip("v"):
        return f"Helm's release {found['version']} is of chart {deployed}, not {version}"
    return "" if holds(values, found.get("config") or {}) else f"Helm's release {found['version']} still has other values"


def job_failed(job: Object | None) -> str:
    """Why the job that runs Helm gave up, or nothing."""
    for condition in ((job or {}).get("status") or {}).get("conditions") or []:
        if condition["type"] == "Failed" and condition["status"] == "True":
            return f"{condition.get('reason')}: {condition.get('message')}"
    return ""


def policy_problem(policy: Object | None) -> str:
    """Why the ClusterPolicy is not ready, or nothing when it is."""
    if policy is None:
        return f"there is no ClusterPolicy {POLICY}"
    status = policy.get("status") or {}
    if status.get("state") == "ready":
        return ""
    reasons = [
        f"{condition.get('reason')}: {condition.get('message')}"
        for condition in status.get("conditions") or []
        if (condition["type"] == "Error" and condition["status"] == "True")
        or (condition["type"] == "Ready" and condition["status"] == "False")
    ]
    texts = "; ".join(dict.fromkeys(text for text in reasons if text.strip(": ")))
    return f"ClusterPolicy {POLICY} is {status.get('state') or 'without a state'}" + (f" ({texts})" if texts else "")
