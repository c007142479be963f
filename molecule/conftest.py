"""What the tests of all roles share. They log in as the roles do: over ssh, as a user whose sudo asks for a password."""

from collections.abc import Callable

import pytest
from testinfra.host import Host
from testinfra.modules.ansible import AnsibleException

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
