"""What the tests of all roles share. They log in as the roles do: over ssh, as a user whose sudo asks for a password."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host
from testinfra.modules.ansible import AnsibleException

ROOT = Path(__file__).parents[1]
Run = Callable[[Host, str], tuple[int, str]]
Converge = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def as_root() -> Run:
    """Run a shell command as root on a host; (exit code, standard output and error)."""

    def run(host: Host, command: str) -> tuple[int, str]:
        try:
            done = host.ansible("ansible.builtin.shell", command, become=True, check=False)
        except AnsibleException as error:
            done = error.result
        assert "rc" in done, done
        return done["rc"], f"{done['stdout']}\n{done['stderr']}".strip()

    return run


@pytest.fixture(scope="session")
def converge() -> Converge:
    """converge(VARIABLE=VALUE...): play the scenario's converge.yml once more, with other settings; (exit code, what Ansible said)."""

    def run(**settings: Any) -> tuple[int, str]:
        playbook = f"molecule/{os.environ['MOLECULE_SCENARIO_NAME']}/converge.yml"
        command = ["ansible-playbook", "--inventory=molecule/inventory/hosts.yml", playbook, "--extra-vars", json.dumps(settings)]
        environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def get(host: Host, as_root: Run) -> Callable[[str], dict[str, Any]]:
    """get(KIND/NAME): an object of the namespace llm, as the cluster of the host has it."""

    def read(what: str) -> dict[str, Any]:
        code, text = as_root(host, f"k3s kubectl --namespace=llm get {what} --output=json")
        assert code == 0, text
        return dict(json.loads(text))

    return read
