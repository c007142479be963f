"""`python -m lab`: hosts and their network on this machine."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from lab import debian, hosts
from lab.host import Host
from lab.mirror import fault
from lab.shell import LabError
from lab.up import TOPOLOGY
from lab.up import up as lab_up


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

    up = commands.add_parser("up", help="build what is missing and start what does not run")
    up.add_argument("names", nargs="*", metavar="HOST", help="hosts of the topology; all of them without")
    up.add_argument("--topology", type=Path, default=TOPOLOGY, help="YAML file (default: %(default)s)")
    up.set_defaults(run=lambda parsed: lab_up(parsed.names, parsed.topology))

    down = commands.add_parser("down", help="end hosts and forget their disks; without HOST, leave nothing but the builds' cache")
    down.add_argument("names", nargs="*", metavar="HOST")
    down.set_defaults(run=lambda parsed: hosts.down(parsed.names) if parsed.names else hosts.down_all())

    status = commands.add_parser("status", help="hosts, addresses, GPUs and whether they run")
    status.add_argument("--json", action="store_true")
    status.set_defaults(run=_status)

    ssh = commands.add_parser("ssh", help="log in to a host, or run a command there")
    ssh.add_argument("host")
    ssh.add_argument("command", nargs=argparse.REMAINDER)
    ssh.set_defaults(run=_ssh)

    faults = commands.add_parser("fault", help="make a part of the mirror misbehave").add_subparsers(required=True)
    hub = faults.add_parser("hub", help="the model hub, from the next request on")
    hub.add_argument("fault", choices=fault.FAULTS)
    hub.set_defaults(run=lambda parsed: fault.hub(parsed.fault))

    host = commands.add_parser("host", help="one host").add_subparsers(required=True)
    up = host.add_parser("up", help="start a throw-away host, new or stopped")
    up.add_argument("name")
    up.add_argument("address")
    up.add_argument("--gpu", dest="gpus", action="append", default=[], metavar="MODEL", help="a GPU of lab/nvidia/models.json; repeatable")
    up.add_argument("--suite", default=debian.SUITE, help="what it is: one of lab/root/suites.yml (default: %(default)s)")
    up.set_defaults(run=_host_up)
    actions = {
        "down": (lambda name: hosts.down([name]), "end a host and forget its disks"),
        "kill": (hosts.kill, "power loss"),
        "start": (hosts.start, "power on; the disks are as they were"),
    }
    for verb, (action, text) in actions.items():
        command = host.add_parser(verb, help=text)
        command.add_argument("name")
        command.set_defaults(run=lambda parsed, action=action: action(parsed.name))
    wipe = host.add_parser("wipe", help="power loss, a fresh installation, power on")
    wipe.add_argument("names", nargs="+", metavar="NAME")
    wipe.set_defaults(run=lambda parsed: hosts.wipe(parsed.names))
    return parser


def _status(parsed: argparse.Namespace) -> None:
    found = hosts.status()
    if parsed.json:
        print(json.dumps([asdict(host) for host in found], indent=2))
    elif not found:
        print("no hosts: `python -m lab up` starts them")
    else:
        for host in found:
            print(f"{host.name:12} {host.address:12} {host.state:8} {' '.join(host.gpus)}".rstrip())


def _host_up(parsed: argparse.Namespace) -> None:
    started = hosts.up([hosts.describe(parsed.name, parsed.address, parsed.gpus, parsed.suite)])
    print(f"{parsed.name}: {'started' if started else 'already running'}")


def _ssh(parsed: argparse.Namespace) -> None:
    command = hosts.ssh_command(Host.load(parsed.host)) + parsed.command
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
