"""Packages installed by the host's own manager, and seen to be."""

from __future__ import annotations

import re
import shlex
import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.rackstart.cluster.plugins.plugin_utils import packages

OPTIONS = {
    "name": {"type": "list", "elements": "str", "required": True},
    "allow_downgrade": {"type": "bool", "default": False},
    "cache_valid_time": {"type": "int", "default": 86400},
}
LOCK_PAUSE, LOCK_SECONDS = 5, 300  # another manager, such as unattended-upgrades, may be at work


class ActionModule(ActionBase):  # type: ignore[misc]
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _, wanted = self.validate_argument_spec(argument_spec=OPTIONS)
        self._vars = task_vars
        manager = packages.manager(self._low_level_execute_command(packages.RELEASE)["stdout"])
        if self._all_there(manager, wanted["name"]):
            return {"changed": False}
        ask = self._apt if manager == "apt" else self._dnf
        result = ask(wanted)
        if self._task.check_mode:
            if packages.BLIND in text(result):
                return {"changed": True}
            return result if not result.get("failed") else self._explained(result, manager, wanted)
        changed = False
        if result.get("failed") and packages.ENDED not in text(result):
            if packages.INTERRUPTED in text(result):
                taken_up = self._take_up()
                changed = not taken_up.get("failed")
            result = ask(wanted | {"cache_valid_time": 0})
        if result.get("failed"):
            return self._explained(result, manager, wanted)
        listing = self._command(packages.LISTS[manager])
        if listing.get("failed"):
            return result | self._explained(listing, manager, wanted)
        lacking = packages.missing(manager, wanted["name"], listing.get("stdout", ""))
        if lacking:
            reason = f"{manager} says that all went well, but {packages.LISTS[manager][0]} does not have them as installed"
            return result | {"failed": True, "msg": self._sentence(manager, lacking, reason)}
        return result | {"changed": changed or result.get("changed", False)}

    def _all_there(self, manager: str, names: list[str]) -> bool:
        """A look into the database takes a moment, the manager seconds. What a group holds, only the manager knows."""
        if any(name.startswith("@") for name in names):
            return False
        listing = self._low_level_execute_command(shlex.join(packages.LISTS[manager]))
        return listing["rc"] == 0 and not packages.missing(manager, names, listing["stdout"])

    def _apt(self, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        lists = self._lists(wanted["cache_valid_time"])
        if lists.get("failed"):
            return lists
        return self._module(
            "apt",
            name=wanted["name"],
            install_recommends=False,
            allow_downgrade=wanted["allow_downgrade"],
            allow_change_held_packages=wanted["allow_downgrade"],
            lock_timeout=LOCK_SECONDS,
        )

    def _lists(self, seconds: int) -> dict[str, t.Any]:
        """apt's lists, read anew when they are older. Not by apt's module: of its own retries apt may never come back (LP: #2003851)."""
        fresh = self._low_level_execute_command(f"find /var/lib/apt/lists -maxdepth 0 -mmin -{seconds // 60}")
        if fresh["stdout"].strip():
            return {}
        began = time.monotonic()
        while True:  # apt-get waits for dpkg's lock alone, not for that of its lists, which apt-daily takes after every boot
            result = self._command(["apt-get", "update", "--error-on=any", "--option=Acquire::Retries=0"])
            if not re.search(packages.LOCKED, text(result)) or time.monotonic() - began > LOCK_SECONDS:
                return result
            time.sleep(LOCK_PAUSE)

    def _dnf(self, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        return self._module(
            "dnf",
            name=wanted["name"],
            install_weak_deps=False,
            allow_downgrade=wanted["allow_downgrade"],
            allowerasing=wanted["allow_downgrade"],
            update_cache=wanted["cache_valid_time"] == 0 and bool(wanted["name"]),
            lock_timeout=LOCK_SECONDS,
        )

    def _take_up(self) -> dict[str, t.Any]:
        """What a killed dpkg has left half done, with the answers that apt is given too."""
        self._display.vv("dpkg was interrupted; taking it up again")
        return self._command(["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confdef", "--force-confold", "--configure", "-a"])

    def _command(self, argv: list[str]) -> dict[str, t.Any]:
        return self._module("command", argv=argv)

    def _module(self, module: str, **arguments: t.Any) -> dict[str, t.Any]:
        name = f"ansible.builtin.{module}"
        result: dict[str, t.Any] = self._execute_module(module_name=name, module_args=arguments, task_vars=self._vars)
        return result

    def _explained(self, result: dict[str, t.Any], manager: str, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        reason = packages.cause(str(result.get("msg", "")), str(result.get("stderr", "")))
        return result | {"msg": self._sentence(manager, wanted["name"], reason)}

    def _sentence(self, manager: str, names: list[str], reason: str) -> str:
        host = self._task.delegate_to or (self._vars or {}).get("inventory_hostname", "the host")
        what = f"{manager} did not install {', '.join(names) or 'anything'} on {host}"
        if packages.ENDED in reason:  # which says what to do
            return f"{what}: {reason}."
        return f"{what}: {reason}. To do: {packages.remedy(reason)}, then run again."


def text(result: dict[str, t.Any]) -> str:
    """All that a module said."""
    return "\n".join(str(result.get(key, "")) for key in ("msg", "stdout", "stderr"))
