"""docs/serving.md is run as a reader would: every command of it, in its order, with what the page says they print."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.k3s.build import artifact as k3s
from tests.lab.clients import CLIENTS, load
from tests.lab.drive import ROOT
from tests.lab.site import fill_in

pytestmark = [pytest.mark.lab, pytest.mark.serving]

PAGE = ROOT / "docs/serving.md"
SITE = ROOT / "inventories/example"
LONGEST = 1800  # seconds that a command may take
END = "the command has ended with"
LOADED = ("A newer revision, while clients stream", "A bad change, while clients stream")


def sections(page: str) -> dict[str, list[tuple[str, str]]]:
    """Heading -> commands with what they print, as the page's console blocks have them."""
    found = {}
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        blocks = "".join(re.findall(r"^```console\n(.*?)^```$", part, re.MULTILINE | re.DOTALL))
        steps = re.findall(r"^\$ (.*\n(?:> .*\n)*)((?:(?!\$ ).*\n)*)", blocks, re.MULTILINE)
        found[part.splitlines()[0]] = [(command.replace("\n> ", "\n"), printed) for command, printed in steps]
    return found


def fits(said: str, printed: str) -> bool:
    """Whether a command's output has the lines that the page shows, in their order; a console breaks them where it likes."""
    place = 0
    for line in printed.splitlines():
        pieces = (re.escape(piece).replace(r"\ ", r"\s+") for piece in line.split("..."))
        if not (found := re.compile(".*".join(pieces)).search(said, place)):
            return False
        place = found.end()
    return True


class Shell:
    """One bash that a reader types into."""

    def __init__(self, home: str, programs: Path, record: dict[str, str]) -> None:
        environment = (
            os.environ
            | record
            | {
                "HOME": home,
                "XDG_STATE_HOME": f"{home}/.local/state",
                "PATH": f"{programs}:{os.environ['PATH']}",
                "COLUMNS": "200",
            }
        )
        self._bash = subprocess.Popen(
            ["bash"], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and all that it printed."""
        assert self._bash.stdin
        assert self._bash.stdout
        late = threading.Timer(LONGEST, self.kill)
        late.start()
        try:
            self._bash.stdin.write(f'{{ {command.rstrip()}\n}} </dev/null\nprintf "\\n%s\\n" "{END} $?"\n')
            self._bash.stdin.flush()
            said = ""
            for line in self._bash.stdout:
                if line.startswith(END):
                    return int(line.removeprefix(END)), said
                said += line
            pytest.fail(f"not done after {LONGEST} s: {command}\n{said[-6000:]}")
        finally:
            late.cancel()

    def kill(self) -> None:
        os.killpg(self._bash.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def shell(cluster: str, record: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    assert not SITE.exists(), f"{SITE} is what this test makes; move yours"
    home, programs = tmp_path_factory.mktemp("h"), tmp_path_factory.mktemp("bin")
    (programs / "kubectl").write_text(f'#!/bin/sh\nexec {k3s()}/k3s kubectl "$@"\n')
    (programs / "kubectl").chmod(0o755)
    shell = Shell(str(home), programs, record)
    yield shell
    shell.kill()
    shutil.rmtree(SITE, ignore_errors=True)


@pytest.mark.parametrize("section", sections(PAGE.read_text()))
def test_the_page_is_what_happens(shell: Shell, section: str, capsys: pytest.CaptureFixture[str], record_property: Any) -> None:
    record_property("step", section)
    key = shell.run('echo "$KEY"')[1].strip()
    with load(key) if section in LOADED else contextlib.nullcontext([""] * 2 * CLIENTS) as results:
        steps = sections(PAGE.read_text())[section]
        record_property("commands", len(steps))
        for command, printed in steps:
            with capsys.disabled():
                print(f"\n$ {command}", end="", flush=True)
            code, said = shell.run(command)
            assert code == 0, f"{command}{said[-6000:]}"
            assert fits(said, printed), f"{command}{said[-6000:]}"
            if command.startswith("cp "):
                fill_in(SITE)
    assert len(results) > CLIENTS
    assert [result for result in results if result] == []
    if section in LOADED:
        record_property("requests", len(results))
