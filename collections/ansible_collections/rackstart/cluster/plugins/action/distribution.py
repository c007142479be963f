"""Which family of distributions a host is of, in one short command: a module would cost more than the question."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.rackstart.cluster.plugins.plugin_utils import packages


class ActionModule(ActionBase):  # type: ignore[misc]
    _supports_check_mode = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        manager = packages.manager(self._low_level_execute_command(packages.RELEASE)["stdout"])
        return {"changed": False, "family": {"apt": "Debian", "dnf": "RedHat"}[manager]}
