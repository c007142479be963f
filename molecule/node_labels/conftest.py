"""The cluster's nodes, read on the server."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

Node = dict[str, Any]


@pytest.fixture
def nodes(host: Host, as_root: Callable[[Host, str], tuple[int, str]]) -> dict[str, Node]:
    """Every node by name: {labels, taints as KEY=VALUE:EFFECT}."""
    code, text = as_root(host, "k3s kubectl get nodes --output=json")
    assert code == 0, text
    return {
        node["metadata"]["name"]: {
            "labels": node["metadata"]["labels"],
            "taints": {f"{taint['key']}={taint.get('value', '')}:{taint['effect']}" for taint in node["spec"].get("taints", [])},
        }
        for node in json.loads(text)["items"]
    }
