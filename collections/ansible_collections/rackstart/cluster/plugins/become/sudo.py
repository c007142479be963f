"""sudo with a bound: a task that hangs is ended with all its processes, and says so."""

from __future__ import annotations

import json
import secrets
import shlex
import typing as t

from ansible.plugins.become.sudo import BecomeModule as Sudo

DOCUMENTATION = """
name: sudo
author: The Rackstart authors
short_description: sudo with a bound on every task
description:
  - ansible.builtin.sudo, with its options and variables, except that what a task runs on a host is ended after a number of seconds, with
    every process that it has started, such as a dpkg that would go on holding its lock. The task then fails and says so.
  - What a task leaves to systemd, or runs with C(async), is not bound by it.
options:
  task_seconds:
    description: Seconds that a task may take on a host.
    type: int
    default: 3600
    vars: [{name: rackstart_task_seconds}]
    env: [{name: RACKSTART_TASK_SECONDS}]
  become_user:
    description: User to become.
    default: root
    ini: [{section: privilege_escalation, key: become_user}, {section: sudo_become_plugin, key: user}]
    vars: [{name: ansible_become_user}, {name: ansible_sudo_user}]
    env: [{name: ANSIBLE_BECOME_USER}, {name: ANSIBLE_SUDO_USER}]
    keyword: [{name: become_user}]
  become_exe:
    description: The sudo executable.
    default: sudo
    ini: [{section: privilege_escalation, key: become_exe}, {section: sudo_become_plugin, key: executable}]
    vars: [{name: ansible_become_exe}, {name: ansible_sudo_exe}]
    env: [{name: ANSIBLE_BECOME_EXE}, {name: ANSIBLE_SUDO_EXE}]
    keyword: [{name: become_exe}]
  become_flags:
    description: Options for sudo.
    default: -H -S -n
    ini: [{section: privilege_escalation, key: become_flags}, {section: sudo_become_plugin, key: flags}]
    vars: [{name: ansible_become_flags}, {name: ansible_sudo_flags}]
    env: [{name: ANSIBLE_BECOME_FLAGS}, {name: ANSIBLE_SUDO_FLAGS}]
    keyword: [{name: become_flags}]
  become_pass:
    description: Password for sudo.
    ini: [{section: sudo_become_plugin, key: password}]
    vars: [{name: ansible_become_password}, {name: ansible_become_pass}, {name: ansible_sudo_pass}]
    env: [{name: ANSIBLE_BECOME_PASS}, {name: ANSIBLE_SUDO_PASS}]
  sudo_chdir:
    description: Directory to change to before sudo is called.
    type: string
    ini: [{section: sudo_become_plugin, key: chdir}]
    vars: [{name: ansible_sudo_chdir}]
    env: [{name: ANSIBLE_SUDO_CHDIR}]
"""

# timeout ends its own process group; apt runs dpkg in a session of its own, which the mark in its environment tells (a whole variable:
# SUDO_COMMAND holds it too). 124 and 137 are what timeout ends with when it had to end something. What is printed takes the place of
# the module's own result.
BOUNDED = """\
RACKSTART_TASK={mark} timeout --kill-after=10 {seconds} /bin/sh -c {command}; code=$?
case $code in 124|137)
  for task in $(grep -Flsxz RACKSTART_TASK={mark} /proc/[0-9]*/environ | cut -d/ -f3); do kill -9 $task 2>/dev/null; done
  echo {result};;
esac
exit $code"""
ENDED = (
    "The task did not end within {seconds} s and was ended on the host, with its processes. To do: look there what it was waiting for "
    "(journalctl --since=-1h), such as a lock, a mirror or a mount, and run again; rackstart_task_seconds is the bound."
)


def bounded(command: str, mark: str, seconds: int) -> str:
    """A shell command that is ended, and says so as a module would, when it takes longer."""
    result = json.dumps({"failed": True, "changed": False, "msg": ENDED.format(seconds=seconds)})
    return BOUNDED.format(mark=mark, seconds=seconds, command=shlex.quote(command), result=shlex.quote(result))


class BecomeModule(Sudo):  # type: ignore[misc]
    name = "rackstart.cluster.sudo"

    def build_become_command(self, cmd: str, shell: t.Any) -> str:
        command = cmd and bounded(cmd, secrets.token_hex(8), self.get_option("task_seconds"))
        return str(super().build_become_command(command, shell))
