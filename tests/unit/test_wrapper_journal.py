"""The journal, and what --resume makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import TABLE

from rackstart import digest, journal, resume
from rackstart.digest import Inputs
from rackstart.inventory import Inventory
from rackstart.journal import Journal
from rackstart.paths import Project

HOSTS = Inventory(Path("rack"), ("server-1", "gpu-1", "gpu-2"), {"k3s_agent": ("gpu-1", "gpu-2")})
OLD, NEW = Inputs({"roles/a": "1", "roles/b": "1"}), Inputs({"roles/a": "1", "roles/b": "2", "roles/c": "1"})


def write_run(state: Path, name: str, inputs: Inputs, stages: dict[str, str | dict[str, bool] | None]) -> None:
    """A former run. A stage: its state, or host -> passed, or None when it was cut short."""
    writer = Journal(state / "runs" / name)
    writer.write("run", command="run")
    writer.write("inputs", digest=inputs.digest, inputs=inputs.files)
    for stage, ended in stages.items():
        writer.write("stage_start", stage=stage, hosts=[])
        if ended is None:
            continue
        hosts = ended if isinstance(ended, dict) else dict.fromkeys(("server-1", "gpu-1", "gpu-2", "localhost"), ended == "passed")
        counts = {host: {"failed": int(not passed), "unreachable": 0} for host, passed in hosts.items()}
        state_ = ended if isinstance(ended, str) else "passed" if all(ended.values()) else "failed"
        writer.write("stage_end", stage=stage, state=state_, on=list(hosts), hosts=counts, aborted=False)
    writer.write("end", state="done")
    writer.close()


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, "1", OLD, {"host": "passed"})
    file = tmp_path / "runs" / "1" / "journal.jsonl"
    whole = journal.read(file.parent)
    text = file.read_bytes()
    for cut in range(len(text.rstrip().rpartition(b"\n")[0]) + 2, len(text) - 1):
        file.write_bytes(text[:cut])
        torn = journal.read(file.parent)
        assert torn.ended is None
        assert torn.stages == whole.stages
    file.write_bytes(text[:-9])
    writer = Journal(file.parent)  # the next run closes it
    writer.write("end", state="killed")
    writer.close()
    assert (journal.read(file.parent).ended or {})["state"] == "killed"


def test_records_are_private_and_in_order(tmp_path: Path) -> None:
    write_run(tmp_path, "1", OLD, {"host": "passed"})
    file = tmp_path / "runs" / "1" / "journal.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line)["kind"] for line in file.read_text().splitlines()] == ["run", "inputs", "stage_start", "stage_end", "end"]


def test_old_runs_are_removed(tmp_path: Path) -> None:
    for number in range(30):
        write_run(tmp_path, f"20250101-0000{number}", OLD, {})
    new = journal.new_run(tmp_path)
    kept = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(kept) == journal.KEPT_RUNS
    assert kept[-1] == new.name


PASSED = dict.fromkeys(("preflight", "host", "nodes", "labels"), "passed")
CASES: dict[str, tuple[list[tuple[Inputs, dict[str, Any]]], dict[str, str]]] = {
    # former runs, oldest first -> stage: why
    "nothing ran": ([], dict.fromkeys(PASSED, "never ran")),
    "all passed": ([(OLD, PASSED)], dict.fromkeys(PASSED, "passed in run 0")),
    "inputs changed": ([(NEW, PASSED)], dict.fromkeys(PASSED, "inputs changed since run 0: roles/b, roles/c")),
    "changed and back": ([(OLD, PASSED), (NEW, {"host": "passed"})], {"nodes": "ran in 0, but a later run had other inputs"}),
    "one failed": (
        [(OLD, PASSED | {"host": {"server-1": True, "gpu-1": False, "gpu-2": True}})],
        {"preflight": "passed in run 0", "host": "failed on gpu-1 in run 0", "nodes": "passed, but host runs again"},
    ),
    "a host was left out": ([(OLD, PASSED | {"nodes": {"gpu-1": True}})], {"host": "passed", "nodes": "never passed on gpu-2"}),
    "two runs together": (
        [(OLD, PASSED | {"nodes": {"gpu-1": True}}), (OLD, {"nodes": {"gpu-2": True}})],
        {"nodes": "passed", "labels": "passed"},
    ),
    "failed after passing": ([(OLD, PASSED), (OLD, {"labels": "failed"})], {"nodes": "passed", "labels": "failed in run 1"}),
    "cut short": ([(OLD, {"preflight": "passed", "host": None})], {"preflight": "passed", "host": "was cut short", "nodes": "never ran"}),
    "interrupted": ([(OLD, {"preflight": "passed", "host": "interrupted"})], {"host": "never passed on server-1, gpu-1, gpu-2"}),
}


@pytest.mark.parametrize("case", CASES)
def test_why_a_stage_runs(tmp_path: Path, case: str) -> None:
    former, expected = CASES[case]
    for number, (inputs, stages) in enumerate(former):
        write_run(tmp_path, str(number), inputs, stages)
    decisions = resume.decide(TABLE, HOSTS, OLD, journal.runs(tmp_path))
    for stage, why in expected.items():
        assert decisions[stage].why.startswith(why)
        assert decisions[stage].passed == (why.startswith("passed") and "again" not in why)


def test_the_verdict_is_taken_anew(tmp_path: Path) -> None:
    from rackstart.stages import STAGES

    write_run(tmp_path, "0", OLD, {stage.name: "passed" for stage in STAGES})
    decisions = resume.decide(STAGES, HOSTS, OLD, journal.runs(tmp_path))
    assert [name for name, decision in decisions.items() if not decision.passed] == ["verify"]


@pytest.mark.parametrize(
    "file",
    [
        "roles/host/tasks/main.yml",
        "playbooks/host.yml",
        "collections/ansible_collections/a/b/plugins/modules/c.py",
        "artifacts.yml",
        "inventories/rack/group_vars/all/gpu.yml",
        "inventories/rack/artifacts.lock.yml",
    ],
)
def test_every_kind_of_input_counts(project: Project, file: str) -> None:
    before = digest.of(project, [])
    path = project.root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed: true\n")
    after = digest.of(project, [])
    assert before.digest != after.digest
    assert digest.differences(before.files, after.files) == [file]


def test_extra_variables_count_by_content(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "vars.yml"
    file.write_text("a: 1\n")
    digests = {digest.of(project, []).digest, digest.of(project, ["a=1"]).digest, digest.of(project, [f"@{file}"]).digest}
    file.write_text("a: 2\n")
    digests.add(digest.of(project, [f"@{file}"]).digest)
    assert len(digests) == 4


def test_what_python_compiles_does_not_count(project: Project) -> None:
    before = digest.of(project, [])
    compiled = project.root / "collections" / "x" / "__pycache__" / "x.pyc"
    compiled.parent.mkdir(parents=True)
    compiled.write_bytes(b"1")
    assert digest.of(project, []) == before
