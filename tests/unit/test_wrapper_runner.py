"""What ansible-runner is asked for, command by command, and what of a run lands on disk."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ansible_runner
import pytest
from conftest import TABLE

from rackstart import cli, runner
from rackstart.paths import Project

Calls = list[dict[str, Any]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Replaces ansible_runner.run by one that passes at once and remembers its arguments, and the files of extra variables as then."""
    seen: Calls = []

    def run(**arguments: Any) -> SimpleNamespace:
        files = [Path(word[1:]) for word in (arguments["cmdline"] or "").split() if word.startswith("@")]
        seen.append(arguments | {"files": [(file.name, stat.S_IMODE(file.stat().st_mode), file.read_text()) for file in files]})
        return SimpleNamespace(status="successful")

    monkeypatch.setattr(ansible_runner, "run", run)
    return seen


def rackstart(project: Project, *arguments: str) -> int:
    return cli.main(["--inventory", "rack", *arguments], project.root, TABLE)


def test_all_arguments_of_a_stage(project: Project, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert rackstart(project, "--only", "host") == 0
    (arguments,) = calls
    run = next((project.state / "runs").iterdir())
    for handler in ("event_handler", "status_handler", "cancel_callback"):
        assert callable(arguments.pop(handler))
    assert arguments.pop("files") == []
    assert arguments == {
        "private_data_dir": str(run / "tmp" / "host"),
        "artifact_dir": str(run / "tmp" / "host" / "artifacts"),
        "ident": "host",
        "project_dir": str(project.root),
        "playbook": "playbooks/host.yml",
        "inventory": [str(project.inventory)],
        "limit": None,
        "cmdline": None,
        "verbosity": None,
        "quiet": True,
        "fact_cache_type": "memory",
        "settings": {"pexpect_timeout": 1, "suppress_output_file": True},
        "envvars": {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin",
            "ANSIBLE_CONFIG": str(project.root / "ansible.cfg"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(project.state / "ssh"),
            "ANSIBLE_LOCAL_TEMP": str(run / "tmp" / "host" / "tmp"),
            "ANSIBLE_NOCOLOR": "True",
            "RACKSTART_RUN": run.name,
        },
    }


ALL = [stage.name for stage in TABLE]


@pytest.mark.parametrize(
    ("arguments", "stages", "expected"),
    [
        ([], ALL, {"cmdline": None, "limit": None}),
        (["run"], ALL, {}),
        (["check"], ALL, {"cmdline": "--check --diff"}),
        (["--from", "nodes"], ALL[2:], {}),
        (["--only", "labels", "--only", "host"], ["host", "labels"], {}),
        (["doctor"], ["preflight"], {}),
        (["--only", "host", "--limit", "gpu"], ["host"], {"limit": "gpu-1,gpu-2,localhost"}),
        (["--limit", "gpu-1", "--only", "labels"], ["labels"], {"limit": None}),
        (["--only", "host", "-v"], ["host"], {"verbosity": None}),
        (["--only", "host", "-vvv"], ["host"], {"verbosity": 2}),
    ],
)
def test_each_command_runs_its_stages_with_its_arguments(
    project: Project, calls: Calls, arguments: list[str], stages: list[str], expected: dict[str, Any]
) -> None:
    assert rackstart(project, *arguments) == 0
    assert [call["ident"] for call in calls] == stages
    for call in calls:
        assert {key: call[key] for key in expected} == expected


def test_plan_and_status_run_nothing(project: Project, calls: Calls) -> None:
    assert rackstart(project, "plan") == rackstart(project, "status") == 0
    assert calls == []


def test_stages_without_hosts_are_skipped_and_limits_never_skip_the_cluster(
    project: Project, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rackstart(project, "--limit", "server-1") == 0
    assert [call["ident"] for call in calls] == ["preflight", "host", "labels"]
    assert "no hosts in k3s_agent" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a=1 b='x y'", '{"a": "1", "b": "x y"}'),
        ('{"a": [1]}', '{"a": [1]}'),
        ("{a: 2}", "{a: 2}"),
        ('{\t"a": 3}', '{\t"a": 3}'),
        ("{a: !unsafe '{{ b }}'}", "{a: !unsafe '{{ b }}'}"),
    ],
)
def test_extra_variables_reach_ansible_by_private_files_alone(project: Project, calls: Calls, given: str, expected: str) -> None:
    assert rackstart(project, "--only", "host", "-e", given) == 0
    assert calls[0]["cmdline"].startswith("-e @/")
    assert calls[0]["files"] == [("extra-vars-1.yml", 0o600, expected)]


def test_files_of_extra_variables_keep_their_place_in_the_order(project: Project, calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "vars.yml"
    file.write_text("a: 1\n")
    assert rackstart(project, "--only", "host", "-e", "a=0", "-e", f"@{file}", "-e", "b=2") == 0
    assert [name for name, _, _ in calls[0]["files"]] == ["extra-vars-1.yml", "vars.yml", "extra-vars-3.yml"]


@pytest.mark.parametrize("wrong", ["just-a-word", "@/nowhere.yml"])
@pytest.mark.parametrize("command", ["run", "plan"])
def test_wrong_extra_variables_are_refused(
    project: Project, calls: Calls, capsys: pytest.CaptureFixture[str], command: str, wrong: str
) -> None:
    assert rackstart(project, command, "-e", wrong) == 2
    assert f"-e {wrong}: " in capsys.readouterr().err
    assert calls == []


@pytest.mark.parametrize("where", ["text", "file"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{hush: 1", "not valid YAML or JSON at line 1, column 9; write a mapping"),
        ("{a: *hush}", "not valid YAML or JSON at line 1, column 5; write a mapping"),
        ('[{"hush": 1}]', "no mapping; write one such as {key: value}"),
        ("[hush", "not valid YAML or JSON at line 1, column 6; write a mapping"),
    ],
)
def test_extra_variables_that_are_no_mapping_are_refused_without_their_values(
    project: Project, calls: Calls, capsys: pytest.CaptureFixture[str], tmp_path: Path, where: str, wrong: str, said: str
) -> None:
    file = tmp_path / "vars.yml"
    file.write_text(wrong)
    assert rackstart(project, "-e", "a=1", "-e", wrong if where == "text" else f"@{file}") == 2
    error = capsys.readouterr().err
    assert f"-e {'number 2' if where == 'text' else f'@{file}'}: {said}" in error
    assert "hush" not in error
    assert calls == []


@pytest.mark.parametrize(
    ("held", "code"), [("", 2), ("a\n", 2), ("\0", 2), (None, 2), ("$ANSIBLE_VAULT;1.1;AES256\n3031\n", 0), ("a: !vault x\n", 0)]
)
def test_files_of_extra_variables_hold_a_mapping_or_are_encrypted(
    project: Project, calls: Calls, capsys: pytest.CaptureFixture[str], tmp_path: Path, held: str | None, code: int
) -> None:
    file = tmp_path / "vars.yml"
    if held is None:
        file.mkdir()
    else:
        file.write_text(held)
    assert rackstart(project, "--only", "host", "-e", f"@{file}") == code
    assert (f"-e @{file}: " in capsys.readouterr().err) == bool(code)


def test_secrets_leave_the_environment_and_paths_to_them_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "OPENAI_API_KEY", "GITHUB_PAT", "SSHPASS"]
    harmless = ["ANSIBLE_VAULT_PASSWORD_FILE", "SSH_AUTH_SOCK", "KEYBOARD", "PATH"]
    for name in secret + harmless:
        monkeypatch.setenv(name, "x")
    assert set(secret) <= set(runner.drop_secrets_from_environment())
    assert not set(secret) & set(os.environ)
    assert set(harmless) <= set(os.environ)


def test_a_real_run_leaves_no_secret_on_disk(
    project: Project, playbook: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    canaries = ["canary-extra-variable", "canary-environment", "canary-named-oddly", "canary-task"]
    monkeypatch.setenv("HF_TOKEN", canaries[1])
    monkeypatch.setenv("ODDLY_NAMED", canaries[2])
    playbook(
        "host",
        f"""
    - name: Use a secret
      ansible.builtin.copy:
        content: "{{{{ given }}}} {canaries[3]}"
        dest: "{tmp_path}/{{{{ inventory_hostname }}}}"
        mode: "0600"
      no_log: true
    - name: Look for them while the run goes on
      ansible.builtin.command: grep -rlE 'canary-(environment|named|task)' {project.state}
      register: found
      changed_when: false
      failed_when: found.rc != 1
""",
    )
    assert rackstart(project, "--only", "host", "--limit", "gpu-1", "-e", f"given={canaries[0]}") == 0
    assert (tmp_path / "gpu-1").read_text() == "canary-extra-variable canary-task"
    for file in (path for path in project.state.rglob("*") if path.is_file()):
        assert [canary for canary in canaries if canary in file.read_text()] == [], file
    assert stat.S_IMODE(project.state.stat().st_mode) == 0o700
    run = next((project.state / "runs").iterdir())
    assert sorted(path.name for path in run.iterdir()) == ["host.log", "journal.jsonl"]


def test_a_vault_without_its_password_is_said_with_what_to_set(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("right")
    vault = project.inventory / "group_vars" / "all" / "vault.yml"
    vault.parent.mkdir(parents=True)
    vault.write_text("secret: 1\n")
    programs = Path(sys.executable).parent
    subprocess.run([programs / "ansible-vault", "encrypt", "--vault-password-file", tmp_path / "password", vault], check=True)
    (tmp_path / "password").write_text("wrong")
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE", raising=False)
    for file in (None, str(tmp_path / "password")):
        if file:
            monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", file)
        assert rackstart(project, "doctor") == 3
        said = capsys.readouterr().err
        assert "set ANSIBLE_VAULT_PASSWORD_FILE" in said
        assert "without a reason" not in said
