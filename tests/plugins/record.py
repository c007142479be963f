"""Callback that appends what every task did to a file, for the tests of check mode and of coverage, and can end a run half-way."""

from __future__ import annotations

import json
import os
import signal
import uuid
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: record
type: notification
short_description: Appends what every task did to a file
description:
  - One line of JSON for each task and host, and one at the start of each playbook, in the file that RACKSTART_RECORD names; others may
    write there at the same time, and C(run) tells whose a line is.
  - Ansible is killed before the task, or handler, whose name (as in C(role : name)) is that of RACKSTART_STOP.
"""

ROOT = Path(__file__).resolve().parents[2]


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._run = uuid.uuid4().hex

    def _write(self, **entry: object) -> None:
        record = Path(os.environ["RACKSTART_RECORD"])
        record.parent.mkdir(exist_ok=True)
        with record.open("a") as file:
            file.write(json.dumps({"run": self._run} | entry) + "\n")

    def _result(self, result: Any, outcome: str) -> None:
        path, line = result.task.get_path().rsplit(":", 1)
        place = os.path.relpath(os.path.realpath(path), ROOT)
        self._write(task=f"{place}:{line}", name=result.task_name, host=result.host.name, outcome=outcome)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._write(playbook=os.path.relpath(os.path.realpath(playbook._file_name), ROOT), check=bool(context.CLIARGS["check"]))

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        if task.get_name() == os.environ.get("RACKSTART_STOP"):
            os.kill(os.getpid(), signal.SIGKILL)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._result(result, "changed" if result.is_changed() else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._result(result, "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._result(result, "skipped")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._result(result, "unreachable")
