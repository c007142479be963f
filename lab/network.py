"""The lab's one network: a bridge with the controller's address, and NAT for what the hosts fetch from outside."""

import json
from pathlib import Path

from lab import paths
from lab.shell import LabError, run


def up() -> None:
    """Make what is missing of bridge, address and table."""
    _refuse_second_owner()
    if not _exists(paths.BRIDGE):
        run(["ip", "link", "add", paths.BRIDGE, "type", "bridge"])
    run(["ip", "address", "replace", f"{paths.CONTROLLER}/24", "dev", paths.BRIDGE])
    run(["ip", "link", "set", paths.BRIDGE, "up"])
    rules = f"""
        table ip {paths.NFT_TABLE} {{}}
        delete table ip {paths.NFT_TABLE}
        table ip {paths.NFT_TABLE} {{
            chain postrouting {{
                type nat hook postrouting priority srcnat;
                ip saddr {paths.NETWORK} oifname != "{paths.BRIDGE}" masquerade
            }}
        }}"""
    run(["nft", "--file", "-"], stdin=rules)


def down() -> None:
    """Take away everything that `up` made, and what killed hosts left on the bridge."""
    for port in Path("/sys/class/net").glob(f"{paths.BRIDGE}/brif/*"):
        delete_link(port.name)
    delete_link(paths.BRIDGE)
    run(["nft", "--file", "-"], stdin=f"table ip {paths.NFT_TABLE} {{}}\ndelete table ip {paths.NFT_TABLE}\n")


def delete_link(name: str) -> None:
    """Delete a network interface if there is one; that of a host that ends goes by itself, at any moment."""
    try:
        run(["ip", "link", "delete", name])
    except LabError:
        if _exists(name):
            raise


def host_link(host: str) -> str:
    """The machine's end of a host's cable; systemd-nspawn names it so."""
    return f"vb-{host}"


def _exists(link: str) -> bool:
    return Path("/sys/class/net", link).exists()


def _refuse_second_owner() -> None:
    """Two interfaces in one subnet make every host unreachable, without an error anywhere."""
    for interface in json.loads(run(["ip", "-json", "-4", "address"])):
        for address in interface.get("addr_info", []):
            if address["local"].startswith(paths.NETWORK.removesuffix("0/24")) and interface["ifname"] != paths.BRIDGE:
                raise LabError(
                    f"interface {interface['ifname']} has {address['local']}, in the lab's network {paths.NETWORK}: "
                    "take it down, the lab needs this network for itself"
                )
