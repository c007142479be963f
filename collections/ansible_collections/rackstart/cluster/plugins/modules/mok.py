#!/usr/bin/python
"""Asks for the enrolment of the key that this host signs kernel modules with."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: mok
author: The Rackstart authors
short_description: Asks for the enrolment of the key that this host signs kernel modules with
description:
  - With Secure Boot, the kernel loads a module that was built on the host once the host's own key (a machine owner key) is enrolled,
    which only a person at the console can confirm. Makes the request and fails with what to do there; passes once it was done.
  - The request's password is made here for one use, and forgotten when the key is enrolled.
options:
  certificate:
    description: The key's certificate in DER.
    type: path
    default: /var/lib/dkms/mok.pub
  password_file:
    description: File of root alone that keeps the password until then.
    type: path
    default: /var/lib/rackstart/mok-password
attributes:
  check_mode:
    support: full
    description: Says whether a request would be made.
"""

EXAMPLES = """
- name: Enrol the key
  rackstart.cluster.mok:
"""

RETURN = """
enrolled:
  description: The kernel trusts the key.
  type: bool
  returned: success
"""

LETTERS = "abcdefghijkmnpqrstuvwxyz"  # that a console's unknown keyboard layout changes least
CONSOLE = """Secure Boot is on, and the kernel does not trust the key that {host} signs the driver with. At the console of {host}:
1. Reboot it. Within ten seconds, press a key when MokManager offers it (the blue screen); else ask again by running this stage again.
2. Choose Enroll MOK, Continue, Yes, type the password {password}, and choose Reboot.
3. Run this stage again; it goes on from here."""


def mokutil(*arguments: str, answers: str = "") -> str:
    """What mokutil says; its exit codes tell nothing that its words do not. Raises RuntimeError where it cannot be asked."""
    environment, command = {**os.environ, "LC_ALL": "C"}, ["mokutil", *arguments]
    try:
        done = subprocess.run(command, input=answers, capture_output=True, text=True, timeout=60, env=environment, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(str(error)) from error
    return done.stdout + done.stderr


def request(certificate: Path, password_file: Path, pending: bool) -> str:
    """Make the request, or leave one that is pending; return its password. Raises RuntimeError where it cannot be made."""
    if pending and password_file.exists():
        return password_file.read_text()
    password = "".join(secrets.choice(LETTERS) for _ in range(12))
    password_file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    password_file.unlink(missing_ok=True)
    with open(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(password)
    if pending:  # by somebody else, with a password that is not known here
        mokutil("--revoke-import")
    told = mokutil("--import", str(certificate), answers=f"{password}\n{password}\n")
    if "Failed" in told:
        raise RuntimeError(told.replace(password, "...").strip())
    return password


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "certificate": {"type": "path", "default": "/var/lib/dkms/mok.pub"},
            "password_file": {"type": "path", "default": "/var/lib/rackstart/mok-password", "no_log": False},
        },
        supports_check_mode=True,
    )
    certificate, password_file = (Path(module.params[name]) for name in ("certificate", "password_file"))
    if module.check_mode and (not certificate.exists() or not shutil.which("mokutil")):  # both come with packages
        module.exit_json(changed=True, enrolled=False)
    if not certificate.exists():
        module.fail_json(msg=f"There is no {certificate}: DKMS has built and signed nothing. Look at dkms status and /var/lib/dkms.")
    try:
        told = mokutil("--test-key", str(certificate))
    except RuntimeError as error:
        module.fail_json(msg=f"mokutil cannot be asked for {certificate}: {error}. Look there with `mokutil --test-key {certificate}`.")
    if "is already enrolled" in told or "Already in kernel trusted keyring" in told:
        known = password_file.exists()
        if known and not module.check_mode:
            password_file.unlink()
        module.exit_json(changed=known, enrolled=True)
    if module.check_mode:
        module.exit_json(changed=True, enrolled=False)
    try:
        password = request(certificate, password_file, "already in the enrollment request" in told)
    except RuntimeError as error:
        module.fail_json(msg=f"The request to enrol {certificate} failed: {error}")
    module.fail_json(msg=CONSOLE.format(host=os.uname().nodename, password=password))


if __name__ == "__main__":
    main()
