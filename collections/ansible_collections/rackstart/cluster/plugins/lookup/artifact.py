"""Lookup of one outside thing, verified against the inventory's lock."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.rackstart.cluster.plugins.module_utils import artifacts

DOCUMENTATION = """
name: artifact
author: The Rackstart authors
short_description: Address and digest of an artifact
description:
  - Reads C(artifacts.yml) at the top of the repository and C(artifacts.lock.yml) beside the inventory.
  - Fails, naming the command to run, when the artifact is not locked as it is declared.
options:
  _terms:
    description:
      - Kind (files, charts, images, repositories, hubs) and name of the artifact. A name that ends with C(*) stands for every artifact
        whose name begins so, and is answered with a dictionary of them by the rest of their names.
    type: list
    elements: string
    required: true
  artifact_mirror:
    description: Mirror that serves https://HOST/PATH as MIRROR/HOST/PATH; empty for upstream.
    type: string
    default: ""
    vars:
      - name: artifact_mirror
"""

EXAMPLES = """
- name: Show where k3s comes from
  ansible.builtin.debug:
    msg: "{{ lookup('rackstart.cluster.artifact', 'files', 'k3s').url }}"
"""

RETURN = """
_raw:
  description:
    - files and charts have version, url, upstream and sha256.
    - images have reference, digest and pinned.
    - repositories have url, key_url and key_sha256.
    - hubs have url.
  type: list
  elements: dict
"""

REPOSITORY = Path(__file__).resolve().parents[6]


def _read(path: Path) -> dict:
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def _inventory(variables: dict) -> Path:
    """Directory of the inventory; the implicit localhost has none of its own, so it is the first host's."""
    host = variables if "inventory_dir" in variables else variables["hostvars"][variables["groups"]["all"][0]]
    return Path(host["inventory_dir"])


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        if len(terms) != 2:
            raise AnsibleLookupError("artifact wants a kind and a name, such as 'files', 'k3s'")
        inventory = _inventory(variables)
        try:
            resolve = artifacts.resolve_all if terms[1].endswith("*") else artifacts.resolve
            return [
                resolve(
                    _read(REPOSITORY / "artifacts.yml"),
                    _read(inventory / "artifacts.lock.yml"),
                    terms[0],
                    terms[1].removesuffix("*"),
                    mirror=self._templar.template(self.get_option("artifact_mirror")),
                )
            ]
        except artifacts.ArtifactError as error:
            command = f"python bootstrap.py --inventory {inventory.name} lock"
            raise AnsibleLookupError(f"{error}. Run: {command}") from error
