"""Lookup of one generated secret, kept in a file of the controller."""

from __future__ import annotations

import contextlib
import os
import secrets
import string
import tempfile
from collections.abc import Callable
from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.parsing.vault import VaultLib, VaultSecretsContext, match_encrypt_secret
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: secret
author: The Rackstart authors
short_description: A secret that is generated once
description:
  - Reads the secret from its file, and generates it when there is no such file.
  - The file has mode 0600. When Ansible has a vault password, from whatever source, the file is encrypted by it, and a plain one
    becomes so; C(ansible-vault view) and C(ansible-vault rekey) work on it.
  - Any number of processes may ask at once; all get the secret of the one that came first.
options:
  _terms:
    description: Path of each secret's file.
    type: list
    elements: path
    required: true
"""

EXAMPLES = """
- name: Tell the length of a token
  ansible.builtin.debug:
    msg: "{{ lookup('rackstart.cluster.secret', '/var/lib/site/secrets/token') | length }}"
"""

RETURN = """
_raw:
  description: The secrets, 48 letters and digits each when generated here.
  type: list
  elements: string
"""

ALPHABET = string.ascii_letters + string.digits
LENGTH = 48


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        context = VaultSecretsContext.current(optional=True)
        vault = VaultLib(context.secrets if context else None)
        return [_secret(Path(term).expanduser(), vault) for term in terms]


def _secret(path: Path, vault: VaultLib) -> str:
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
            with contextlib.suppress(FileExistsError):  # another process came first: its secret counts
                _write(path, _sealed(new, vault), os.link)
        kept = path.read_bytes()
        if vault.is_encrypted(kept):
            return _opened(path, kept, vault)
        secret = kept.decode().strip()
        if not secret:
            raise AnsibleLookupError(f"{path} is empty: put the secret into it, or remove it and a new one is generated")
        if vault.secrets:
            _write(path, _sealed(secret, vault), os.replace)
        return secret
    except OSError as error:
        raise AnsibleLookupError(f"the secret {path} cannot be read or written") from error  # Ansible adds why


def _sealed(secret: str, vault: VaultLib) -> bytes:
    """The file's content: encrypted when there is a vault password."""
    if not vault.secrets:
        return f"{secret}\n".encode()
    vault_id, password = match_encrypt_secret(vault.secrets, constants.DEFAULT_VAULT_ENCRYPT_IDENTITY)
    return vault.encrypt(f"{secret}\n", password, vault_id)


def _opened(path: Path, content: bytes, vault: VaultLib) -> str:
    try:
        return vault.decrypt(content).decode().strip()
    except AnsibleError as error:
        if not vault.secrets:
            raise AnsibleLookupError(f"{path} is encrypted: set ANSIBLE_VAULT_PASSWORD_FILE to the file of its vault password") from error
        remedy = f"give the one it was encrypted with, which `ansible-vault rekey {path}` changes"
        raise AnsibleLookupError(f"{path} is encrypted with another vault password: {remedy}") from error


def _write(path: Path, content: bytes, publish: Callable[[str, Path], None]) -> None:
    """Put a whole file of mode 0600 in place, or none. publish: os.link raises FileExistsError where os.replace overwrites."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        publish(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
