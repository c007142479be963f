"""What roles take inside a list or dictionary, as Ansible itself validates it: what playbooks give is taken, a mistake is named."""

from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from rackstart.paths import ROOT

MODELS = [yaml.safe_load((ROOT / f"inventories/{name}/group_vars/all/models.yml").read_text())["models"][0] for name in ("lab", "site")]
ARTIFACT = {"version": "v1", "url": "http://192.0.2.2/k3s", "upstream": "https://example.org/k3s", "sha256": "0" * 64}
REPOSITORY = {"url": "http://192.0.2.2/deb", "key_url": "http://192.0.2.2/key", "key_sha256": "0" * 64}
GATEWAY = {"address": "192.0.2.11", "service_type": "NodePort", "node_port": 30443, "certificate": "", "private_key": ""}
NUMBER = {"host": "", "name": "gateway_replicas", "value": 2, "low": "1", "high": "100"}


def model(**changed: Any) -> list[dict[str, Any]]:
    return [MODELS[0] | changed]


def without(known: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in known.items() if name != key}


TAKEN = [
    ("inference", "models", MODELS),
    ("inference", "models", model(golden_prompts=[{"prompt": "a", "expect": "b", "max_tokens": 4}], resources={})),
    ("gpu_operator", "chart", ARTIFACT),
    ("k3s_node", "binary", without(ARTIFACT, "upstream")),
    ("nvidia_container_toolkit", "repositories", {"deb": REPOSITORY, "rpm": REPOSITORY}),
    ("nvidia_container_toolkit", "repositories", {"deb": REPOSITORY}),
    ("preflight", "gateway", GATEWAY),
    ("preflight", "k3s_config", {"server": {"selinux": True}, "agent": {}}),
    ("preflight", "numbers", [NUMBER, NUMBER | {"value": [1]}]),
]
REFUSED = [
    # role, its variable without the role's name, value, what Ansible says of it
    ("inference", "models", model(golden_prompts=[{"prompt": "a"}]), "expect"),
    ("inference", "models", model(golden_prompts=[{"prompt": "a", "expect": "b", "max_token": 4}]), "max_token"),
    ("inference", "models", model(resources={"limit": {"memory": "1Gi"}}), "limit"),
    ("gpu_operator", "chart", without(ARTIFACT, "sha256"), "sha256"),
    ("k3s_node", "binary", without(ARTIFACT, "version"), "version"),
    ("nvidia_container_toolkit", "repositories", {"deb": without(REPOSITORY, "key_sha256")}, "key_sha256"),
    ("nvidia_container_toolkit", "repositories", {"apt": REPOSITORY}, "apt"),
    ("preflight", "gateway", without(GATEWAY, "node_port"), "node_port"),
    ("preflight", "gateway", GATEWAY | {"service_type": "ClusterIP"}, "ClusterIP"),
    ("preflight", "k3s_config", {"servers": {}}, "servers"),
    ("preflight", "numbers", [without(NUMBER, "high")], "high"),
    ("model_volume", "keep", [], "model_volume_server"),
    ("k3s_server", "tls_san", [], "k3s_server_token"),
]


def problems(role: str, name: str, value: Any) -> list[str]:
    spec = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    return list(ArgumentSpecValidator(spec).validate({f"{role}_{name}": value}, validate_role_argument_spec=True).error_messages)


@pytest.mark.parametrize(("role", "name", "value"), TAKEN)
def test_what_playbooks_give_is_taken(role: str, name: str, value: Any) -> None:
    assert [text for text in problems(role, name, value) if name in text] == []


@pytest.mark.parametrize(("role", "name", "value", "said"), REFUSED)
def test_a_mistake_is_named(role: str, name: str, value: Any, said: str) -> None:
    assert said in " ".join(problems(role, name, value))
