"""Lookup of every number that is set and has a range."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible.plugins.lookup import LookupBase
from ansible_collections.rackstart.cluster.plugins.module_utils import ranges

DOCUMENTATION = """
name: numbers
author: The Rackstart authors
short_description: Numbers that are set for roles, with their ranges
description:
  - Reads the argument specs of all roles in a directory and returns, of the variables that are set where it is called, those whose
    description states a range (C(From 1 to 65535.)).
options:
  _terms:
    description: Directory of the roles.
    type: list
    elements: path
    required: true
"""

EXAMPLES = """
- name: Show the numbers
  ansible.builtin.debug:
    msg: "{{ query('rackstart.cluster.numbers', playbook_dir ~ '/../roles') }}"
"""

RETURN = """
_raw:
  description: name, value, low and high of each.
  type: list
  elements: dict
"""


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        found = {}
        for file in sorted(file for term in terms for file in Path(term).glob("*/meta/argument_specs.yml")):
            for entry in yaml.safe_load(file.read_text())["argument_specs"].values():
                options = {name: option for name, option in (entry.get("options") or {}).items() if ranges.ranged(option)}
                values = {name: self._templar.template(variables[name]) for name in options if name in variables}
                found |= {row["name"]: row for row in ranges.numbers(options, values)}
        return list(found.values())
