"""`lab fault hub FAULT`: makes the hub misbehave until told `none`."""

from lab import paths
from lab.shell import LabError

FAULTS = ("401", "403", "404", "429", "503", "corrupt", "stall", "none")
CONTROL = paths.HOSTS / "mirror/root/var/lib/hub/fault"


def hub(fault: str) -> None:
    """Act out `fault` (one of FAULTS) from the next request on; LabError where no mirror runs."""
    if not CONTROL.parent.is_dir():
        raise LabError("no mirror runs: `python -m lab up` starts it")
    CONTROL.write_text("" if fault == "none" else fault)
