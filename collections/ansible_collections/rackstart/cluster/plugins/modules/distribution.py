#!/usr/bin/python
"""Which family of distributions a host is of. The action plugin of the same name looks."""

from __future__ import annotations

DOCUMENTATION = """
module: distribution
short_description: Which family of distributions a host is of
description: Fails for a distribution that has neither apt nor dnf.
author: The Rackstart authors
options: {}
attributes:
  check_mode:
    support: full
    description: Nothing is changed.
  diff_mode:
    support: none
    description: Nothing is changed.
"""

EXAMPLES = """
- name: Look which distribution the host has
  rackstart.cluster.distribution:
  register: look
"""

RETURN = """
family:
  description: Debian or RedHat, by what os-release says the host is, or is like.
  type: str
  returned: success
"""
