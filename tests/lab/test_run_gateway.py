"""Who reaches the models: clients with a key through the gateway, and nobody by any other way."""

import http.client
import itertools
import json
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import gateway, gateway_client, gateway_objects, gateway_replicas
from kubernetes.client import CoreV1Api
from kubernetes.stream import portforward

from tests.lab.conftest import LONGEST
from tests.lab.drive import ADDRESS, INVENTORY, MODEL, Finished, Running, api, on, until

pytestmark = pytest.mark.lab

Bootstrap = Callable[..., Finished]
TRIES = 12  # the Service leads each connection to any replica
ENGINE, HEALTH, DNS, API = "engine", "gateway", "dns", "api"
# Who may reach what; a pod of the component inference is what the engines are.
POLICY = {
    ("default", "none"): {ENGINE: False, HEALTH: False, DNS: True, API: True},
    ("default", "gateway"): {ENGINE: False, HEALTH: False, DNS: True, API: True},
    ("default", "monitoring"): {ENGINE: False, HEALTH: False, DNS: True, API: True},
    ("llm", "none"): {ENGINE: False, HEALTH: False, DNS: True, API: True},
    ("llm", "gateway"): {ENGINE: True, HEALTH: False, DNS: True, API: True},
    ("llm", "monitoring"): {ENGINE: True, HEALTH: True, DNS: True, API: True},
    ("llm", "inference"): {ENGINE: False, HEALTH: False, DNS: True, API: False},
}


@pytest.fixture
def client(cluster: str, bootstrap: Bootstrap) -> Iterator[str]:
    """The key of a client of this test."""
    given = bootstrap("--inventory", "lab", "key", "add", "test", "--json")
    assert given.code == 0, given
    assert len(given.json["told"]) == 2
    try:
        yield given.json["key"]
    finally:
        bootstrap("--inventory", "lab", "key", "revoke", "test")


def answers(key: str) -> set[int]:
    """Statuses of many connections with a key."""
    return {gateway_client.ask(ADDRESS, key, "/v1/models", None, 60)[0] for _ in range(TRIES)}


def runtime(pod: Any) -> gateway_replicas.Runtime:
    """HAProxy's runtime API of a replica, whichever the Service leads to."""
    port = gateway.RUNTIME_PORT
    forward = portforward(CoreV1Api(api()).connect_get_namespaced_pod_portforward, pod.metadata.name, "llm", ports=str(port))
    return gateway_replicas.Runtime(forward.socket(port))


def restarts() -> int:
    """How often containers of the gateway's replicas started over; -1 while not all of them are ready."""
    found = [container for pod in pods("gateway", "gateway") for container in pod.status.container_statuses or []]
    return sum(container.restart_count for container in found) if len(found) == 2 and all(container.ready for container in found) else -1


def test_a_revoked_key_ends_on_every_replica_and_a_rotated_one_goes_on(
    client: str, bootstrap: Bootstrap, start: Callable[..., Running], record_property: Any
) -> None:
    """It has ended as well for a replica that starts over right after, and reads its keys' file."""
    assert gateway_client.answer_problem(ADDRESS, client, MODEL, 120) == ""
    rotated = bootstrap("--inventory", "lab", "key", "rotate", "test", "--json").json["key"]
    assert (answers(client), answers(rotated)) == ({200}, {200})

    def refused() -> bool:
        return (answers(client), answers(rotated)) == ({401}, {401})

    began = time.monotonic()
    revoking = start("--inventory", "lab", "key", "revoke", "test")
    ended = revoking.wait(LONGEST, refused)
    assert ended is None or refused()
    record_property("seconds until every replica refuses", time.monotonic() - began)
    ended = ended or revoking.wait(LONGEST)
    assert ended
    assert ended.code == 0, ended
    before, [pod, *_] = restarts(), pods("gateway", "gateway")
    on(pod.spec.node_name, "kill -KILL $(pgrep --oldest --full 'haproxy -W')")
    until(lambda: restarts() > before >= 0, "HAProxy runs again in every replica")
    assert refused()
    held = set().union(*(runtime(pod).keys() for pod in pods("gateway", "gateway")))
    assert [line for line in held if " test|" in line] == []
    listed = bootstrap("--inventory", "lab", "key", "list")
    assert "rackstart" in listed.out
    assert "test" not in listed.out


def test_a_stream_comes_through_to_its_end(client: str) -> None:
    context = ssl.create_default_context(cafile=ADDRESS["ca"][0])
    connection = http.client.HTTPSConnection(ADDRESS["host"], ADDRESS["port"], timeout=120, context=context)
    body = {"model": MODEL["served_name"], "stream": True, "messages": [{"role": "user", "content": MODEL["golden_prompts"][0]["prompt"]}]}
    headers = {"Authorization": f"Bearer {client}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body | {"temperature": 0, "max_tokens": 32}), headers)
    events = [line[6:] for line in connection.getresponse().read().decode().splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    said = "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events[:-1])
    assert MODEL["golden_prompts"][0]["expect"] in said


def routes() -> list[tuple[str, str]]:
    """Method and path of every route that a running engine lists."""
    [pod, *_] = pods("inference", MODEL["name"])
    read = f"import urllib.request; print(urllib.request.urlopen('http://{pod.status.pod_ip}:8000/openapi.json').read().decode())"
    listed = json.loads(on(pod.spec.node_name, f'python3 -c "{read}"'))  # a node reaches its own pods
    return [(method.upper(), path) for path, methods in listed["paths"].items() for method in methods]


def test_no_other_route_of_the_engine_answers(client: str) -> None:
    listed = routes()
    assert ("POST", "/v1/chat/completions") in listed
    open_ones = {("GET", gateway.MODELS), *(("POST", path) for path in gateway.ROUTES)}
    for (method, path), key in itertools.product(listed, (None, "rk-wrong", client)):
        if (method, path) not in open_ones:
            context = ssl.create_default_context(cafile=ADDRESS["ca"][0])
            connection = http.client.HTTPSConnection(ADDRESS["host"], ADDRESS["port"], timeout=60, context=context)
            connection.request(method, path, "{}", {"Authorization": f"Bearer {key}"} if key else {})
            assert connection.getresponse().status == 404, (method, path, key)


def pods(component: str, name: str) -> list[Any]:
    """Those that run: one that a kubelet has refused after its restart, since a label was gone, stays behind as failed with its address."""
    selector = f"app.kubernetes.io/component={component},app.kubernetes.io/name={name}"
    found = CoreV1Api(api()).list_namespaced_pod("llm", label_selector=selector, field_selector="status.phase=Running").items
    return [pod for pod in found if not pod.metadata.deletion_timestamp]


@pytest.fixture(scope="module")
def probes(cluster: str) -> Iterator[dict[tuple[str, str], str]]:
    """A pod of each component that the policies tell apart, by namespace and component."""
    core, names = CoreV1Api(api()), {}
    image = yaml.safe_load((INVENTORY / "artifacts.lock.yml").read_text())["images"]["busybox"]
    container = {
        "name": "probe",
        "image": f"{image['reference']}@{image['digest']}",
        "command": ["sleep", "3600"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsUser": 1000, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0}
    for namespace, component in POLICY:
        names[namespace, component] = name = f"probe-{component}"
        labels = {"app.kubernetes.io/component": component, "app.kubernetes.io/name": "probe"}
        core.create_namespaced_pod(namespace, {"metadata": {"name": name, "labels": labels}, "spec": spec})
    for (namespace, _), name in names.items():
        until(lambda at=namespace, pod=name: core.read_namespaced_pod(pod, at).status.phase == "Running", f"{namespace}/{name} runs")
    yield names
    for (namespace, _), name in names.items():
        core.delete_namespaced_pod(name, namespace)


@pytest.mark.parametrize("who", POLICY, ids=lambda who: "-".join(who))
def test_pods_reach_what_the_policies_let_them(probes: dict[tuple[str, str], str], who: tuple[str, str]) -> None:
    """Policies take effect a moment after a pod has its address, so that what is closed may be seen open until then."""
    targets = {
        ENGINE: f"nc -w 3 {pods('inference', MODEL['name'])[0].status.pod_ip} 8000 </dev/null",
        HEALTH: f"nc -w 3 {pods('gateway', 'gateway')[0].status.pod_ip} 8404 </dev/null",
        DNS: "nslookup -type=a kubernetes.default.svc.cluster.local",
        API: "nc -w 3 10.43.0.1 443 </dev/null",
    }

    def reached() -> dict[str, bool]:
        inside = f"k3s kubectl --namespace={who[0]} exec {probes[who]} -- sh -c"
        said = {what: on("server-1", f"{inside} '{try_it} && echo reached || true'") for what, try_it in targets.items()}
        return {what: text.endswith("reached\n") for what, text in said.items()}

    until(lambda: reached() == POLICY[who], f"{POLICY[who]}")


CONNECT = "import socket; socket.create_connection(('{}', {}), 3)"


@pytest.mark.parametrize(
    ("component", "program", "to", "reached"),
    [
        ("inference", "vllm", ("10.43.0.10", 53), True),
        ("inference", "vllm", ("10.43.0.1", 443), False),
        ("inference", "vllm", ("10.77.0.2", 80), False),
        ("gateway", "haproxy", ("10.43.0.10", 53), True),
        ("gateway", "haproxy", ("10.43.0.1", 443), False),
        ("gateway", "haproxy", ("10.77.0.2", 80), False),
    ],
)
def test_engines_and_gateway_themselves_reach_nothing_else(
    cluster: str, component: str, program: str, to: tuple[str, int], reached: bool
) -> None:
    """Tried from inside the network of the running process."""
    [pod, *_] = pods(component, MODEL["name"] if component == "inference" else component)
    inside = f"nsenter --net --target=$(pgrep --oldest --full {program})"
    said = on(pod.spec.node_name, f'{inside} python3 -c "{CONNECT.format(*to)}" && echo reached || echo refused')
    assert said == ("reached\n" if reached else "refused\n")


def test_the_gateway_is_off_the_gpu_nodes(cluster: str) -> None:
    assert [pod.spec.node_name for pod in pods("gateway", "gateway")] == ["server-1"] * 2


def test_no_node_leads_to_an_engine(cluster: str) -> None:
    services = CoreV1Api(api()).list_namespaced_service("llm").items
    types = {service.metadata.name: service.spec.type for service in services}
    assert types == {MODEL["name"]: "ClusterIP", "prometheus": "ClusterIP", "gateway": "NodePort"}


def test_keys_are_told_again_to_a_replica_that_lost_them(client: str, bootstrap: Bootstrap) -> None:
    """What a hand deletes at one replica is told by the verdict, and mended by the stage."""
    [pod, *_] = pods("gateway", "gateway")
    runtime(pod).say(f"clear map {gateway_objects.KEYS_PATH}")
    assert answers(client) == {200, 401}
    verdict = bootstrap("--inventory", "lab", "verify", "--json")
    assert ("gateway.keys", "gateway") in verdict.red
    again = bootstrap("--inventory", "lab", "--only", "gateway", "--json")
    assert again.code == 0, again
    assert answers(client) == {200}
