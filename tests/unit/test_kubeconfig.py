"""What is said when no server gives a kubeconfig, by the playbooks' own tasks: this machine plays a server that answers and has no k3s."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rackstart.paths import ROOT

HERE = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}", "ansible_become": False}
SERVERS = {"away": {"ansible_host": "127.9.9.9", "ansible_port": 1}, "idle": {"ansible_host": "127.0.0.1", **HERE}}
UNHEARD = "away cannot be reached by ssh; `python bootstrap.py --inventory rack doctor` says why."
UNREADY = "No k3s server is ready (idle). Run the stage control_plane, or look at `journalctl -u k3s` there."


@pytest.mark.parametrize(
    ("asked", "said"),
    [(["away"], UNHEARD), (["idle"], UNREADY), (["away", "idle"], f"{UNHEARD} {UNREADY}"), ([], UNREADY.replace("idle", ""))],
)
def test_a_server_that_is_away_is_told_from_one_that_is_not_ready(tmp_path: Path, asked: list[str], said: str) -> None:
    inventory = {"all": {"hosts": {"localhost": HERE, **SERVERS}}}
    variables = {"rackstart_servers": asked, "rackstart_kubeconfig": str(tmp_path / "none")}
    tasks = [{"import_tasks": str(ROOT / "playbooks/tasks/kubeconfig.yml"), "become": False}]
    (tmp_path / "rack").mkdir()
    (tmp_path / "rack" / "hosts.yml").write_text(yaml.safe_dump(inventory))
    (tmp_path / "systemctl").write_text(
        "#!/bin/sh\necho ActiveState=inactive\necho UnitFileState=\necho\n" + "echo ActiveState=inactive\necho UnitFileState=\n"
    )
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}]))
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "rack", "play.yml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert f'"msg": "{said}"' in done.stdout, done.stdout + done.stderr
