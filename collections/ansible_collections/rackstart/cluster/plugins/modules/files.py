#!/usr/bin/python
"""Files exactly as declared."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: files
short_description: Files exactly as declared
description:
  - Writes many small files and directories of root in one call, each by one rename, and says which of them changed.
  - Directories above them are made when they are missing.
  - Contents are shown with --diff and noted in the host's journal. A task whose files hold secrets needs no_log.
author: The Rackstart authors
options:
  files:
    description: The files, in the order to write them.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it lies.
        type: path
        required: true
      content:
        description: Its text. Without one it is a directory.
        type: str
      mode:
        description: Its permissions in octal; 0644 by default, 0755 for a directory.
        type: str
attributes:
  check_mode:
    support: full
    description: Says what would change.
  diff_mode:
    support: full
    description: Shows each file before and after.
"""

EXAMPLES = """
- name: Write the settings
  rackstart.cluster.files:
    files:
      - {path: /etc/sysctl.d/90-forward.conf, content: "net.ipv4.ip_forward = 1\\n"}
      - {path: /srv/models}
"""

RETURN = """
changes:
  description: Paths that were made, written, or given back their owner or permissions.
  type: list
  elements: str
  returned: success
"""


class Wanted:
    """One file or directory as it shall be."""

    def __init__(self, declared: dict) -> None:
        self.path = Path(declared["path"])
        self.content = declared["content"]
        self.directory = self.content is None
        self.mode = int(declared["mode"] or ("0755" if self.directory else "0644"), 8)

    def view(self) -> dict[str, object]:
        """What can differ."""
        return {"owner": "0:0", "mode": f"{self.mode:04o}", "content": self.content}

    def found(self) -> dict[str, object] | None:
        """The same of what is there; None where it is missing or of another kind."""
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return None
        kind = stat.S_ISDIR if self.directory else stat.S_ISREG
        if not kind(status.st_mode):
            return None
        content = None if self.directory else self.path.read_bytes().decode(errors="surrogateescape")
        return {"owner": f"{status.st_uid}:{status.st_gid}", "mode": f"{stat.S_IMODE(status.st_mode):04o}", "content": content}

    def make(self, found: dict[str, object] | None) -> None:
        """Make it so; raises OSError where something of another kind is in the way."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.directory:
            self.path.mkdir(exist_ok=True)
        elif found is None or found["content"] != self.content:
            self.replace()
            return
        os.chown(self.path, 0, 0)
        os.chmod(self.path, self.mode)

    def replace(self) -> None:
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with open(handle, "wb") as stream:
                os.fchown(stream.fileno(), 0, 0)
                os.fchmod(stream.fileno(), self.mode)
                stream.write(str(self.content).encode(errors="surrogateescape"))
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, self.path)
        except BaseException:
            os.unlink(name)
            raise


def text(view: dict[str, object] | None) -> str:
    """A view as --diff shows it."""
    return "" if view is None else f"owner {view['owner']}, mode {view['mode']}\n{view['content'] or ''}"


def main() -> None:
    options = {"path": {"type": "path", "required": True}, "content": {"type": "str"}, "mode": {"type": "str"}}
    module = AnsibleModule(
        argument_spec={"files": {"type": "list", "elements": "dict", "required": True, "options": options}},
        supports_check_mode=True,
    )
    changes, diffs = [], []
    for declared in module.params["files"]:
        wanted = Wanted(declared)
        found = wanted.found()
        if found == wanted.view():
            continue
        changes.append(str(wanted.path))
        diffs.append({"before_header": changes[-1], "after_header": changes[-1], "before": text(found), "after": text(wanted.view())})
        if module.check_mode:
            continue
        try:
            wanted.make(found)
        except OSError as error:
            module.fail_json(msg=f"{wanted.path} cannot be written: {error.strerror}.", changes=changes)
    module.exit_json(changed=bool(changes), changes=changes, diff=diffs)


if __name__ == "__main__":
    main()
