"""Kernel settings of the machine that all hosts share; `down` gives back what was there."""

import json
from pathlib import Path

from lab import paths

SETTINGS = Path("/proc/sys")
# each host's kubelet, containerd and systemd watch files, all as root: the limits are those that the roles ask of a host
LEAST = {"net/ipv4/ip_forward": 1, "fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 524288}
BEFORE = paths.STATE / "machine.json"


def prepare() -> None:
    """Raise what is lower; what was there is recorded first."""
    before = {name: int((SETTINGS / name).read_text()) for name in LEAST}
    if not BEFORE.exists():
        partial = BEFORE.with_suffix(".partial")
        partial.write_text(json.dumps(before))
        partial.rename(BEFORE)
    for name, value in before.items():
        if value < LEAST[name]:
            (SETTINGS / name).write_text(str(LEAST[name]))


def restore() -> None:
    """Set back what `prepare` found."""
    if not BEFORE.exists():
        return
    for name, value in json.loads(BEFORE.read_text()).items():
        (SETTINGS / name).write_text(str(value))
    BEFORE.unlink()
