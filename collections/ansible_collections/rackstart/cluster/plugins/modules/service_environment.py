#!/usr/bin/python
"""Variables that systemd gives to every service, as its settings declare them."""

from __future__ import annotations

import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: service_environment
short_description: Variables that systemd gives to every service, as its settings declare them
description:
  - Executes systemd anew when what it gives to services is not what a file of its settings, written before, declares.
  - No handler is needed, and so none is lost when a run is killed between the writing of the file and its taking effect.
  - A variable that other settings of the host name too is left to them; one that was set by hand (systemctl set-environment) is taken back.
author: The Rackstart authors
options:
  path:
    description: The file.
    type: path
    required: true
  variables:
    description: What it declares; an empty value stands for a variable that services shall not have.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
    description: Says what would change, of a file that was not written yet too.
"""

EXAMPLES = """
- name: Tell services of the proxy
  rackstart.cluster.service_environment:
    path: /etc/systemd/system.conf.d/proxy.conf
    variables: {HTTPS_PROXY: "http://proxy:3128", NO_PROXY: ""}
"""

RETURN = """
changes:
  description: Names of the variables that services had otherwise.
  type: list
  elements: str
  returned: success
"""

FOLDERS = ("usr/lib/systemd", "usr/local/lib/systemd", "run/systemd", "etc/systemd")


def parse(shown: str) -> dict[str, str]:
    """Variables of `systemctl show-environment`, which quotes some values as a shell does: $'VALUE'."""
    rows = re.findall(r"^(\w+)=(?:\$'(.*)'|(.*))$", shown, re.M)
    return {name: re.sub(r"\\(.)", r"\1", quoted) or plain for name, quoted, plain in rows}


def elsewhere(path: str, root: Path = Path("/")) -> set[str]:
    """Variables that the kernel's command line and the manager's settings but for those of `path` name."""
    files = [file for folder in FOLDERS for file in [root / folder / "system.conf", *(root / folder / "system.conf.d").glob("*.conf")]]
    others = [file for file in [root / "proc/cmdline", *files] if file.exists() and file != root / path.lstrip("/")]
    lines = [line for file in others for line in file.read_text(errors="replace").splitlines() if not line.lstrip().startswith(("#", ";"))]
    return {name for line in lines for name in re.findall(r"\b(\w+)=", line)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}, "variables": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    theirs = elsewhere(module.params["path"])
    wanted = {name: value for name, value in module.params["variables"].items() if name not in theirs}

    def others() -> list[str]:
        """Variables that services have otherwise."""
        shown = parse(module.run_command(["systemctl", "show-environment"], check_rc=True)[1])
        return [name for name, value in wanted.items() if shown.get(name, "") != value]

    def tell(*words: str) -> None:
        code, _, error = module.run_command(["systemctl", *words])
        if code:
            module.fail_json(msg=f"failure {code} during {words[0]}: {error.strip()}\nMend that, and run again.", changes=changes)

    changes = others()
    if changes and not module.check_mode:
        tell("daemon-reexec")
        if left := others():
            tell("unset-environment", *left)
        if left := others():
            told = f"systemctl says that it did daemon-reexec, but systemd gives services another {', '.join(left)} than declared."
            module.fail_json(msg=f"{told}\nLook at `systemctl show-environment` on the host, mend it, and run again.", changes=changes)
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
