"""Role inference: what the API holds after it; replicas that answer are shown by tests/lab."""

import base64
import json
from collections.abc import Callable
from typing import Any


def test_the_service_leads_to_the_engines_and_from_no_node(get: Callable[[str], dict[str, Any]]) -> None:
    service = get("service/tiny")["spec"]
    assert (service["type"], service["clusterIP"]) == ("ClusterIP", "None")
    assert [(port["port"], port["targetPort"]) for port in service["ports"]] == [(8000, "http")]
    labels = get("deployment/tiny")["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()


def test_the_engine_may_do_little(get: Callable[[str], dict[str, Any]]) -> None:
    pod = get("deployment/tiny")["spec"]["template"]["spec"]
    (engine,) = pod["containers"]
    assert engine["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert engine["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsUser"] == 2000
    assert pod["automountServiceAccountToken"] is False
    assert engine["resources"]["limits"] == {"memory": "9Gi", "nvidia.com/gpu": "1"}
    assert "@sha256:" in engine["image"]


def test_the_engines_key_is_in_its_secret_alone(get: Callable[[str], dict[str, Any]]) -> None:
    assert get("secret/engine-key")["data"] == {"key": base64.b64encode(b"an-engine-key-of-tests").decode()}
    assert "an-engine-key-of-tests" not in json.dumps(get("deployment/tiny"))


def test_engines_are_reached_by_the_gateway_and_reach_dns_alone(get: Callable[[str], dict[str, Any]]) -> None:
    policy = get("networkpolicy/engines")["spec"]
    [admitted], [reached] = policy["ingress"], policy["egress"]
    components = [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in admitted["from"]]
    assert (components, [port["port"] for port in admitted["ports"]]) == (["gateway", "monitoring"], [8000])
    assert {port["port"] for port in reached["ports"]} == {53}
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_the_image_is_on_the_node_before_a_replica_needs_it(get: Callable[[str], dict[str, Any]]) -> None:
    status = get("daemonset/prepull-vllm")["status"]
    assert status["numberReady"] == status["desiredNumberScheduled"] == 1


def test_an_image_that_cannot_be_pulled_is_missed(converge: Callable[..., tuple[int, str]]) -> None:
    code, said = converge(inference_image=f"docker.io/vllm/none@sha256:{64 * '0'}", inference_pull_timeout=5)
    try:
        assert code != 0
        assert "DaemonSet prepull-vllm" in said.partition("fatal:")[2]
    finally:
        assert converge()[0] == 0
