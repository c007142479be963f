"""Filters that render the objects of weights and engines; see module_utils/{volumes,inference}.py."""

from __future__ import annotations

import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import inference, volumes


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "inference_foundation": inference.foundation,
            "inference_objects": inference.objects,
            "inference_budget": inference.total_budget,
            "store_paths": volumes.paths,
            "weights_claims": volumes.claims,
            "weights_objects": volumes.objects,
        }
