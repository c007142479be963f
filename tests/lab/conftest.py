"""bootstrap.py on the lab, as fixtures; what it says is shown while it goes on."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import paths
from tests.lab import page
from tests.lab.drive import INVENTORY, Finished, Running, cluster_id

LONGEST = 1800  # seconds that a command may take
BUILDS = 4500  # seconds that the first run may take, on a machine that has none of the builds


TARGETS = ("serving", "chaos")  # marks of tests that are targets of their own
STEPS = pytest.StashKey[list[page.Step]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--serving-page", type=Path, metavar="FILE", help="write what was seen of serving to FILE when all of it was right")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    report: pytest.TestReport = yield
    if call.when == "call" and item.get_closest_marker("serving"):
        given = dict(item.user_properties)
        name = given.get("step") or item.name.removeprefix("test_").replace("_", " ")
        item.config.stash[STEPS].append(page.Step(str(name), given.get("commands"), given.get("requests"), report.duration))
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if (file := session.config.option.serving_page) and exitstatus == 0:
        file.write_text(page.page(session.config.stash[STEPS]))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STEPS] = []
    if config.option.markexpr in TARGETS:
        _record(config).unlink(missing_ok=True)
    config.addinivalue_line("markers", "lab: needs root and the lab's hosts")
    config.addinivalue_line("markers", "serving: docs/serving.md and what takes long beside it, in a target of its own")
    config.addinivalue_line("markers", "chaos: takes long, in a target of its own")


def _record(config: pytest.Config) -> Path:
    target = config.option.markexpr
    return paths.REPO / ".ansible" / (f"record-{target}.jsonl" if target in TARGETS else "record.jsonl")


@pytest.fixture(scope="session")
def record(pytestconfig: pytest.Config) -> dict[str, str]:
    """Environment in which Ansible writes down its tasks for `make coverage`."""
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(paths.REPO / "tests/plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "record",
        "RACKSTART_RECORD": str(_record(pytestconfig)),
    }


@pytest.fixture(scope="session")
def start(request: pytest.FixtureRequest, record: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Running]:
    """start(ARGUMENT..., **ENVIRONMENT): bootstrap.py, on its way."""
    terminal, capture = map(request.config.pluginmanager.get_plugin, ("terminalreporter", "capturemanager"))

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(text)
            terminal.flush()

    return lambda *arguments, **environment: Running(arguments, record | environment, tmp_path_factory.mktemp("bootstrap"), say)


@pytest.fixture(scope="session")
def bootstrap(start: Callable[..., Running]) -> Callable[..., Finished]:
    """bootstrap(ARGUMENT..., seconds=LONGEST, **ENVIRONMENT): bootstrap.py to its end."""

    def run(*arguments: str, seconds: float = LONGEST, **environment: str) -> Finished:
        finished = start(*arguments, **environment).wait(seconds)
        assert finished
        return finished

    return run


@pytest.fixture(scope="session")
def first(bootstrap: Callable[..., Finished]) -> Iterator[Finished]:
    """The first run, on a machine where nothing of the lab is left; nothing of it is left at the end either."""
    assert bootstrap("lab", "down").code == 0
    assert not paths.STATE.exists()
    yield bootstrap("--inventory", "lab", seconds=BUILDS)
    assert bootstrap("lab", "down").code == 0


@pytest.fixture(scope="session")
def cluster(first: Finished) -> str:
    """The id of the cluster that the first run made."""
    assert first.code == 0, first
    return cluster_id()


@pytest.fixture(scope="module")
def key(cluster: str, bootstrap: Callable[..., Finished]) -> Iterator[str]:
    """Of clients that load the endpoint."""
    yield bootstrap("--inventory", "lab", "key", "add", "load", "--json").json["key"]
    bootstrap("--inventory", "lab", "key", "revoke", "load")


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A copy of the lab's inventory, with its lock and without its hook; it has the lab's state, unless that is put elsewhere."""
    return shutil.copytree(INVENTORY, tmp_path / INVENTORY.name, ignore=shutil.ignore_patterns("hooks"))


@pytest.fixture
def state() -> Iterator[str]:
    """A state directory for an inventory of the tests; short, since ssh's control sockets lie below it."""
    folder = tempfile.mkdtemp()
    yield folder
    shutil.rmtree(folder)
