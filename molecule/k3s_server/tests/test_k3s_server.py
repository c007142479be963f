"""Role k3s_server: a server that answers, and what it keeps to itself."""

import json
from collections.abc import Callable

from testinfra.host import Host

Run = Callable[[Host, str], tuple[int, str]]


def test_the_api_is_ready(host: Host, as_root: Run) -> None:
    assert as_root(host, "k3s kubectl get --raw /readyz") == (0, "ok")
    assert host.service("k3s").is_enabled


def test_the_server_votes_in_etcd(host: Host, as_root: Run) -> None:
    code, text = as_root(host, "k3s kubectl get node mol-1 --output=json")
    assert code == 0, text
    conditions = {entry["type"]: entry["status"] for entry in json.loads(text)["status"]["conditions"]}
    assert conditions["EtcdIsVoter"] == "True"


def test_no_secret_is_open_to_others(host: Host, as_root: Run) -> None:
    assert as_root(host, "find /etc/rancher -type f -perm /077") == (0, "")
    tokens = "a-token-of-tests-alone[-]for"  # which does not find itself on the command line of who looks
    _, found = as_root(host, f"grep -rl '{tokens}' /etc /proc/[0-9]*/cmdline 2>/dev/null")
    assert sorted(found.split()) == ["/etc/rancher/k3s/agent-token", "/etc/rancher/k3s/token"]


def test_changes_by_hand_are_gone(host: Host, as_root: Run) -> None:
    assert as_root(host, "grep -c coredns /etc/rancher/k3s/config.yaml") == (1, "0")
    assert as_root(host, "k3s kubectl --namespace=kube-system get deployment coredns --output=name")[0] == 0


def test_a_key_that_k3s_would_pass_over_is_refused(converge: Callable[..., tuple[int, str]]) -> None:
    code, said = converge(k3s_server_config={"no-such-key": 1})
    assert code != 0
    assert "k3s_server_config: " in said
    assert "no-such-key" in said
    assert "changed=0" in said


def test_one_secret_for_servers_and_agents_is_refused(converge: Callable[..., tuple[int, str]]) -> None:
    code, said = converge(k3s_server_agent_token="a-token-of-tests-alone-for-servers")
    assert code != 0
    assert "changed=0" in said
