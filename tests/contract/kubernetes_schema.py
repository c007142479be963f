"""Strict check of a manifest against Kubernetes's OpenAPI, as the Python client's types carry it: unknown, missing, mistyped fields."""

from __future__ import annotations

import re
from typing import Any

from kubernetes import client

KINDS = {
    ("v1", "Namespace"): "V1Namespace",
    ("v1", "PersistentVolume"): "V1PersistentVolume",
    ("v1", "PersistentVolumeClaim"): "V1PersistentVolumeClaim",
    ("v1", "Pod"): "V1Pod",
    ("v1", "Service"): "V1Service",
    ("v1", "ServiceAccount"): "V1ServiceAccount",
    ("apps/v1", "DaemonSet"): "V1DaemonSet",
    ("apps/v1", "Deployment"): "V1Deployment",
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "Secret"): "V1Secret",
    ("networking.k8s.io/v1", "NetworkPolicy"): "V1NetworkPolicy",
    ("policy/v1", "PodDisruptionBudget"): "V1PodDisruptionBudget",
    **{("rbac.authorization.k8s.io/v1", kind): f"V1{kind}" for kind in ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")},
}
SCALARS: dict[str, type | tuple[type, ...]] = {"str": str, "bytes": str, "int": int, "float": (int, float), "bool": bool}


def problems(manifest: dict[str, Any]) -> list[str]:
    """Every field that the API would refuse or drop, by its path."""
    return list(_check(manifest, KINDS[manifest["apiVersion"], manifest["kind"]], ""))


def _check(value: Any, kind: str, path: str) -> list[str]:
    inner = re.fullmatch(r"List\[(.+)\]|Dict\[str, (.+)\]", kind)
    if inner and inner[1]:
        if not isinstance(value, list):
            return [f"{path}: not a list"]
        return [text for index, item in enumerate(value) for text in _check(item, inner[1], f"{path}[{index}]")]
    if inner:
        if not isinstance(value, dict):
            return [f"{path}: not a map"]
        return [text for key, item in value.items() for text in _check(item, inner[2], f"{path}.{key}")]
    if kind in SCALARS:
        good = isinstance(value, SCALARS[kind]) and (kind == "bool" or not isinstance(value, bool))
        return [] if good else [f"{path}: {value!r} is not {kind}"]
    if kind == "object":  # a number or a text, such as a port or a percentage
        return [] if isinstance(value, (str, int)) else [f"{path}: {value!r} is not {kind}"]
    model = getattr(client, kind)
    if not isinstance(value, dict):
        return [f"{path}: not a map"]
    names = {json_name: name for name, json_name in model.attribute_map.items()}
    found = [f"{path}.{key}: unknown" for key in value if key not in names]
    for key, item in value.items():
        if key in names:
            found += _check(item, model.openapi_types[names[key]], f"{path}.{key}")
    required = {model.attribute_map[name] for name, field in model.model_fields.items() if field.is_required()}
    return found + [f"{path}.{name}: missing" for name in sorted(required - value.keys())]
