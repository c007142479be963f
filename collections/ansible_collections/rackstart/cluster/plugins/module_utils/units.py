"""What systemd has started, against the files that it was started from."""

from __future__ import annotations

import glob
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

RUNNING = ("active", "activating", "reloading")  # states of a unit that runs or is on its way


def show(module: AnsibleModule, units: list[str], properties: tuple[str, ...]) -> list[dict[str, str]]:
    """The properties of each unit, in their order; systemd has defaults for a unit that it does not know. Fails where some are not said."""
    _, out, _ = module.run_command(["systemctl", "show", f"--property={','.join(properties)}", *units], check_rc=True)
    shown = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in out.strip("\n").split("\n\n")]
    if len(shown) != len(units) or any(name not in block for block in shown for name in properties):
        names = " ".join(units)
        module.fail_json(msg=f"systemctl show went well, but does not say all of {names}. Look at `systemctl show {names}`, and run again.")
    return shown


def written(files: list[str]) -> float:
    """When the newest of the files was last written, in seconds of the monotonic clock, by which systemd notes a unit's start.

    A name may have wildcards.
    """
    newest = max((Path(path).stat().st_ctime for file in files for path in glob.glob(file) if Path(path).exists()), default=0.0)
    return newest - time.time() + time.monotonic()
