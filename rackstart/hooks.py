"""hooks/before-run: an executable of the inventory that runs before anything else does."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from rackstart import processes
from rackstart.errors import ConfigurationError, Interrupted, StageFailed
from rackstart.journal import Journal
from rackstart.paths import Project

_GRACE = 20  # seconds that an interrupted hook has to put things in order


def before_run(project: Project, journal: Journal, cancelled: Callable[[], bool], tell: Callable[[str], None]) -> None:
    """Run the inventory's hook, if it has one; its output goes to standard error as it comes.

    It gets RACKSTART_PYTHON, the interpreter that has everything of requirements.lock, and RACKSTART_INVENTORY, the inventory's folder.
    """
    hook = project.inventory / "hooks" / "before-run"
    if not hook.exists():
        return
    if not os.access(hook, os.X_OK):
        raise ConfigurationError(f"{project.shown(hook)} is not executable; run: chmod +x {project.shown(hook)}")
    tell(f"running {project.shown(hook)}")
    environment = {**os.environ, "RACKSTART_PYTHON": sys.executable, "RACKSTART_INVENTORY": str(project.inventory)}
    # a session of its own: Ctrl-C reaches it through us, and the next run can find what a killed one left
    process = subprocess.Popen([hook], cwd=project.root, env=environment, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True)
    journal.write("child", pid=process.pid, started=processes.start_time(process.pid), what="hooks/before-run")
    while True:
        try:
            status = process.wait(timeout=0.5)
            break
        except subprocess.TimeoutExpired:
            if cancelled():
                _stop(process)
                raise Interrupted(f"{project.shown(hook)} was stopped") from None
    if status:
        raise StageFailed(f"{project.shown(hook)} failed with exit {status}; its output is above")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=_GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
