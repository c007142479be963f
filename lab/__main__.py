"""`python -m lab`: hosts and their network on this machine."""

import argparse
import os
import sys

from lab import hosts
from lab.host import Host
from lab.shell import LabError


def main(arguments: list[str]) -> int:
    parsed = _parser().parse_args(arguments)
    if os.geteuid():
        print("lab: needs root (mounts, network, cgroups): use sudo", file=sys.stderr)
        return 2
    os.umask(0o022)
    try:
        parsed.run(parsed)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(required=True)

    ssh = commands.add_parser("ssh", help="log in to a host, or run a command there")
    ssh.add_argument("host")
    ssh.add_argument("command", nargs=argparse.REMAINDER)
    ssh.set_defaults(run=_ssh)

    host = commands.add_parser("host", help="one host").add_subparsers(required=True)
    up = host.add_parser("up", help="start a throw-away host, new or stopped")
    up.add_argument("name")
    up.add_argument("address")
    up.add_argument("--gpu", dest="gpus", action="append", default=[], metavar="MODEL", help="a GPU of lab/nvidia/models.json; repeatable")
    up.set_defaults(run=_host_up)
    actions = {
        "down": (lambda name: hosts.down([name]), "end a host and forget its disks"),
        "kill": (hosts.kill, "power loss"),
        "start": (hosts.start, "power on; the disks are as they were"),
        "wipe": (hosts.wipe, "power loss, a fresh installation, power on"),
    }
    for verb, (action, text) in actions.items():
        command = host.add_parser(verb, help=text)
        command.add_argument("name")
        command.set_defaults(run=lambda parsed, action=action: action(parsed.name))
    return parser


def _host_up(parsed: argparse.Namespace) -> None:
    started = hosts.up([hosts.describe(parsed.name, parsed.address, parsed.gpus)])
    print(f"{parsed.name}: {'started' if started else 'already running'}")


def _ssh(parsed: argparse.Namespace) -> None:
    command = hosts.ssh_command(Host.load(parsed.host)) + parsed.command
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
