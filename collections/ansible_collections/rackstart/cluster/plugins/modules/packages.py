#!/usr/bin/python
"""Packages installed by the host's own manager, and seen to be. The action plugin of the same name does it."""

from __future__ import annotations

DOCUMENTATION = """
module: packages
short_description: Packages installed by the host's own manager, and seen to be
description:
  - Installs packages by M(ansible.builtin.apt) or M(ansible.builtin.dnf), whichever the host's os-release asks for, without what they only
    recommend.
  - Nothing is asked of the manager when dpkg or rpm has all of them as installed, in the version that a name may have.
  - Lists of apt's are read without apt's own retries, of which it may never come back.
  - A manager that failed is asked once more, with its lists read anew, and a dpkg that was killed is taken up again.
  - Afterwards dpkg or rpm itself is asked whether the packages are there.
author: The Rackstart authors
options:
  name:
    description: The packages, with a version where there has to be one, written as the manager does.
    type: list
    elements: str
    required: true
  allow_downgrade:
    description: Other versions may be replaced, newer and held ones as well.
    type: bool
    default: false
  cache_valid_time:
    description: Seconds for which apt's lists count as fresh.
    type: int
    default: 86400
attributes:
  check_mode:
    support: full
    description: That of the manager's module.
  diff_mode:
    support: full
    description: That of the manager's module.
"""

EXAMPLES = """
- name: Install the NFS client
  rackstart.cluster.packages:
    name: [nfs-common, netbase]
"""

RETURN = """
changed:
  description: Whether a package was installed. Everything else is what the manager's module returns.
  type: bool
  returned: always
"""
