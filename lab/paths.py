"""Names that the lab uses on the machine. State belongs to the machine; builds belong to the user who made them."""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent

STATE = Path("/var/lib/rackstart-lab")
HOSTS = STATE / "hosts"
SSH = STATE / "ssh"
IDENTITY = SSH / "id"
KNOWN_HOSTS = SSH / "known_hosts"
BECOME_PASSWORD = STATE / "become_password"
LOCK = Path("/run/lock/rackstart-lab.lock")  # outside of STATE, which `lab down` removes

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rackstart"
BUILDS = CACHE / "builds"

BRIDGE = "br-rackstart"
NFT_TABLE = "rackstart_lab"
CGROUP_PREFIX = "rackstart-lab-"
NETWORK = "10.77.0.0/24"
CONTROLLER = "10.77.0.1"
