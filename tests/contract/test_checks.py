"""The script of the checks sees what is wrong with weights, keys and certificate, and nothing holds it up, as a store that hangs."""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.rackstart.cluster.plugins.module_utils import certificates, gateway_keys
from test_gateway import line

from lab.images import debian
from rackstart.paths import ROOT
from tests.loopback import program

ENDS, EXPIRES = "rackstart_certificate_expiry_timestamp_seconds", "rackstart_key_expiry_timestamp_seconds"
CREATED = "rackstart_key_created_timestamp_seconds"
LOOKED, WEIGHED = "rackstart_weights_looked_timestamp_seconds", "rackstart_weights_weighed_timestamp_seconds"


class Checks:
    """checks.sh on a model's weights of two files, keys and a certificate that all are good."""

    def __init__(self, folder: Path, *further: str) -> None:
        self.weights, self.out, self.state = (folder / name for name in ("weights/tiny", "out", "state"))
        for path in (self.weights, self.out, self.state):
            path.mkdir(parents=True)
        self.manifest = self.weights / "MANIFEST.sha256"
        (self.weights / "a").write_text("a")
        self.write("b c", publish=True)
        keys = [gateway_keys.Key("", "soon", expires=2000, created=500), gateway_keys.Key("", "soon", expires=9000, created=1000)]
        keys += [gateway_keys.Key("", "never"), gateway_keys.Key("", "never", expires=5)]
        (folder / "keys.map").write_text("".join(f"{line('rk', key)}\n" for key in keys))
        self.certificate = certificates.read(certificates.made({}, {}, ["127.0.0.1"])[1])[0]
        (folder / "tls.crt").write_text(certificates.pem(self.certificate))
        script = ROOT / "roles/monitoring/files/checks.sh"
        shell = [debian.artifact() / "tools/bin/busybox", "sh"]
        files = [folder / "keys.map", folder / "tls.crt", self.out, self.state]
        self.command = [*shell, script, *files, "0.1", "0.1", self.weights, *(folder / "weights" / name for name in further)]
        self.log = folder / "log"

    def write(self, text: str, publish: bool) -> None:
        """Another content of one of the files; publish: and of the manifest."""
        (self.weights / "b c").write_text(text)
        if publish:
            sums = subprocess.run(["sha256sum", "a", "b c"], cwd=self.weights, check=True, capture_output=True, text=True).stdout
            self.manifest.write_text(sums)

    def metrics(self) -> str:
        return (self.out / "metrics.txt").read_text()

    def seen(self, name: str, labels: str = 'model="tiny"') -> float | None:
        """Value of a series."""
        found = re.search(rf"^{name}(?:\{{{labels}\}})? (\S+)$", self.metrics(), re.M)
        return float(found[1]) if found else None

    def good(self) -> float | None:
        return self.seen("rackstart_weights_good")

    def later(self, name: str) -> bool:
        """Whether a time is of a second that began after this call, or of the one before the last."""
        return (self.seen(name) or 0) >= time.time() - 1


@contextlib.contextmanager
def hanging(path: Path) -> Iterator[None]:
    """Whoever opens it meanwhile waits, as for a server that is away, and then gets what was there before."""
    data, pipe = path.read_bytes(), path.with_name("pipe")
    path.unlink()
    os.mkfifo(path)
    try:
        yield
    finally:
        path.rename(pipe)
        path.write_bytes(data)
        with contextlib.suppress(OSError):  # nobody waits
            descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            os.write(descriptor, data)
            os.close(descriptor)


def test_it_sees_weights_keys_and_certificate(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    with program(checks.log, *checks.command) as until:
        until(lambda: checks.good() == 1)
        assert (checks.seen(EXPIRES, 'client="soon"'), checks.seen(EXPIRES, 'client="never"')) == (9000, None)
        assert (checks.seen(CREATED, 'client="soon"'), checks.seen(CREATED, 'client="never"')) == (1000, None)
        assert checks.seen(ENDS) == checks.certificate.not_valid_after_utc.timestamp()
        for publish in (False, True):  # a file alone, and with a manifest that agrees
            checks.write("b d", publish)
            until(lambda: checks.good() == 0)
            checks.write("b c", publish)
            until(lambda: checks.good() == 1)
        checks.write("b d", True)
        until(lambda: checks.good() == 0)
        rounds = (checks.seen(WEIGHED) or 0) + 2
        until(lambda: (checks.seen(WEIGHED) or 0) > rounds)  # many of them, in which every file was found to be as in the manifest
        assert checks.good() == 0


def test_what_is_mended_is_seen_in_the_next_round_and_what_is_not_costs_one_file_of_it(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    for number in range(400):
        (checks.weights / f"c{number:03}").write_text("c")
    files = sorted(path.name for path in checks.weights.iterdir() if path != checks.manifest)
    checks.manifest.write_text(subprocess.run(["sha256sum", *files], cwd=checks.weights, check=True, capture_output=True, text=True).stdout)
    names = files[2:5]
    for name in names:
        (checks.weights / name).write_text("d")

    def told() -> list[str]:
        return re.findall(r"tiny: (.+) is not what the manifest says", checks.log.read_text())

    with program(checks.log, *checks.command) as until:
        until(lambda: len(told()) > 6)
        assert told()[:3] == [names[0], names[1], names[0]]  # the turn's own, and one of those before
        assert checks.good() == 0
        for name in names:
            (checks.weights / name).write_text("c")
        before = time.monotonic()
        until(lambda: checks.good() == 1)
        assert time.monotonic() < before + 10  # 400 rounds take 40 s at least


def test_an_emptied_manifest_is_seen_and_got_over(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    with program(checks.log, *checks.command) as until:
        until(lambda: checks.good() == 1)
        text = checks.manifest.read_text()
        checks.manifest.write_text("")
        until(lambda: checks.good() == 0)
        checks.manifest.write_text(text)
        until(lambda: checks.good() == 1)
        checks.manifest.write_text(f"{text}{'0' * 64}  gone\n")
        until(lambda: "tiny: gone is not" in checks.log.read_text())
        checks.manifest.write_text(text)
        until(lambda: checks.good() == 1)


def test_a_store_that_hangs_is_told_by_the_time_of_the_last_look(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    with program(checks.log, *checks.command) as until:
        until(lambda: checks.good() == 1)
        with hanging(checks.manifest):
            before = time.time()
            until(lambda: time.time() > before + 3)
            assert 0 < (checks.seen(LOOKED) or 0) <= before + 1
            (tmp_path / "tls.crt").unlink()
            until(lambda: checks.seen(ENDS) is None)  # what does not hang is told on
        until(lambda: checks.later(LOOKED))
        assert checks.good() == 1


def test_a_store_that_hangs_from_the_start_holds_up_nothing(tmp_path: Path) -> None:
    checks, other = Checks(tmp_path, "other"), 'model="other"'
    (tmp_path / "weights/other").mkdir()
    (tmp_path / "weights/other/MANIFEST.sha256").write_text(f"{'0' * 64}  gone\n")
    with hanging(checks.manifest), program(checks.log, *checks.command) as until:
        until(lambda: checks.seen(ENDS))
        until(lambda: checks.seen(LOOKED, other) and checks.seen("rackstart_weights_good", other) == 0)
        assert (checks.seen(LOOKED), checks.good()) == (None, None)
        assert 0 < (checks.seen(WEIGHED) or 0) <= time.time()  # since when it is not


def test_a_file_that_hangs_is_told_by_the_time_of_the_last_that_was_weighed(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    with program(checks.log, *checks.command) as until:
        until(lambda: checks.good() == 1)
        with hanging(checks.weights / "b c"):
            before = time.time()
            until(lambda: time.time() > before + 3)
            assert 0 < (checks.seen(WEIGHED) or 0) <= before + 1
            until(lambda: checks.later(LOOKED))
        until(lambda: checks.later(WEIGHED))


def test_it_ends_at_once_when_asked_to(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    checks.command[-2] = "60"  # seconds of a pause
    with hanging(checks.manifest), program(checks.log, *checks.command) as until:
        until(checks.metrics)
        asked = time.monotonic()
    assert time.monotonic() < asked + 10
