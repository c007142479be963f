"""What roles write from templates where a setting is empty or unusual; the usual case is for their scenarios."""

import re
from typing import Any

import jinja2
import jinja2.nativetypes
import pytest
import yaml

from rackstart.paths import ROOT


def rendered(template: str, **variables: Any) -> list[str]:
    """Lines without comments."""
    text = jinja2.Environment(trim_blocks=True).from_string((ROOT / "roles" / template).read_text()).render(variables)
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


OPTIONS = "(ro,root_squash,no_subtree_check,sec=sys)"


@pytest.mark.parametrize(
    ("clients", "expected"),
    [([], []), (["192.0.2.0/24", "gpu-1"], [f"/srv/models  192.0.2.0/24{OPTIONS} gpu-1{OPTIONS}"])],
)
def test_nothing_is_exported_to_everybody(clients: list[str], expected: list[str]) -> None:
    assert rendered("nfs_server/templates/exports.j2", nfs_server_path="/srv/models", nfs_server_clients=clients) == expected


@pytest.mark.parametrize(("settings", "expected"), [({}, "22"), ({"ansible_port": 22}, "22"), ({"ansible_port": "2222"}, "22, 2222")])
def test_the_firewall_admits_the_port_that_ansible_comes_in_by(settings: dict[str, Any], expected: str) -> None:
    lines = rendered("host/templates/firewall.nft.j2", host_firewall=True, host_firewall_rules=[], **settings)
    assert f"tcp dport {{ {expected} }} accept" in lines


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            {"protocol": "tcp", "ports": ["9100"], "sources": ["10.42.0.0/16", "192.0.2.1"]},
            "ip saddr { 10.42.0.0/16, 192.0.2.1 } tcp dport { 9100 }",
        ),
        ({"protocol": "udp", "ports": ["1-2", "7"], "sources": []}, "udp dport { 1-2, 7 }"),
        ({"protocol": "tcp", "ports": [], "sources": ["192.0.2.1"]}, "ip saddr { 192.0.2.1 } tcp dport 1-65535"),
        ({"protocol": "vrrp", "ports": [], "sources": ["192.0.2.0/24"]}, "ip saddr { 192.0.2.0/24 } meta l4proto 112"),
    ],
)
def test_the_firewall_admits_what_a_rack_asks_for(rule: dict[str, Any], expected: str) -> None:
    declared = yaml.safe_load((ROOT / "playbooks/group_vars/all.yml").read_text())["host_firewall_rules"]
    given = {name: [] for name in re.findall(r"\w+", declared)} | {"rackstart_gateway_service": "", "cluster_firewall_rules": [rule]}
    rules = jinja2.nativetypes.NativeEnvironment().from_string(declared).render(given)
    assert f"{expected} accept" in rendered("host/templates/firewall.nft.j2", host_firewall=True, host_firewall_rules=rules)
