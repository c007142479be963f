"""What role host does with swap, on this machine with a systemctl that only takes notes."""

import json
from pathlib import Path

import pytest

from tests.unit.role_tasks import play

SYSTEMCTL = r"""#!/bin/sh
cd {folder}
case $1 in
  list-units) cat units ;;
  is-enabled) ;;
  show)
    unit=$(printf %s "$2" | tr -d "'")
    grep -qxF "$unit" active && echo ActiveState=active || echo ActiveState=inactive
    grep -qxF "$unit" masked && echo LoadState=masked || echo LoadState=loaded ;;
  *) echo "$*" >>told ;;
esac
"""


def unit(name: str, load: str = "loaded", active: str = "inactive") -> dict[str, str]:
    """A line of `systemctl list-units`."""
    return {"unit": name, "load": load, "active": active, "sub": "dead", "description": name}


def stand_in(folder: Path, listed: str, units: list[dict[str, str]]) -> None:
    """The programs, as they list and show units."""
    (folder / "units").write_text(listed)
    for file, key, value in (("active", "active", "active"), ("masked", "load", "masked")):
        (folder / file).write_text("".join(f"{unit['unit']}\n" for unit in units if unit[key] == value))
    (folder / "told").write_text("")
    (folder / "systemctl").write_text(SYSTEMCTL.replace("{folder}", str(folder)))
    (folder / "swapoff").write_text(f"#!/bin/sh\necho swapoff $* >>{folder}/told\n")
    for program in ("systemctl", "swapoff"):
        (folder / program).chmod(0o755)


def swap_tasks(folder: Path, units: list[dict[str, str]], *, check: bool) -> tuple[list[str], int]:
    """What the role tells systemctl, and how many tasks say that they change something."""
    stand_in(folder, json.dumps(units), units)
    done = play(folder, "host", "swap.yml", check=check)
    assert done.code == 0, done.output
    return (folder / "told").read_text().splitlines(), done.changed


@pytest.mark.parametrize(
    ("units", "told"),
    [
        ([], []),
        ([unit("dev-vdb.swap", active="active")], ["swapoff --all", "mask dev-vdb.swap"]),
        ([unit("dev-vdb.swap")], ["mask dev-vdb.swap"]),  # after swapoff, or a run that was killed halfway
        ([unit("dev-vdb.swap", load="masked")], []),
        ([unit("dev-old.swap", load="not-found")], []),
        ([unit(r"dev-disk-by\x2duuid-1.swap"), unit("dev-zram0.swap", load="masked")], [r"mask dev-disk-by\x2duuid-1.swap"]),
    ],
)
def test_swap_is_stopped_and_kept_from_coming_back(tmp_path: Path, units: list[dict[str, str]], told: list[str]) -> None:
    assert swap_tasks(tmp_path, units, check=False) == (told, len(told))
    assert swap_tasks(tmp_path, units, check=True) == ([], len(told))


def test_a_systemctl_that_lists_nothing_at_all_is_not_believed(tmp_path: Path) -> None:
    stand_in(tmp_path, "", [])
    done = play(tmp_path, "host", "swap.yml")
    assert done.code != 0
    assert "list-units" in done.output
