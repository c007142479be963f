"""Filters that render Kubernetes objects; see module_utils/{volumes,inference,gateway_objects,monitoring,pods}.py."""

from __future__ import annotations

import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import gateway_objects, inference, monitoring, pods, volumes


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "gateway_objects": gateway_objects.objects,
            "inference_foundation": inference.foundation,
            "inference_deployments": inference.deployments,
            "inference_objects": inference.objects,
            "inference_budget": inference.total_budget,
            "mark": pods.mark,
            "monitoring_objects": monitoring.objects,
            "store_paths": volumes.paths,
            "weights_claims": volumes.claims,
            "weights_objects": volumes.objects,
        }
