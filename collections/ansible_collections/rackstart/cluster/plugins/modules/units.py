#!/usr/bin/python
"""Units of systemd that run, and run with their files as they are now."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackstart.cluster.plugins.module_utils.units import RUNNING, show, written

DOCUMENTATION = """
module: units
short_description: Units of systemd that run, and run with their files as they are now
description:
  - Enables and starts many units in one call. One that was started before one of its files was written is restarted.
  - No handler is needed, and so none is lost when a run is killed between the writing of a file and the restart.
  - A unit that its own conditions keep from starting counts as started once systemd has tried.
  - What systemctl says that it did is looked at afterwards.
author: The Rackstart authors
options:
  units:
    description: The units, in the order to start them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name with the suffix.
        type: str
        required: true
      files:
        description: Files that it reads only when it starts; names may have wildcards.
        type: list
        elements: path
        default: []
  no_block:
    description: Does not wait until they have started.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Says what would be done. A unit that does not exist yet counts as one to be started.
"""

EXAMPLES = """
- name: Keep the time
  rackstart.cluster.units:
    units:
      - {name: chrony.service, files: [/etc/chrony/chrony.conf]}
"""

RETURN = """
changes:
  description: What was done, such as "chrony.service restarted".
  type: list
  elements: str
  returned: success
"""

PROPERTIES = (
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "ConditionResult",
    "ConditionTimestampMonotonic",
    "ExecMainStartTimestampMonotonic",
)
DONE = {"unmask": "unmasked", "enable": "enabled", "start": "started", "restart": "restarted"}


def verbs(unit: dict[str, str], changed: float) -> list[str]:
    """What to tell systemctl about a unit whose files were last written at `changed`, seconds of the monotonic clock."""
    wanted = ["unmask"] if unit["LoadState"] == "masked" else []
    if unit["UnitFileState"] in ("", "disabled", "enabled-runtime", "masked"):
        wanted.append("enable")
    active = unit["ActiveState"] in RUNNING
    stamp = "ExecMainStartTimestampMonotonic" if active else "ConditionTimestampMonotonic"
    tried = int(unit[stamp]) / 1e6
    if active:
        return [*wanted, "restart"] if tried < changed else wanted
    kept = unit["ActiveState"] == "inactive" and unit["ConditionResult"] == "no" and tried > max(changed, 0)
    return wanted if kept else [*wanted, "start"]


def fail(module: AnsibleModule, problem: str, unit: str, changes: list[str]) -> None:
    """End with the problem, the unit's last words and what to do."""
    _, journal, _ = module.run_command(["journalctl", f"--unit={unit}", "--lines=15", "--no-pager", "--output=cat"])
    remedy = f"Look at `systemctl status {unit}` on the host, mend what it complains of, and run again."
    module.fail_json(msg=f"{problem}\n{remedy} The end of its journal:\n{journal.strip()}", changes=changes)


def look_again(module: AnsibleModule, units: list[dict], unwaited: tuple[str, ...], changes: list[str]) -> None:
    """End with the first unit that is not as systemctl was told to make it, but for verbs whose end is not waited for."""
    states = show(module, [unit["name"] for unit in units], PROPERTIES)
    for place, unit in enumerate(units):
        state = states[place]
        left = [verb for verb in verbs(state, written(unit["files"])) if verb not in unwaited]
        if left:
            told = f"systemctl says that it did {' and '.join(left)} {unit['name']}, but systemd shows it as"
            fail(module, f"{told} {state['ActiveState']}, {state['UnitFileState'] or state['LoadState']}.", unit["name"], changes)


def main() -> None:
    options = {"name": {"type": "str", "required": True}, "files": {"type": "list", "elements": "path", "default": []}}
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "dict", "required": True, "options": options},
            "no_block": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    units, changes = module.params["units"], []
    names = [unit["name"] for unit in units]
    if not names:
        module.exit_json(changed=False, changes=changes)
    states = show(module, names, PROPERTIES)
    if not module.check_mode and any(state["NeedDaemonReload"] == "yes" or state["LoadState"] == "not-found" for state in states):
        module.run_command(["systemctl", "daemon-reload"], check_rc=True)
        states = show(module, names, PROPERTIES)
        if stale := [names[place] for place, state in enumerate(states) if state["NeedDaemonReload"] == "yes"]:
            told = f"systemctl says that it did daemon-reload, but systemd has not read the files of {stale[0]} as they are now."
            fail(module, told, stale[0], changes)
    unwaited = ("start", "restart") if module.params["no_block"] else ()
    for place, unit in enumerate(units):
        for verb in verbs(states[place], written(unit["files"])):
            changes.append(f"{unit['name']} {DONE[verb]}")
            if module.check_mode:
                continue
            block = ["--no-block"] if verb in unwaited else []
            code, _, error = module.run_command(["systemctl", *block, verb, unit["name"]])
            if code:
                fail(module, f"systemctl {verb} {unit['name']}: {error.strip()}", unit["name"], changes)
    if changes and not module.check_mode:
        look_again(module, units, unwaited, changes)
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
