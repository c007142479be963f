"""A file of a role's tasks, played on this machine with programs of the test's own first in PATH."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rackstart.paths import ROOT


@dataclass
class Played:
    """Exit code, number of tasks that changed something, and all that Ansible printed."""

    code: int
    changed: int
    output: str


def play(folder: Path, role: str, file: str, *, check: bool = False, **variables: Any) -> Played:
    """Play tasks/FILE of a role with the role's own vars, which `variables` override; programs lie in `folder`."""
    book = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(ROOT / f"roles/{role}/vars/main.yml")],
        "tasks": [{"import_tasks": str(ROOT / f"roles/{role}/tasks/{file}")}],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([book]))
    (folder / "variables.yml").write_text(yaml.safe_dump(variables))
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", "@variables.yml"]
    done = subprocess.run(
        [*command, *(["--check"] if check else []), "play.yml"], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    counted = re.search(r"changed=(\d+)", done.stdout)
    assert counted, done.stdout + done.stderr
    return Played(done.returncode, int(counted[1]), done.stdout)
