"""What the tests share: two fresh machines, the playbooks that were run on them, and the page of results."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.vm import image, machines, page
from tests.vm.machines import ADDRESSES, Play, ask, root

STAGES = ("playbooks/host.yml", "playbooks/storage.yml")
RESULT = pytest.StashKey[page.Result]()
T = TypeVar("T")


class Step(Protocol):
    def __call__(self, what: str, do: Callable[[], T]) -> T: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vm-page", type=Path, metavar="FILE", help="write what was proven to FILE when all of it was")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULT] = page.Result()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function, call: pytest.CallInfo[None]) -> Iterator[None]:
    if call.when == "call" and not call.excinfo:
        item.config.stash[RESULT].proven.setdefault(item.module.__doc__, {})[item.function.__doc__] = None
    return (yield)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if (file := session.config.option.vm_page) and exitstatus == 0:
        file.write_text(page.page(session.config.stash[RESULT]))


@pytest.fixture(scope="session")
def step(request: pytest.FixtureRequest) -> Step:
    """step(WHAT, RUN): run it, say what it is and how long it took."""
    terminal, capture = map(request.config.pluginmanager.get_plugin, ("terminalreporter", "capturemanager"))

    def run(what: str, do: Callable[[], T]) -> T:
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"\n  {what} ...")
            terminal.flush()
        started = time.monotonic()
        done = do()
        request.config.stash[RESULT].seconds[what] = time.monotonic() - started
        return done

    return run


@pytest.fixture(scope="session")
def booted(request: pytest.FixtureRequest, step: Step) -> Iterator[None]:
    """Both machines, as a fresh installation leaves them."""
    base = image.artifact()
    with machines.running(base) as processes:
        step("boot both machines", lambda: machines.wait(processes))
        request.config.stash[RESULT].kernel = ask("server", "uname -r")
        yield


@pytest.fixture(scope="session")
def fresh(booted: None) -> dict[str, str]:
    """Swap, modules and settings of the machines before any role."""
    return {name: ask(name, "cat /proc/swaps; lsmod; sysctl vm.overcommit_memory fs.inotify.max_user_instances") for name in ADDRESSES}


@pytest.fixture(scope="session")
def stages(fresh: dict[str, str], step: Step) -> list[Play]:
    """Stages host and storage: foretold on fresh machines, run, repeated. On the client swap was turned off by hand before."""
    ask("client", "swapoff -a")
    return [
        step("foretell stages host and storage (`--check`)", lambda: machines.play(*STAGES, check=True)),
        step("run them", lambda: machines.play(*STAGES)),
        step("run them again", lambda: machines.play(*STAGES)),
    ]


@pytest.fixture(scope="session")
def mended(stages: list[Play], step: Step) -> list[Play]:
    """Stage storage, foretold and run after an alteration by hand."""
    ask("server", "sed -i s/ro,/rw,/ /etc/exports.d/rackstart.exports; systemctl disable --now nfs-server")
    return [
        step("foretell stage storage after an alteration by hand", lambda: machines.play(STAGES[1], check=True)),
        step("mend it", lambda: machines.play(STAGES[1])),
    ]


@pytest.fixture(scope="session")
def exported(mended: list[Play]) -> str:
    """What the server exports, with a file that all may read and one that only root may."""
    path = str(machines.settings("server")["storage_path"])
    ask("server", f"echo weights >{path}/public; umask 077; echo secret >{path}/private")
    return path


@pytest.fixture(scope="session")
def mounted(exported: str) -> Iterator[str]:
    """Where the client has the export mounted, with the options that the inventory gives to volumes."""
    told = machines.settings("client")
    options = ",".join(told["storage_mount_options"])
    ask("client", f"mount -t nfs -o {options} {ADDRESSES['server']}:{told['storage_export']} /mnt")
    yield "/mnt"
    root("client", "umount /mnt")


@pytest.fixture(scope="session")
def filer(exported: str, step: Step) -> list[Play]:
    """The client as storage host of a filer, which the server plays: foretold, run, repeated."""
    ask(
        "server",
        "mkdir /srv/filer; echo '/srv/filer 10.79.0.2(rw,no_root_squash,no_subtree_check)' >/etc/exports.d/filer.exports; exportfs -r",
    )
    return [
        step("foretell backend external", lambda: machines.play("tests/vm/external.yml", check=True)),
        step("run backend external", lambda: machines.play("tests/vm/external.yml")),
        step("run backend external again", lambda: machines.play("tests/vm/external.yml")),
    ]


@pytest.fixture(scope="session")
def rebooted(stages: list[Play], filer: list[Play], step: Step) -> dict[str, tuple[str, str]]:
    """Boot ids of each machine before and after role nvidia_driver has kept nouveau away and rebooted."""
    before = {name: ask(name, "cat /proc/sys/kernel/random/boot_id") for name in ADDRESSES}
    step("rebuild the initramfs and reboot", lambda: machines.play("tests/vm/nouveau.yml"))
    return {name: (before[name], ask(name, "cat /proc/sys/kernel/random/boot_id")) for name in ADDRESSES}
