"""What the tests of all roles share. They log in as the roles do: over ssh, as a user whose sudo asks for a password."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host
from testinfra.modules.ansible import AnsibleException

ROOT = Path(__file__).parent.parent
Run = Callable[[Host, str], tuple[int, str]]


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
def dry_run() -> Callable[[str], dict[str, int]]:
    """Run a scenario's converge.yml in check mode, from the project's own ansible.cfg; how many changes it foresees on each host."""

    def run(role: str) -> dict[str, int]:
        command = ["ansible-playbook", "--check", "--inventory=molecule/inventory", f"molecule/{role}/converge.yml"]
        environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return {host: counts["changed"] for host, counts in json.loads(done.stdout)["stats"].items()}

    return run
