"""Lookup of every number that is set and has a range."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import yaml
from ansible.plugins.lookup import LookupBase
from ansible_collections.rackstart.cluster.plugins.module_utils import ranges
from jinja2 import Undefined, UndefinedError

DOCUMENTATION = """
name: numbers
author: The Rackstart authors
short_description: Numbers that are set for roles, with their ranges
description:
  - Reads the argument specs of all roles in a directory and returns, of the variables that are set where it is called, those whose
    description states a range (C(From 1 to 65535.)).
  - Adds what each of the hosts has otherwise; a host's variable that cannot be templated before its facts are gathered is passed over.
options:
  _terms:
    description: Directory of the roles.
    type: list
    elements: path
    required: true
  hosts:
    description: Hosts whose variables are read too.
    type: list
    elements: str
    default: []
"""

EXAMPLES = """
- name: Show the numbers
  ansible.builtin.debug:
    msg: "{{ query('rackstart.cluster.numbers', playbook_dir ~ '/../roles') }}"
"""

RETURN = """
_raw:
  description: host (empty where it is called), name, value, low and high of each.
  type: list
  elements: dict
"""


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        options: ranges.Options = {}
        for file in sorted(file for term in terms for file in Path(term).glob("*/meta/argument_specs.yml")):
            for entry in yaml.safe_load(file.read_text())["argument_specs"].values():
                options |= {name: option for name, option in (entry.get("options") or {}).items() if ranges.ranged(option)}
        values = {name: self._templar.template(variables[name]) for name in options if name in variables}
        here = list(ranges.numbers(options, values))
        rows = [{"host": ""} | row for row in here]
        for host in self.get_option("hosts"):
            theirs = variables["hostvars"][host]
            for name, value in ((name, theirs[name]) for name in options if name in theirs):
                if isinstance(value, Undefined):
                    continue  # until a stage has gathered the facts that define it
                with suppress(UndefinedError):  # the same inside a list or dictionary
                    rows += [{"host": host} | row for row in ranges.numbers(options, {name: value}) if row not in here]
        return rows
