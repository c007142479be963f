"""An address of the gateway's own: what MetalLB does is stood in for."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import gateway_client
from kubernetes.client import CoreV1Api

from tests.lab.conftest import LONGEST
from tests.lab.drive import ADDRESS, MODEL, Finished, Running, api, edit, on

pytestmark = pytest.mark.lab

OWN, ANNOTATION = "10.77.0.100", "metallb.io/loadBalancerIPs"
# server-1 answers for it on the wire.
WIRE = f"ip address {{}} {OWN}/32 dev $(ip -brief address show to {ADDRESS['host']} | cut -d@ -f1 | cut -d' ' -f1)"


def test_a_load_balancers_address_leads_to_the_gateway(
    key: str, bootstrap: Callable[..., Finished], start: Callable[..., Running], inventory: Path
) -> None:
    change = {"gateway_address": OWN, "gateway_service_type": "LoadBalancer", "gateway_service_annotations": {ANNOTATION: OWN}}
    edit(inventory / "group_vars/all/gateway.yml", lambda content: content.update(change))
    kubernetes = CoreV1Api(api())

    def given() -> bool:
        """The Service is given the address that it asks for, once it asks."""
        service = kubernetes.read_namespaced_service("gateway", "llm")
        if service.spec.type != "LoadBalancer":
            return False
        ingress = [{"ip": (service.metadata.annotations or {})[ANNOTATION]}]
        kubernetes.patch_namespaced_service_status("gateway", "llm", {"status": {"loadBalancer": {"ingress": ingress}}})
        return True

    on("server-1", WIRE.format("add"))
    try:
        run = start("--inventory", str(inventory), "--only", "gateway", "--json")
        assert run.wait(LONGEST, given) is None
        done = run.wait(LONGEST)
        assert done
        assert done.code == 0, done
        assert gateway_client.answer_problem({**ADDRESS, "host": OWN, "port": 443}, key, MODEL, 120) == ""
        verdict = bootstrap("--inventory", str(inventory), "verify")
        assert verdict.code == 0, verdict
    finally:
        on("server-1", WIRE.format("del"))
        assert bootstrap("--inventory", "lab", "--only", "gateway").code == 0
    assert kubernetes.read_namespaced_service("gateway", "llm").spec.type == "NodePort"
    assert gateway_client.answer_problem(ADDRESS, key, MODEL, 120) == ""
