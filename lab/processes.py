"""Processes told apart from later ones with the same number."""

from pathlib import Path


def identity(pid: int) -> str:
    """Number and start time (clock ticks since boot) of a living process; FileNotFoundError without one."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return f"{pid} {fields[19]} {Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"


def alive(recorded: str) -> bool:
    """Whether the process of a recorded identity still lives."""
    try:
        return identity(int(recorded.split(maxsplit=1)[0])) == recorded
    except (FileNotFoundError, ProcessLookupError, ValueError, IndexError):
        return False
