#!/usr/bin/python
"""Packages that no upgrade replaces, and seen to be."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackstart.cluster.plugins.module_utils import probe_system

DOCUMENTATION = """
module: packages_held
short_description: Packages that no upgrade replaces, and seen to be
description:
  - Holds packages in the version that they have, by apt-mark or dnf's versionlock, and looks afterwards whether each is held.
author: The Rackstart authors
options:
  name:
    description: Names of packages that are installed.
    type: list
    elements: str
    required: true
  manager:
    description: The host's package manager.
    type: str
    choices: [apt, dnf]
    required: true
attributes:
  check_mode:
    description: Says that they would be held, which before they are installed nobody can look up.
    support: full
"""

EXAMPLES = """
- name: Hold the driver
  rackstart.cluster.packages_held:
    name: [nvidia-driver-cuda]
    manager: apt
"""

RETURN = """
changed:
  description: Always true for any name.
  type: bool
  returned: always
"""

LOCK_PAUSE, LOCK_SECONDS = 5, 300
COMMANDS = {"apt": ["apt-mark", "hold"], "dnf": ["dnf", "--quiet", "versionlock", "add"]}


def held(module: AnsibleModule) -> set[str]:
    """Names of all packages that are held."""
    if module.params["manager"] == "apt":
        return set(module.run_command(["apt-mark", "showhold"], check_rc=True)[1].split())
    return set(probe_system.locked_versions())


def hold(module: AnsibleModule, command: list[str]) -> None:
    """Once the package manager is not at work for somebody else; dpkg itself does not wait."""
    began = time.monotonic()
    while True:
        code, output, error = module.run_command(command)
        if code == 0:
            return
        if "lock was locked by" not in error or time.monotonic() - began > LOCK_SECONDS:
            module.fail_json(msg=error.strip() or output.strip(), cmd=" ".join(command), rc=code)
        time.sleep(LOCK_PAUSE)


def main() -> None:
    module = AnsibleModule(
        {
            "name": {"type": "list", "elements": "str", "required": True},
            "manager": {"type": "str", "choices": ["apt", "dnf"], "required": True},
        },
        supports_check_mode=True,
    )
    names = module.params["name"]
    if names and not module.check_mode:
        command = COMMANDS[module.params["manager"]]
        hold(module, [*command, *names])
        found = held(module)
        if loose := [name for name in names if name not in found]:
            words, which = " ".join(command), " ".join(loose)
            module.fail_json(
                msg=f"{words} went well, but the next upgrade would replace {which}. Look at `{words} {which}`, and run again."
            )
    module.exit_json(changed=bool(names))


if __name__ == "__main__":
    main()
