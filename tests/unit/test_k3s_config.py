"""k3s: which extra keys are refused, and how a host gets into the one cluster of its inventory."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.filter.k3s import k3s_join
from ansible_collections.rackstart.cluster.plugins.module_utils import k3s
from ansible_collections.rackstart.cluster.plugins.modules import k3s_state

FOUNDED = "cluster-init: true\n"
JOINED = "server: https://10.0.0.2:6443\n"


def server(name: str, state: str = "") -> k3s.Server:
    """A server as seen over ssh; state: words out of gone, data, ready."""
    address = f"10.0.0.{name[1:]}"
    words = state.split()
    return {"name": name, "address": address, "reachable": "gone" not in words, "datadir": "data" in words, "ready": "ready" in words}


@pytest.mark.parametrize(
    ("mode", "config", "expected"),
    [
        ("server", {}, []),
        ("server", {"kubelet-arg": ["a=b"], "secrets-encryption": True, "tls-san+": ["x"]}, []),
        ("server", {"secrets-encryption-provider": "secretbox", "etcd-s3-proxy": "http://192.0.2.9", "cluster-dns": ["10.43.0.10"]}, []),
        ("agent", {"kubelet-arg": ["a=b"]}, []),
        ("agent", {"tls-san": ["x"]}, ["k3s agent has no key tls-san"]),
        ("server", {"kubelet-args": ["a"]}, ["k3s server has no key kubelet-args; did you mean kubelet-arg?"]),
        ("server", {"kubelet-arg": "a=b"}, ["kubelet-arg takes a list, not 'a=b'"]),
        ("server", {"cluster-cidr": ["10.0.0.0/8"]}, ["cluster-cidr takes one value, not ['10.0.0.0/8']"]),
        ("server", {"cluster-init": True}, ["cluster-init is set by the group k3s_server; leave it out"]),
        ("server", {"cluster-domain": "x"}, ["cluster-domain is set by the role itself; leave it out"]),  # the gateway knows one only
        ("agent", {"token": "x"}, ["token is set by k3s_server_token; leave it out"]),
        ("agent", {"node-taint+": ["x"]}, ["node-taint+ is set by gpu_taint; leave it out"]),
    ],
)
def test_extra_keys(mode: str, config: dict[str, Any], expected: list[str]) -> None:
    assert k3s.config_problems(config, mode) == expected


@pytest.mark.parametrize(
    ("case", "mode", "name", "datadir", "current", "servers", "config", "via"),
    [
        ("nothing anywhere: found it", "server", "s1", False, "", [server("s1"), server("s2")], {"cluster-init": True}, ""),
        ("any live server is joined", "server", "s1", False, "", [server("s1"), server("s2"), server("s3", "data ready")], "s3", "s3"),
        ("the founder, wiped, joins the others", "server", "s1", False, "", [server("s1"), server("s2", "data ready")], "s2", "s2"),
        (
            "a live server is joined though another is away",
            "server",
            "s1",
            False,
            "",
            [server("s2", "data ready"), server("s3", "gone")],
            "s2",
            "s2",
        ),
        (
            "a founder stays one",
            "server",
            "s1",
            True,
            FOUNDED,
            [server("s1", "data ready"), server("s2", "data ready")],
            {"cluster-init": True},
            "s2",
        ),
        ("alone, it needs nobody", "server", "s1", True, FOUNDED, [server("s1", "data")], {"cluster-init": True}, ""),
        (
            "a member keeps the server it joined",
            "server",
            "s3",
            True,
            JOINED,
            [server("s1", "data ready"), server("s2", "gone")],
            "s2",
            "s1",
        ),
        (
            "a key that points nowhere is mended",
            "server",
            "s3",
            True,
            "server: https://1.2.3.4:6443",
            [server("s1", "data ready")],
            "s1",
            "s1",
        ),
        ("a file that is no YAML is mended", "server", "s1", True, "][", [server("s1", "data")], {"cluster-init": True}, ""),
        (
            "both keys at once are mended",
            "server",
            "s1",
            True,
            FOUNDED + "server: x",
            [server("s1"), server("s2", "data ready")],
            "s2",
            "s2",
        ),
        (
            "an agent joins the first that is ready",
            "agent",
            "a1",
            False,
            "",
            [server("s1", "data"), server("s2", "data ready")],
            "s2",
            "s2",
        ),
        (
            "an agent that is in stays with its server",
            "agent",
            "a1",
            True,
            JOINED,
            [server("s1", "ready"), server("s2", "gone")],
            "s2",
            "s1",
        ),
        (
            "an agent of another cluster's address moves",
            "agent",
            "a1",
            True,
            "server: https://1.2.3.4:6443",
            [server("s1", "ready")],
            "s1",
            "s1",
        ),
    ],
)
def test_a_host_gets_into_the_one_cluster(
    case: str, mode: str, name: str, datadir: bool, current: str, servers: list[k3s.Server], config: Any, via: str
) -> None:
    expected = {"server": f"https://10.0.0.{config[1:]}:6443"} if isinstance(config, str) else config
    assert k3s.join(mode, name, datadir, current, servers) == {"config": expected, "via": via}, case


@pytest.mark.parametrize(
    ("case", "mode", "servers", "message"),
    [
        ("a cluster that is down is not founded again", "server", [server("s1"), server("s2", "data")], "s2 holds the cluster's data"),
        ("what cannot be asked may hold one", "server", [server("s1"), server("s2", "gone")], "s2 could not be asked"),
        ("an agent without a server", "agent", [server("s2")], "No k3s server is ready .asked: s2."),
    ],
)
def test_a_second_cluster_is_never_founded(case: str, mode: str, servers: list[k3s.Server], message: str) -> None:
    with pytest.raises(k3s.JoinError, match=message):
        k3s.join(mode, "s1", False, "", servers)


@pytest.mark.parametrize(("mode", "other"), [("server", "k3s-agent"), ("agent", "k3s")])
def test_a_host_whose_part_has_changed_is_left_alone(mode: str, other: str) -> None:
    own = {"datadir": False, "config": "", "answering": ["s1"], "other": other}
    asked = [{"item": "s1", "ready": True, "datadir": True}]
    problem = k3s_join(own, mode, "a1", {"s1": "10.0.0.1"}, asked)["problem"]
    assert problem.startswith(f"a1 is to be a k3s {mode}, but {other} runs there")
    assert k3s_join(own | {"other": ""}, mode, "a1", {"s1": "10.0.0.1"}, asked)["problem"] == ""


def test_a_dry_run_tells_what_the_real_one_would_do() -> None:
    servers = [server("s1"), server("s2")]
    assert k3s.join("server", "s1", False, "", servers, dry=True)["config"] == {"cluster-init": True}
    assert k3s.join("server", "s2", False, "", servers, dry=True)["config"] == {"server": "https://10.0.0.1:6443"}
    assert k3s.join("agent", "a1", False, "", servers, dry=True)["config"] == {"server": "https://10.0.0.1:6443"}


class Pong(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"pong")

    def log_message(self, *_: Any) -> None:
        pass


def test_what_answers_in_the_rack_is_asked_without_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.0/8")  # which urllib does not know as a network
    with HTTPServer(("127.0.0.1", 0), Pong) as answering:
        threading.Thread(target=answering.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{answering.server_port}/ping"
        assert [k3s_state.says(url, b"pong"), k3s_state.says(url, b"ok")] == [True, False]
        answering.shutdown()
    assert not k3s_state.says(url, b"pong")


@pytest.mark.parametrize("mirror", ["http://m", "http://m/", "https://m:8443/proxy", "https://m:8443/proxy/"])
def test_registries_go_through_the_mirror_with_the_host_in_front(mirror: str) -> None:
    endpoint = "https://m:8443/proxy/v2" if "proxy" in mirror else "http://m/v2"
    assert k3s.registries(["docker.io"], mirror, {"r.example.org": {"username": "u", "password": "p"}}) == {
        "mirrors": {"docker.io": {"endpoint": [endpoint], "rewrite": {"^(.*)$": "docker.io/$1"}}},
        "configs": {"r.example.org": {"auth": {"username": "u", "password": "p"}}},
    }
    assert k3s.registries(["docker.io"], "", {}) == {}


def test_a_proxy_leaves_the_cluster_alone() -> None:
    found = k3s.environment({"https": "http://proxy:3128"}, ["10.42.0.0/16"])
    assert found == {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "127.0.0.0/8,localhost,.svc,.cluster.local,10.42.0.0/16"}
    assert k3s.environment({}, ["10.42.0.0/16"]) == {}
