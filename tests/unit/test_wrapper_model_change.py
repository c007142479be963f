"""`model add|stage|promote|remove|gc` from outside: what is declared, which stages run, what a failure leaves. Ansible is played."""

import contextlib
import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ansible_runner
import pytest
import yaml

from rackstart import cli
from rackstart.paths import Project
from rackstart.stages import STAGES

# As in a process of its own, where nothing has brought Ansible's way to find collections before.
importlib.import_module("ansible_collections.rackstart.cluster.plugins.module_utils.checks_models")

OLD, NEW = "a" * 40, "b" * 40
FIELDS = "replicas: 1, gpus_per_replica: 1, context_length: 9, startup_seconds: 9, dtype: auto"
MODELS = f"""# what the rack serves
models:
  - name: tiny
    repo: org/tiny
    revision: {OLD} # of March
    engine: vllm
    served_name: tiny
    <<: {{{FIELDS}}}
  - name: big # for the lab
    repo: org/big
    revision: {OLD}
    engine: vllm
    served_name: "{{{{ 'large' }}}}"
    <<: {{{FIELDS}}}
"""
ADD = {"repository": "org/new", "revision": NEW, "context": "4096", "prompt": "2+2?", "expect": "4"}
FREED = {
    "volumes": ["PersistentVolume/weights-tiny-1"],
    "store": [
        {"what": "org/tiny/1", "bytes": 3 << 30, "why": "declared: tiny"},
        {"what": ".unused/org/tiny/2", "bytes": 5 << 29, "why": ""},
        {"what": ".staging/3", "bytes": 12, "why": ""},
    ],
}


class Rack:
    """The project, and what its stages do: `fails` are those that fail, `during` is done while a stage runs."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.file = project.inventory / "group_vars/all/models.yml"
        self.file.parent.mkdir(parents=True)
        self.file.write_text(MODELS)
        self.fails: set[str] = set()
        self.during: Callable[[str], None] = lambda stage: None
        self.ran: list[str] = []
        self.cmdline = ""
        for name in [*(f"{stage.name}.yml" for stage in STAGES), "day2/gc.yml"]:
            (project.root / "playbooks" / name).parent.mkdir(exist_ok=True)
            (project.root / "playbooks" / name).write_text("[]\n")

    def run(self, *, ident: str, cmdline: str | None, event_handler: Callable[[dict[str, Any]], bool], **_: Any) -> SimpleNamespace:
        self.ran.append(ident)
        self.cmdline = cmdline or ""
        self.during(ident)
        if ident == "gc":
            (self.project.state / "gc.json").write_text(json.dumps(FREED))
        if ident not in self.fails:
            return SimpleNamespace(status="successful")
        data = {"host": "localhost", "task": "Try", "task_path": "roles/x.yml:9", "res": {"msg": "it went wrong"}}
        event_handler({"event": "runner_on_failed", "event_data": data, "stdout": "fatal"})
        return SimpleNamespace(status="failed")

    def __call__(self, *arguments: str) -> int:
        return cli.main(["--inventory", "rack", "model", *arguments], self.project.root)

    @property
    def text(self) -> str:
        return self.file.read_text()


@pytest.fixture
def rack(project: Project, monkeypatch: pytest.MonkeyPatch) -> Rack:
    found = Rack(project)
    monkeypatch.setattr(ansible_runner, "run", found.run)
    return found


def add(name: str = "new", **changes: str | None) -> list[str]:
    options = {option: value for option, value in (ADD | changes).items() if value is not None}
    return ["add", name, *(word for option, value in options.items() for word in (f"--{option}", value))]


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The declaration's folder, as for a user who is not root."""
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if target.name == "models.yml":
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    screen = capsys.readouterr()
    return screen.out + screen.err


@pytest.mark.parametrize(("options", "field", "value"), [
    ({}, "gpus_per_replica", 1),
    ({"gpus": "2", "replicas": "0"}, "replicas", 0),
    ({"engine": "ollama", "file": "new-Q4.gguf", "gpus": "0", "served-name": "new:q4"}, "node_selector", {}),
])  # fmt: skip
def test_added_is_declared_and_nothing_else(
    rack: Rack, capsys: pytest.CaptureFixture[str], options: dict[str, str], field: str, value: object
) -> None:
    assert rack(*add(**options)) == 0
    assert rack.text.startswith(MODELS)
    model = yaml.safe_load(rack.text)["models"][2]
    assert (model["name"], model["repo"], model["revision"], model[field]) == ("new", "org/new", NEW, value)
    assert rack.ran == []
    assert "model stage new" in said(capsys)


BAD_ADD: dict[str, tuple[list[str], str]] = {
    "a name that is taken": (add("tiny"), "models.yml declares a model tiny already"),
    "a served name that is taken": (add(**{"served-name": "large"}), "model.served_name: seen large"),
    "a name that breaks vLLM": (add("vllm-1"), "model.name: seen vllm-1"),
    "a branch": (add(revision="main"), "model.revision: seen main; expected 40 hexadecimal digits"),
    "no repository of the hub": (add(repository="new"), "model.repo: seen new"),
    "an unknown engine": (add(engine="tgi"), "model.engine: seen tgi"),
    "vLLM without a GPU": (add(gpus="0"), "model.engine: seen vllm without a GPU"),
    "Ollama without a file": (add(engine="ollama"), "--engine ollama and --file go together"),
    "a part of a file": (add(engine="ollama", file="x-00001-of-00002.gguf"), "model.ollama: seen x-00001"),
    "a file of vLLM's": (add(file="x.gguf"), "--engine ollama and --file go together"),
    "a strange size": (add(memory="32 GB"), "--memory 32 GB: write"),
    "no prompt": (add(prompt=None, expect=None), "model add needs --prompt, --expect"),
    "no name": (["add"], "model add NAME: say which model"),
}


@pytest.mark.parametrize("name", BAD_ADD)
def test_bad_input_is_refused_before_anything_is_touched(rack: Rack, capsys: pytest.CaptureFixture[str], name: str) -> None:
    arguments, reason = BAD_ADD[name]
    assert rack(*arguments) == 2
    assert reason in said(capsys)
    assert (rack.text, rack.ran) == (MODELS, [])


def test_what_was_wrong_before_is_no_reason_against_a_new_one(rack: Rack) -> None:
    rack.file.write_text(MODELS.replace("org/tiny", "tiny"))
    assert rack(*add()) == 0


@pytest.mark.parametrize(("arguments", "revision"), [([], OLD), (["--revision", NEW], NEW)])
def test_staged_is_fetched_and_mounted_alone_and_not_declared(rack: Rack, arguments: list[str], revision: str) -> None:
    told = []

    def look(_: str) -> None:
        [file] = re.findall(r"-e @(\S+)", rack.cmdline)
        told.append(json.loads(Path(file).read_text())["models"])

    rack.during = look
    assert rack("stage", "big", *arguments) == 0
    assert rack.ran == ["models", "volumes"]
    assert [[(model["name"], model["revision"], model["served_name"]) for model in models] for models in told] == [
        [("big", revision, "large")]
    ] * 2
    assert rack.text == MODELS


def test_promoted_is_declared_and_served(rack: Rack) -> None:
    rack.during = lambda stage: None if rack.text == MODELS.replace(OLD, NEW, 1) else pytest.fail(f"{stage} ran before it was declared")
    assert rack("promote", "tiny", "--revision", NEW) == 0
    assert rack.ran == ["models", "volumes", "inference", "gateway", "monitoring"]
    assert rack.text == MODELS.replace(OLD, NEW, 1)
    rack.ran.clear()
    assert rack("promote", "tiny") == 0
    assert rack.ran == ["models", "volumes", "inference", "gateway", "monitoring"]


@pytest.mark.parametrize(("stage", "stays"), [("models", False), ("volumes", False), ("inference", False), ("gateway", True)])
def test_what_does_not_come_into_service_is_not_declared(rack: Rack, capsys: pytest.CaptureFixture[str], stage: str, stays: bool) -> None:
    rack.fails = {stage}
    assert rack("promote", "tiny", "--revision", NEW) == 1
    assert rack.text == (MODELS.replace(OLD, NEW, 1) if stays else MODELS)
    output = said(capsys)
    assert (f"declares tiny at {OLD} again" in output) is not stays
    assert re.search(f"go on +python bootstrap.py --inventory rack model promote tiny --revision {NEW} *\n", output)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full")])
def test_a_promotion_that_is_broken_off_is_not_declared(rack: Rack, error: Any) -> None:
    def fail(_: str) -> None:
        raise error

    rack.during = fail
    with contextlib.suppress(OSError):
        assert rack("promote", "tiny", "--revision", NEW) == 130
    assert rack.text == MODELS


def test_what_somebody_wrote_meanwhile_is_theirs(rack: Rack, capsys: pytest.CaptureFixture[str]) -> None:
    rack.fails = {"models"}
    rack.during = lambda _: rack.file.write_text(rack.text + "# a note\n") and None
    assert rack("promote", "tiny", "--revision", NEW) == 1
    assert rack.text.endswith("# a note\n")
    assert f"write {OLD} for tiny" in said(capsys)


def test_a_declaration_that_cannot_be_put_back_is_told(
    rack: Rack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rack.fails = {"inference"}
    rack.during = lambda _: read_only(monkeypatch)
    assert rack("promote", "tiny", "--revision", NEW) == 1
    assert re.search(f"models.yml cannot be written: .*write {OLD} for tiny", said(capsys))


@pytest.mark.parametrize("other", [
    ["promote", "big", "--revision", NEW], ["remove", "big"], add(), ["stage", "big"], ["gc"], ["rollback", "tiny"],
], ids=lambda words: words[0])  # fmt: skip
def test_two_at_once(rack: Rack, capsys: pytest.CaptureFixture[str], other: list[str]) -> None:
    codes: list[int] = []

    def once(_: str) -> None:
        rack.during = lambda _: None
        codes.append(rack(*other))

    rack.during = once
    assert rack("promote", "tiny", "--revision", NEW) == 0
    assert codes == [5]
    assert "'model promote tiny' of user" in said(capsys)
    assert rack.text == MODELS.replace(OLD, NEW, 1)
    assert rack.ran == ["models", "volumes", "inference", "gateway", "monitoring"]


@pytest.mark.parametrize("arguments", [add(), ["promote", "tiny", "--revision", NEW], ["remove", "tiny"]], ids=lambda words: words[0])
def test_a_file_that_cannot_be_written_ends_it_before_anything_is_run(
    rack: Rack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    read_only(monkeypatch)
    assert rack(*arguments) == 2
    assert "models.yml cannot be written" in said(capsys)
    assert (rack.text, rack.ran) == (MODELS, [])


def test_removed_is_declared_no_more_and_what_served_it_goes(rack: Rack, capsys: pytest.CaptureFixture[str]) -> None:
    assert rack("remove", "tiny") == 0
    assert rack.ran == ["inference", "gateway", "monitoring"]
    assert rack.text == MODELS[: MODELS.index("  - name: tiny")] + MODELS[MODELS.index("  - name: big") :]
    assert rack("remove", "big") == 2
    assert "big is the only model" in said(capsys)


def test_a_removal_that_fails_is_gone_on_with(rack: Rack, capsys: pytest.CaptureFixture[str]) -> None:
    rack.fails = {"inference"}
    assert rack("remove", "tiny") == 1
    assert "name: tiny" not in rack.text
    assert re.search("go on +python bootstrap.py --inventory rack --only inference --only gateway --only monitoring --resume", said(capsys))


@pytest.mark.parametrize("arguments", [["stage"], ["promote", "--revision", NEW], ["remove"]], ids=lambda words: words[0])
def test_unknown_models_are_refused(rack: Rack, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert rack(arguments[0], "other", *arguments[1:]) == 2
    assert "there is no model other; declared: tiny, big" in said(capsys)
    assert (rack.text, rack.ran) == (MODELS, [])


@pytest.mark.parametrize(("arguments", "reason"), [
    (["promote", "tiny", "--revision", "main"], "--revision main: write the commit, all 40"),
    (["stage", "tiny", "--revision", "main"], "--revision main: write the commit, all 40"),
    (["promote"], "say which model"),
    (["remove", "tiny", "--revision", NEW], "model remove takes no --revision"),
    (["promote", "tiny", "--replicas", "2"], "model promote takes no --replicas"),
    (["list", "--check"], "model list takes no --check"),
    (["gc", "tiny"], "model gc takes no name"),
])  # fmt: skip
def test_wrong_usage_touches_nothing(rack: Rack, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str) -> None:
    assert rack(*arguments) == 2
    assert reason in said(capsys)
    assert (rack.text, rack.ran) == (MODELS, [])


@pytest.mark.parametrize(("arguments", "dry"), [(["gc"], False), (["gc", "--check"], True)])
def test_what_nothing_needs_is_named_with_its_size(rack: Rack, capsys: pytest.CaptureFixture[str], arguments: list[str], dry: bool) -> None:
    hook = rack.project.inventory / "hooks/before-run"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {rack.project.state}/reached\n")
    hook.chmod(0o755)
    assert rack(*arguments) == 0
    assert rack.ran == ["gc"]
    assert (rack.project.state / "reached").exists()
    assert ("--check" in rack.cmdline) is dry
    output = capsys.readouterr().out
    gone = "would be removed" if dry else "removed"
    for row in (rf"PersistentVolume/weights-tiny-1 +{gone}", rf"org/tiny/2 +2.5 GiB +{gone}", r"org/tiny/1 +3.0 GiB +kept: declared: tiny"):
        assert re.search(row, output)
    assert f"2.5 GiB {gone}" in output


def test_gc_that_fails_says_why(rack: Rack, capsys: pytest.CaptureFixture[str]) -> None:
    rack.fails = {"gc"}
    assert rack("gc") == 1
    output = said(capsys)
    assert "it went wrong" in output
    assert re.search("go on +python bootstrap.py --inventory rack model gc *\n", output)
    assert "GiB" not in output


def test_json_is_all_there_is_on_standard_output(rack: Rack, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, key in ((["gc"], "store"), (["promote", "tiny"], "stages"), (["stage", "tiny"], "stages"), (add(), "model")):
        assert rack(*arguments, "--json") == 0
        assert key in json.loads(capsys.readouterr().out)
