"""`lab fault hub FAULT`: makes the hub misbehave until told `none`."""

from lab import paths
from lab.host import replace
from lab.shell import LabError

FAULTS = ("401", "403", "404", "429", "503", "corrupt", "stall", "none")
CONTROL = paths.HOSTS / "mirror/data/srv/fault"  # /srv/fault in the mirror host


def hub(fault: str) -> None:
    """Act out `fault` (one of FAULTS) from the next request on; LabError where there is no mirror."""
    if not CONTROL.parent.is_dir():
        raise LabError("there is no mirror: `python -m lab up` makes it")
    if fault == "none":
        CONTROL.unlink(missing_ok=True)
    else:
        replace(CONTROL, fault, 0o644)
