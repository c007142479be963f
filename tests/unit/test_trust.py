"""When role host says that certificate authorities were not trusted yet: a run that was killed after it had copied them."""

import os
from pathlib import Path

import pytest

from tests.unit.role_tasks import Played, play


def trust(folder: Path, *, waiting: bool, check: bool, script: str = "touch bundle", without: str = "") -> Played:
    """The role's tasks with an authority that was copied before the bundle was last made, or after; none is copied now."""
    for age, name in enumerate(("bundle", "rackstart-ca.crt") if waiting else ("rackstart-ca.crt", "bundle")):
        (folder / name).touch()
        os.utime(folder / name, (age, age))
    (folder / "update").write_text(f"#!/bin/sh\ncd {folder}\n{script}\n")
    (folder / "update").chmod(0o755)
    newer = ["find", str(folder), "-name", "rackstart-*", "-newer", str(folder / "bundle")]
    if without:
        (folder / without).unlink()
    family = {"trust": str(folder / "update"), "newer": newer}
    return play(folder, "host", "trust.yml", check=check, host_ca_certificates=["ca.pem"], __host_certificates=[], __host_family=family)


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    ("waiting", "without", "changed"),
    [(False, "", 0), (True, "", 1), (True, "update", 0), (True, "bundle", 1)],
    ids=["trusted", "waiting", "no program", "no bundle"],
)
def test_check_mode_and_the_run_say_the_same(tmp_path: Path, waiting: bool, without: str, changed: int, check: bool) -> None:
    """Of a program that prints nothing, as RHEL's."""
    done = trust(tmp_path, waiting=waiting, without=without, check=check)
    assert (done.code, done.changed) == (0, changed), done.output


def test_a_program_that_lies_is_not_believed(tmp_path: Path) -> None:
    done = trust(tmp_path, waiting=True, check=False, script="echo 1 added")
    assert done.code != 0
    for words in ("update says that all went well", "/rackstart-ca.crt", "run again"):
        assert words in done.output
