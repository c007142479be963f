"""Small real runs on this machine: hosts that fail, plays that end, results in journal and on screen."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TABLE

from rackstart import cli
from rackstart.paths import Project

Playbook = Callable[[str, str], None]
FAIL_ON_GPU_2 = """
    - name: Fit the card
      ansible.builtin.command: sh -c 'test {{ inventory_hostname }} != gpu-2 || (echo no card in slot 3 >&2; exit 7)'
      changed_when: inventory_hostname == 'gpu-1'
    - name: Look
      ansible.builtin.debug:
        msg: fine
"""
GROUPS_WITHOUT_GPU_2 = """
    - name: Look
      ansible.builtin.assert:
        that:
          - groups['rackstart_lost'] == ['gpu-2']
          - groups['out_of_service'] == ['gpu-2']
          - "'gpu-2' in groups['k3s_agent']"
"""


def rackstart(project: Project, *arguments: str) -> int:
    return cli.main(["--inventory", "rack", *arguments], project.root, TABLE)


def result(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_one_failing_host_is_left_out_and_the_others_go_on(
    project: Project, playbook: Playbook, capsys: pytest.CaptureFixture[str]
) -> None:
    head = (project.root / "playbooks" / "nodes.yml").read_text()
    (project.root / "playbooks" / "nodes.yml").write_text(head.replace("hosts: k3s_agent", "hosts: k3s_agent:!out_of_service"))
    playbook("host", FAIL_ON_GPU_2)
    playbook("labels", GROUPS_WITHOUT_GPU_2)
    assert rackstart(project, "--json") == 1
    found = {stage["stage"]: stage for stage in result(capsys)["stages"]}
    assert [(name, stage["state"]) for name, stage in found.items()] == [
        ("preflight", "passed"),
        ("host", "failed"),
        ("nodes", "passed"),
        ("labels", "passed"),
    ]
    assert found["nodes"]["hosts"].keys() == {"gpu-1"}
    assert found["host"]["changes"] == [{"task": "Fit the card", "host": "gpu-1"}]
    (failure,) = found["host"]["failures"]
    assert failure["host"] == "gpu-2"
    assert failure["place"].endswith("playbooks/host.yml:7")
    assert "no card in slot 3" in failure["message"]

    assert rackstart(project, "plan", "--resume", "--json") == 0
    planned = {row["stage"]: (row["action"], row["why"].partition(" in run ")[0]) for row in result(capsys)["stages"]}
    assert planned == {
        "preflight": ("skip", "passed"),
        "host": ("run", "failed on gpu-2"),
        "nodes": ("run", "never passed on gpu-2"),
        "labels": ("run", "passed, but nodes runs again"),
    }


def test_the_failure_is_one_screen(project: Project, playbook: Playbook, capsys: pytest.CaptureFixture[str]) -> None:
    playbook("host", FAIL_ON_GPU_2)
    assert rackstart(project, "--only", "host") == 1
    screen = capsys.readouterr().err
    run = next((project.state / "runs").iterdir())
    for words in (
        "stage host failed",
        "gpu-2",
        "Fit the card",
        "playbooks/host.yml:7",
        "no card in slot 3",
        f"{run}/host.log",
        "python bootstrap.py --inventory rack --only host --resume",
    ):
        assert words in screen
    assert "no card in slot 3" in (run / "host.log").read_text()


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("    - name: Odd\n      ansible.builtin.nowhere: {}\n", "couldn't resolve module/action 'ansible.builtin.nowhere'"),
        ("    - name: [\n", "YAML parsing failed"),
    ],
)
def test_a_broken_playbook_is_named_with_its_line(
    project: Project, playbook: Playbook, capsys: pytest.CaptureFixture[str], tasks: str, message: str
) -> None:
    playbook("host", tasks)
    assert rackstart(project, "--from", "host", "--json") == 1
    stages = result(capsys)["stages"]
    assert [stage["state"] for stage in stages] == ["failed", "blocked", "blocked"]
    (failure,) = stages[0]["failures"]
    assert message in failure["message"]
    assert "playbooks/host.yml:" in failure["place"]


def test_a_play_that_ends_for_all_stops_what_needs_it(project: Project, playbook: Playbook, capsys: pytest.CaptureFixture[str]) -> None:
    playbook("host", FAIL_ON_GPU_2)
    file = project.root / "playbooks" / "host.yml"
    file.write_text(file.read_text().replace("  gather_facts: false\n", "  gather_facts: false\n  any_errors_fatal: true\n"))
    assert rackstart(project, "--from", "host", "--json") == 1
    assert [stage["state"] for stage in result(capsys)["stages"]] == ["failed", "blocked", "blocked"]


def test_a_stage_without_hosts_does_not_let_a_failure_by(project: Project, playbook: Playbook, capsys: pytest.CaptureFixture[str]) -> None:
    playbook("host", FAIL_ON_GPU_2.replace("gpu-2", "server-1"))
    assert rackstart(project, "--from", "host", "--limit", "server-1", "--json") == 1
    states = {stage["stage"]: stage["state"] for stage in result(capsys)["stages"]}
    assert states == {"host": "failed", "nodes": "blocked", "labels": "blocked"}


def test_a_rescued_failure_is_none(project: Project, playbook: Playbook) -> None:
    playbook(
        "host",
        """
    - name: Try
      block:
        - name: Fail
          ansible.builtin.command: "false"
          changed_when: false
      rescue:
        - name: Mend
          ansible.builtin.debug:
            msg: mended
""",
    )
    assert rackstart(project, "--only", "host") == 0


def test_check_says_what_would_change_and_changes_nothing(
    project: Project, playbook: Playbook, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tasks = f"""
    - name: Write
      ansible.builtin.copy:
        content: hello
        dest: {tmp_path}/{{{{ inventory_hostname }}}}.txt
        mode: "0644"
"""
    playbook("host", tasks)
    one = ("--only", "host", "--limit", "server-1")
    assert rackstart(project, "check", *one) == 0
    assert "would change: host: Write on server-1\n" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.txt"))
    assert rackstart(project, *one) == 0
    capsys.readouterr()
    assert rackstart(project, "check", *one) == 0
    assert capsys.readouterr().out == "nothing would change\n"
