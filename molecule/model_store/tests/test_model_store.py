"""Role model_store: what lies in the store, checked with the tools of the host alone."""

import json
from collections.abc import Callable
from pathlib import Path

import yaml
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
MODEL = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/models.yml").read_text())["models"][0]
PLACE = f"/srv/models/{MODEL['repo']}/{MODEL['revision']}"

Run = Callable[[Host, str], tuple[int, str]]


def test_every_file_is_what_the_manifest_says(host: Host) -> None:
    assert host.run(f"cd {PLACE} && sha256sum --check --strict --quiet MANIFEST.sha256").rc == 0
    listed = host.check_output(f"cut -c67- {PLACE}/MANIFEST.sha256").split()
    found = host.check_output(f"cd {PLACE} && find . -type f ! -name MANIFEST.sha256 -printf '%P\\n'").split()
    assert sorted(listed) == sorted(found)
    assert "model-00001-of-00002.safetensors" in listed


def test_the_weights_are_those_of_the_hub(host: Host) -> None:
    """The hub's LFS pointers, asked anew."""
    url = f"http://10.77.0.2/huggingface.co/api/models/{MODEL['repo']}/revision/{MODEL['revision']}?blobs=true"
    siblings = json.loads(
        host.check_output(f"python3 -c 'import urllib.request; print(urllib.request.urlopen(\"{url}\").read().decode())'")
    )["siblings"]
    sums = {entry["rfilename"]: entry["lfs"]["sha256"] for entry in siblings if entry.get("lfs")}
    assert "model-00001-of-00002.safetensors" in sums
    assert {name: host.file(f"{PLACE}/{name}").sha256sum for name in sums} == sums


def test_readers_can_read_it_and_nobody_else_can_write(host: Host) -> None:
    assert host.check_output(f"find {PLACE} ! -perm -a+r -o -type d ! -perm -a+x") == ""
    assert host.check_output(f"find {PLACE} -perm /022") == ""


def test_nothing_half_done_is_left(host: Host, as_root: Run) -> None:
    assert as_root(host, "find /srv/models/.staging -type f ! -name .lock") == (0, "")
