"""A toy project: the real ansible.cfg, small playbooks on the controller, two inventories, and a state directory of its own."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rackstart.paths import ROOT, Project
from rackstart.stages import Stage

HOSTS = """
all:
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  children:
    k3s_server: {hosts: {server-1: }}
    k3s_agent: {hosts: {gpu-1: , gpu-2: }}
    gpu: {hosts: {gpu-1: , gpu-2: }}
    storage: {hosts: {server-1: }}
    out_of_service:
"""
PLAY = """
- name: Toy
  hosts: {hosts}
  gather_facts: false
  tasks:
    - name: Look
      ansible.builtin.debug:
        msg: all is well
"""
TABLE = (
    Stage("preflight", "all", (), "looked"),
    Stage("host", "all", ("preflight",), "prepared"),
    Stage("nodes", "k3s_agent", ("host",), "joined"),
    Stage("labels", "cluster", ("nodes",), "labelled"),
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose stages are TABLE."""
    state = tempfile.mkdtemp()  # short: ssh's control sockets lie below it
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("ANSIBLE_CONFIG", "")  # so that what a run sets is taken back
    root = tmp_path / "project"
    (root / "playbooks").mkdir(parents=True)
    shutil.copy(ROOT / "ansible.cfg", root)
    (root / "inventories" / "rack").mkdir(parents=True)
    (root / "inventories" / "rack" / "hosts.yml").write_text(HOSTS)
    for stage in TABLE:
        (root / "playbooks" / f"{stage.name}.yml").write_text(PLAY.format(hosts=stage.hosts if stage.on_hosts else "localhost"))
    yield Project.open("rack", root)
    shutil.rmtree(state)


@pytest.fixture
def playbook(project: Project) -> Callable[[str, str], None]:
    """Replace the tasks of a stage's playbook: playbook("host", TASKS)."""

    def replace(stage: str, tasks: str) -> None:
        head = (project.root / "playbooks" / f"{stage}.yml").read_text().partition("  tasks:\n")[0]
        (project.root / "playbooks" / f"{stage}.yml").write_text(f"{head}  tasks:\n{tasks}")

    return replace
