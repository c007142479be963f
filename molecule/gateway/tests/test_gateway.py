"""Role gateway: who is let in, on every replica and without a restart, and what it may do itself; without engines behind it."""

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import certificates, gateway_client
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
FOLDER = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
ADDRESS: gateway_client.Address = {"host": "10.77.0.43", "port": 30443, "ca": [str(FOLDER / "gateway-ca.crt")]}
MODEL = {"served_name": "tiny", "golden_prompts": [{"prompt": "a", "expect": "b"}], "context_length": 64}
KEY = "rk-of-a-test"
HASH = hashlib.sha256(KEY.encode()).hexdigest()
TRIES = 12  # the Service leads each connection to any replica
Run = Callable[[Host, str], tuple[int, str]]


@pytest.fixture
def pods(host: Host, as_root: Run) -> Callable[[], list[dict[str, Any]]]:
    def read() -> list[dict[str, Any]]:
        selector = "app.kubernetes.io/component=gateway"
        code, text = as_root(
            host, f"k3s kubectl --namespace=llm get pods --selector={selector} --field-selector=status.phase=Running -o json"
        )
        assert code == 0, text
        return [pod for pod in json.loads(text)["items"] if not pod["metadata"].get("deletionTimestamp")]

    return read


def keys(**asked: Any) -> dict[str, Any]:
    """What the module gateway_keys says."""
    command = ["ansible", "localhost", "--module-name=rackstart.cluster.gateway_keys", f"--args={json.dumps(asked)}"]
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "K8S_AUTH_KUBECONFIG": str(FOLDER / "kubeconfig"),
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline",
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    text = done.stdout.partition("=> ")[2] or "{}"
    return dict(json.JSONDecoder().raw_decode(text)[0], said=done.stdout + done.stderr)


def listed() -> set[str]:
    """Every answer to many connections of a client with the key."""
    return {str(gateway_client.listed(ADDRESS, KEY, 30))[:8] for _ in range(TRIES)}


def test_a_key_comes_and_goes_on_every_replica_and_none_is_restarted(pods: Callable[[], list[dict[str, Any]]]) -> None:
    before = [(pod["metadata"]["name"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in pods()]
    assert len(before) == 2
    assert listed() == {"HTTP 401"}
    added = keys(state="present", client="test", sha256=HASH, models=["tiny"])
    try:
        assert added["told"] == sorted(name for name, _ in before), added["said"]
        assert listed() == {"['tiny']"}
        assert "HTTP 503" in gateway_client.answer_problem(ADDRESS, KEY, MODEL, 30)  # there is no engine
        assert "has a key" in keys(state="present", client="test", sha256="0" * 64)["said"]
    finally:
        ended = keys(state="absent", client="test")
    assert ended["changed"], ended["said"]
    assert listed() == {"HTTP 401"}
    assert [(pod["metadata"]["name"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in pods()] == before
    assert gateway_client.refusals(ADDRESS, 30) == dict.fromkeys(gateway_client.KEYS, "HTTP 401")


def test_it_may_do_little(pods: Callable[[], list[dict[str, Any]]]) -> None:
    for pod in pods():
        [container] = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert pod["spec"]["securityContext"]["runAsUser"] == 99
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert "@sha256:" in container["image"]


def test_no_secret_is_in_a_manifest(host: Host, as_root: Run) -> None:
    _, text = as_root(host, "k3s kubectl --namespace=llm get configmap,deployment,service,pod --output=json")
    assert "gateway" in text
    assert "engine-key-of-tests" not in text
    assert "verify-key-of-tests" not in text


def test_a_certificate_that_is_not_there_is_missed(converge: Callable[..., tuple[int, str]]) -> None:
    code, said = converge(gateway_certificate="/none.crt", gateway_certificate_key="/none.key")
    assert code != 0
    assert "/none.crt with /none.key cannot be read" in said


def test_a_certificate_of_the_user_is_served_and_the_roles_own_again(converge: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    authority, server = certificates.made({}, {}, [str(ADDRESS["host"])])
    texts = {"ca.pem": authority["tls.crt"], "chain.pem": server["tls.crt"] + authority["tls.crt"], "key.pem": server["tls.key"]}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    theirs: gateway_client.Address = {**ADDRESS, "ca": [f"{tmp_path}/ca.pem"]}
    pair = {"gateway_certificate": f"{tmp_path}/chain.pem", "gateway_certificate_key": f"{tmp_path}/key.pem"}
    code, said = converge(**pair, gateway_ca_certificates=theirs["ca"])
    assert code == 0, said
    assert gateway_client.refusals(theirs, 30) == dict.fromkeys(gateway_client.KEYS, "HTTP 401")
    assert "HTTP" not in str(gateway_client.refusals(ADDRESS, 30))
    code, said = converge()
    assert code == 0, said
    assert gateway_client.refusals(ADDRESS, 30) == dict.fromkeys(gateway_client.KEYS, "HTTP 401")
