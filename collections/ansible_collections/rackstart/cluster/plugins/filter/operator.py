"""Filters about the GPU Operator; see module_utils/operator.py and module_utils/smoke.py."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import operator, smoke


def gpu_operator_objects(content: str, values: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """Namespace and HelmChart. content: the chart's archive in base64."""
    plain = json.loads(json.dumps(values))  # Ansible's own kinds of dict and str are not YAML's
    return [operator.namespace(), operator.helm_chart(content, plain)]


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"gpu_operator_objects": gpu_operator_objects, "driven_gpus": smoke.driven}
