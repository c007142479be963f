"""The generated pages are what the code says, and a role's two places for a default say the same."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rackstart.paths import ROOT

ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/meta/argument_specs.yml"))


def test_no_generated_page_is_stale() -> None:
    check = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_argument_specs_and_defaults_name_the_same_variables_and_values(role: Path) -> None:
    specs: dict[str, Any] = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    file = role / "defaults" / "main.yml"
    defaults: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else {}
    required = {name for name, option in specs.items() if option.get("required")}
    assert specs.keys() - required <= defaults.keys() <= specs.keys()
    said = {name: option["default"] for name, option in specs.items() if "default" in option}
    assert said == {name: defaults[name] for name in said}


def test_no_advice_reads_the_log_of_one_gateway_of_several() -> None:
    """kubectl picks one pod of a Deployment; of a selector it takes all, though of each but ten lines when no --tail says more."""
    files = [path for pattern in ("docs/**/*.md", "collections/**/*.py", "roles/**/*.yml") for path in ROOT.glob(pattern)]
    lines = (line for path in files for line in path.read_text().splitlines())
    logs = [line for line in lines if "kubectl" in line and " logs " in line and "gateway" in line]
    assert logs
    assert [line for line in logs if "component=gateway" not in line or "--tail=" not in line] == []


def test_k3s_is_called_where_sudo_finds_it_on_every_distribution() -> None:
    """sudo's secure_path is without /usr/local/bin on RHEL and its kin."""
    files = [
        path
        for pattern in ("*.md", "docs/**/*.md", "collections/**/*.py", "rackstart/**/*.py", "roles/**/*.yml")
        for path in ROOT.glob(pattern)
    ]
    assert [str(path.relative_to(ROOT)) for path in files if "sudo k3s " in path.read_text()] == []
