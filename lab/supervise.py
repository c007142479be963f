"""Runs one host until it powers off: `python -m lab.supervise NAME LOCK_FD`, in a mount namespace of its own.

The overlay is mounted in that namespace, so no mount can outlive the host, however it ends.
"""

import os
import subprocess
import sys

from lab import cgroups, network, paths
from lab.host import Host
from lab.processes import identity
from lab.shell import run

REBOOT = 133  # systemd-nspawn's exit code when the host asked for a reboot
DROPPED = "CAP_SYS_MODULE,CAP_SYS_TIME,CAP_SYS_RAWIO"  # these reach the machine itself


def main(name: str, lock: int) -> int:
    cgroups.enter(name)
    host = Host.load(name)
    host.pid_file.write_text(identity(os.getpid()))
    os.close(lock)  # from here on the host can be found, so others may work on the lab
    layers = f"lowerdir={host.lower},upperdir={host.directory / 'upper'},workdir={host.directory / 'work'}"
    run(["mount", "-t", "overlay", "-o", layers, "overlay", host.directory / "root"])
    binds = [f"--bind={host.directory / 'data' / path}:/{path}" for path in Host.DATA]
    binds += [f"--bind-ro={source}:{target}" for source, target in host.binds.items()]
    command = [
        "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=read-only",
        f"--machine={name}", f"--hostname={name}", f"--directory={host.directory / 'root'}",
        f"--network-bridge={paths.BRIDGE}", "--resolv-conf=copy-host", "--bind=/dev/fuse", *binds,
        "--capability=all", f"--drop-capability={DROPPED}", "--system-call-filter=@known",
    ]  # fmt: skip
    environment = os.environ | {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}  # of /proc/sys, only what is the host's own
    while True:
        network.delete_link(network.host_link(name))
        code = subprocess.run(command, check=False, env=environment, stdin=subprocess.DEVNULL).returncode
        if code != REBOOT:
            return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
