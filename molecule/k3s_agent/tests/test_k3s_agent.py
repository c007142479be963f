"""Role k3s_agent, as its server sees it and as it lies on the host."""

import json
from collections.abc import Callable

import pytest
import testinfra
import yaml
from testinfra.host import Host

Run = Callable[[Host, str], tuple[int, str]]


def test_the_node_is_ready_and_marked_from_the_start(host: Host, as_root: Run) -> None:
    code, text = as_root(host, "k3s kubectl get node mol-2 --output=json")
    assert code == 0, text
    node = json.loads(text)
    assert {entry["type"]: entry["status"] for entry in node["status"]["conditions"]}["Ready"] == "True"
    assert node["metadata"]["labels"]["pool"] == "a100"
    assert {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"} in node["spec"]["taints"]


def test_pods_of_other_hosts_are_reached_by_the_interface_of_the_nodes_address(request: pytest.FixtureRequest, as_root: Run) -> None:
    agent = testinfra.get_host(f"ansible://mol-2?ansible_inventory={request.config.option.ansible_inventory}")
    config = yaml.safe_load(as_root(agent, "cat /etc/rancher/k3s/config.yaml")[1])
    (address,) = config["node-ip"]
    (interface,) = (link["ifname"] for link in json.loads(agent.check_output("ip -json address show to %s", address)))
    assert config["flannel-iface"] == interface


def test_the_agent_has_no_way_to_become_a_server(host: Host, request: pytest.FixtureRequest, as_root: Run) -> None:
    agent = testinfra.get_host(f"ansible://mol-2?ansible_inventory={request.config.option.ansible_inventory}")
    assert as_root(agent, "grep -rl a-token-of-tests-alone[-]for-servers /etc /var/lib/rancher")[1] == ""
    assert as_root(agent, "find /etc/rancher -type f -perm /077") == (0, "")
    assert agent.service("k3s-agent").is_enabled


def test_a_certificate_authority_that_came_later_is_read(
    request: pytest.FixtureRequest, as_root: Run, converge: Callable[..., tuple[int, str]]
) -> None:
    agent = testinfra.get_host(f"ansible://mol-2?ansible_inventory={request.config.option.ansible_inventory}")
    started = "systemctl show --property=ExecMainStartTimestampMonotonic --value k3s-agent"
    as_root(agent, "install -D /dev/null /usr/local/share/ca-certificates/rackstart-later.crt")
    seen = [as_root(agent, started)]
    for _ in range(2):
        code, said = converge()
        assert code == 0, said
        seen.append(as_root(agent, started))
    assert seen[0] != seen[1] == seen[2]


def test_a_key_that_k3s_would_pass_over_is_refused(converge: Callable[..., tuple[int, str]]) -> None:
    code, said = converge(k3s_agent_config={"no-such-key": 1})
    assert code != 0
    assert "k3s_agent_config: " in said
    assert "no-such-key" in said
    assert "changed=0" in said
