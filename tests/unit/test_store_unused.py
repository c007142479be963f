"""Revisions that nothing needs leave the store in two steps; cut short between any two operations, none is lost and none is half there."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.rackstart.cluster.plugins.module_utils import store, store_unused
from ansible_collections.rackstart.cluster.plugins.modules import store_unused as module

ONE, TWO, THREE = (f"org/tiny/{digit * 40}" for digit in "123")
NEEDED = {ONE: "declared: tiny"}
FILES = ("config.json", "sub/model.safetensors", store.MANIFEST)
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A store with ONE and TWO whole, and THREE half fetched."""
    for name in (ONE, TWO):
        for file in FILES:
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text("x" * 100)
        store.write_record(tmp_path, "org/tiny", name[-40:])
    (tmp_path / store.STAGING / THREE[-40:]).mkdir(parents=True)
    (tmp_path / store.STAGING / THREE[-40:] / "config.json.partial").write_text("x")
    return tmp_path


@pytest.fixture
def run(shelf: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(state: str, needed: dict[str, str], check: bool = False) -> dict[str, Any]:
        arguments = {"store": str(shelf), "needed": needed, "state": state, "lock_seconds": 0, "_ansible_check_mode": check}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run


def files(shelf: Path) -> set[str]:
    return {str(path.relative_to(shelf)) for path in shelf.rglob("*") if path.is_file() and path.name != ".lock"}


def whole(shelf: Path) -> list[str]:
    """Revisions that readers find; each of them is all there."""
    found = list(store_unused.revisions(shelf))
    assert {f"{name}/{file}" for name in found for file in FILES} <= files(shelf)
    return found


def test_what_nothing_needs_goes_with_all_that_was_known_of_it(shelf: Path, run: Run) -> None:
    found = run("aside", NEEDED)
    assert [(entry["what"], entry["bytes"], entry["why"]) for entry in found["found"]] == [
        (ONE, 300, "declared: tiny"), (TWO, 300, ""), (f".staging/{THREE[-40:]}", 1, ""),
    ]  # fmt: skip
    assert whole(shelf) == [ONE]
    assert (shelf / ".unused" / TWO / store.MANIFEST).exists()
    found = run("gone", NEEDED)
    assert [entry["what"] for entry in found["found"] if not entry["why"]] == [f".unused/{TWO}", f".staging/{THREE[-40:]}"]
    assert files(shelf) == {f"{ONE}/{file}" for file in FILES} | {f".records/{ONE}.json"}
    assert not run("gone", NEEDED)["changed"]


def test_what_has_come_to_be_needed_meanwhile_is_put_back(shelf: Path, run: Run) -> None:
    before = files(shelf)
    run("aside", NEEDED)
    found = run("gone", NEEDED | {TWO: "Pod llm/one", THREE: "declared: new"})
    assert [entry["why"] for entry in found["found"]] == ["declared: tiny", "Pod llm/one"]
    assert files(shelf) == before


def test_what_was_published_meanwhile_stays(shelf: Path, run: Run) -> None:
    run("aside", NEEDED)
    shutil.copytree(shelf / ".unused" / TWO, shelf / TWO)
    assert TWO not in [entry["what"] for entry in run("gone", NEEDED)["found"]]
    assert whole(shelf) == [ONE, TWO]
    assert f".records/{TWO}.json" in files(shelf)
    assert not (shelf / ".unused" / "org").exists()


def test_what_was_published_meanwhile_and_is_needed_stays_as_it_is(shelf: Path, run: Run) -> None:
    run("aside", NEEDED)
    shutil.copytree(shelf / ".unused" / TWO, shelf / TWO)
    (shelf / TWO / "config.json").write_text("newer")
    assert run("gone", NEEDED | {TWO: "Pod llm/one"})["changed"]
    assert whole(shelf) == [ONE, TWO]
    assert (shelf / TWO / "config.json").read_text() == "newer"


def test_what_was_set_aside_before_and_published_again_goes(shelf: Path, run: Run) -> None:
    run("aside", NEEDED)
    shutil.copytree(shelf / ".unused" / TWO, shelf / TWO)
    run("aside", NEEDED)
    run("gone", NEEDED)
    assert files(shelf) == {f"{ONE}/{file}" for file in FILES} | {f".records/{ONE}.json"}


def test_a_look_changes_nothing(shelf: Path, run: Run) -> None:
    before = files(shelf)
    for state in ("aside", "gone"):
        assert run(state, NEEDED, check=True)["changed"]
    assert files(shelf) == before
    assert not (shelf / store.STAGING / ".lock").exists()


def test_nothing_is_removed_while_a_revision_is_fetched(shelf: Path, run: Run) -> None:
    before = files(shelf)
    with store.locked(shelf, 0):
        for state in ("aside", "gone"):
            assert "another run has been writing" in run(state, {})["msg"]
    assert files(shelf) == before


NEEDS_TWO: dict[str, tuple[dict[str, str], bool]] = {
    "itself": ({TWO: "a"}, True),
    "a part of it": ({f"{TWO}/sub": "a"}, True),
    "its repository": ({"org/tiny": "a"}, True),
    "its organization": ({"org": "a"}, True),
    "the store": ({"": "a"}, True),
    "one whose name begins like it": ({f"{TWO}0": "a", TWO[:-1]: "b", "org/tin": "c"}, False),
    "nobody": ({}, False),
}


@pytest.mark.parametrize("name", NEEDS_TWO)
def test_who_needs_it(shelf: Path, run: Run, name: str) -> None:
    needed, stays = NEEDS_TWO[name]
    run("aside", needed | NEEDED)
    run("gone", needed | NEEDED)
    assert whole(shelf) == ([ONE, TWO] if stays else [ONE])


def test_what_is_not_ours_stays(shelf: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "tiny" / TWO[-40:]).mkdir(parents=True)
    (shelf / "linked").symlink_to(other)
    (shelf / "org" / "tiny" / "notes").mkdir()
    (shelf / "README").touch()
    for state in ("aside", "gone"):
        run(state, {})
    assert (other / "tiny" / TWO[-40:]).is_dir()
    assert (shelf / "org" / "tiny" / "notes").is_dir()
    assert (shelf / "README").exists()


class Killed(BaseException):
    """No handler sees a kill."""


RMTREE = shutil.rmtree
# What a process does to the store, operation by operation
OPERATIONS = [(Path, "rename"), (Path, "unlink"), (Path, "rmdir"), (Path, "mkdir"), (shutil, "rmtree")]


def killed(monkeypatch: pytest.MonkeyPatch, number: int, after: bool, action: Callable[[], None]) -> bool:
    """Do something of which an operation, counted from 1, is not begun, or is the last; whether it got so far."""
    made = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            due = made == number  # of this one: a mkdir may call others
            if due and after and real is RMTREE:  # in the middle of it
                next(path for path in Path(arguments[0]).rglob("*") if path.is_file() and path.name != store.MANIFEST).unlink()
                raise Killed
            if due and not after:
                raise Killed
            result = real(*arguments, **options)
            if due:
                raise Killed
            return result

        return operation

    with monkeypatch.context() as patch:
        for owner, name in OPERATIONS:
            patch.setattr(owner, name, counted(getattr(owner, name)))
        try:
            action()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("step", [store_unused.set_aside, store_unused.settle])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("also", [{}, {TWO: "Pod llm/one"}], ids=["unneeded still", "needed meanwhile"])
def test_cut_short_at_any_operation_it_goes_on(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, step: Any, after: bool, also: dict[str, str]
) -> None:
    if step is store_unused.settle:
        store_unused.set_aside(shelf, NEEDED)
    number = 0
    while True:
        number += 1
        copy = tmp_path_factory.mktemp("copy") / "store"
        shutil.copytree(shelf, copy)
        if not killed(monkeypatch, number, after, functools.partial(step, copy, NEEDED)):
            break
        whole(copy)
        store_unused.set_aside(copy, NEEDED | also)
        store_unused.settle(copy, NEEDED | also)
        assert ONE in whole(copy)
        assert also or files(copy) == {f"{ONE}/{file}" for file in FILES} | {f".records/{ONE}.json"}
        assert list(store_unused.revisions(copy / store_unused.ASIDE)) == []
    assert number > 2
