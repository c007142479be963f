"""Every key that the roles and the inventories write into config.yaml is one that k3s knows."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import k3s

ROOT = Path(__file__).parents[2]


def test_keys_of_the_roles() -> None:
    server = yaml.safe_load((ROOT / "roles/k3s_server/vars/main.yml").read_text())["__k3s_server_config"]
    node = yaml.safe_load((ROOT / "roles/k3s_node/vars/main.yml").read_text())
    shared = {*re.findall(r"'([a-z-]+)':", node["__k3s_node_config"]), *node["__k3s_node_registration"]}
    assert "token-file" in shared
    assert shared <= k3s.KEYS["agent"]
    assert server.keys() <= k3s.KEYS["server"]


def test_extra_keys_of_the_inventories() -> None:
    for file in (ROOT / "inventories").glob("*/group_vars/all/cluster.yml"):
        extra = yaml.safe_load(file.read_text())["k3s_agent_config"]
        assert k3s.config_problems(extra, "agent") == k3s.config_problems(extra, "server") == [], file
