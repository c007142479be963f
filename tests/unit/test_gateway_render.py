"""What the gateway's replicas are told and given, as far as no HAProxy is needed to see that it is right."""

from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import gateway, gateway_objects, inference

MODEL = {"name": "tiny", "served_name": "org/tiny:1", "engine": "vllm", "replicas": 2}
SETTINGS: gateway_objects.Settings = {
    "image": "i", "replicas": 2, "service_type": "NodePort", "annotations": {}, "node_port": 30443, "body_mib": 4, "connections": 512,
    "answer": 600, "marks": [],
}  # fmt: skip


def sections(**changed: Any) -> dict[str, list[str]]:
    """Lines of haproxy.cfg, by the head of their section."""
    found: dict[str, list[str]] = {}
    settings: Any = {**SETTINGS, **changed}
    head = ""
    for line in gateway_objects.configuration([MODEL], settings).splitlines():
        if line.startswith(" "):
            found[head].append(line.strip())
        else:
            head = line
            found[head] = []
    return found


def test_clients_cannot_take_the_connections_of_probes_and_metrics() -> None:
    found = sections(connections=100)
    assert "maxconn 100" in found["frontend _api"]
    assert f"maxconn {100 + gateway.SPARE}" in found["global"]


def test_a_busy_engine_has_time_to_answer_its_check() -> None:
    found = sections()
    assert "timeout check 5s" in found["defaults"]
    assert "default-server check inter 2s fall 3 rise 1" in found["backend tiny"]


def test_memory_is_there_for_both_buffers_of_every_connection() -> None:
    [container] = gateway_objects.deployment(SETTINGS, "")["spec"]["template"]["spec"]["containers"]
    assert int(container["resources"]["limits"]["memory"].removesuffix("Mi")) > 2 * SETTINGS["connections"] * SETTINGS["body_mib"]


def test_who_escapes_the_slashes_of_a_name_is_told_so() -> None:
    [rule] = [line for line in sections()["frontend _api"] if "no_model" in line]
    assert rule.startswith("http-request return status 400")
    assert "JSON_UNESCAPED_SLASHES" in rule


@pytest.mark.parametrize("rendered", [gateway_objects.objects([MODEL], SETTINGS), inference.objects([MODEL])], ids=["gateway", "model"])
def test_a_drain_waits_for_no_pod_that_serves_nobody(rendered: list[dict[str, Any]]) -> None:
    [budget] = [item for item in rendered if item["kind"] == "PodDisruptionBudget"]
    [service] = [item for item in rendered if item["kind"] == "Service"]
    assert budget["spec"] == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": service["spec"]["selector"]},
    }


@pytest.mark.parametrize(
    ("changed", "kind", "address"),
    [
        ({}, "NodePort", None),
        ({"service_type": "LoadBalancer", "annotations": {"metallb.io/loadBalancerIPs": "192.0.2.9"}}, "LoadBalancer", "192.0.2.9"),
    ],
)
def test_the_service_is_of_the_type_that_was_asked_for(changed: dict[str, Any], kind: str, address: str | None) -> None:
    settings: Any = {**SETTINGS, **changed}
    [service] = [item for item in gateway_objects.objects([MODEL], settings) if item["kind"] == "Service"]
    assert service["spec"]["type"] == kind
    assert service["spec"]["ports"][0]["nodePort"] == 30443
    assert service["metadata"].get("annotations", {}).get("metallb.io/loadBalancerIPs") == address
