"""`python -m tests.bench` measures a run from no hosts, a second one, plain Ansible from no hosts, and doctor on more and more hosts.

Beside them the end of a key. It writes docs/benchmarks.md and docs/timeline.svg, and exits with 1 when a target is missed.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab.up import builder
from tests.bench import doctor, figures, measure, page
from tests.lab.drive import INVENTORY, ROOT, STATE, Running

LONGEST = 900  # seconds that a command may take


def main() -> int:
    for part in ("mirror", "engine", "root"):
        builder(f"lab.{part}.build")()  # what is missing is built before anything is timed
    bootstrap("lab", "down")
    first, first_peak = run()
    second, second_peak = run()
    disk = measure.disk()
    bootstrap("--inventory", "lab", "key", "add", "benchmark")
    revoked = bootstrap("--inventory", "lab", "key", "revoke", "benchmark")
    bootstrap("lab", "down")
    subprocess.run([INVENTORY / "hooks/before-run"], check=True)
    serial = one_after_another()
    bootstrap("lab", "down")
    doctored = doctor.seconds(lambda *arguments, **environment: bootstrap(*arguments, codes=(0, 3), **environment))
    bootstrap("lab", "down")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    bench = figures.Bench(
        first, second, serial, max(first_peak, second_peak), disk, len(os.sched_getaffinity(0)), memory, doctored, revoked
    )

    (ROOT / "docs/benchmarks.md").write_text(page.page(bench))
    (ROOT / "docs/timeline.svg").write_text(page.picture(first))
    missed = [target for target in figures.targets(bench) if not target.met]
    for target in missed:
        print(f"missed: {target.what}: {target.seen:.2f}, the target is {target.limit:g} {target.unit}", file=sys.stderr)
    print("docs/benchmarks.md and docs/timeline.svg are written")
    return 1 if missed else 0


def bootstrap(*arguments: str, watch: measure.Watch | None = None, codes: tuple[int, ...] = (0,), **environment: str) -> float:
    """bootstrap.py to its end, its progress shown; seconds. Any other exit code ends the benchmark with nothing written."""
    with tempfile.TemporaryDirectory() as folder:
        running = Running(arguments, {measure.MARK: "1"} | environment, Path(folder), lambda line: print(line, flush=True))
        try:
            finished = running.wait(LONGEST, until=watch.look if watch else lambda: False)
        except KeyboardInterrupt:
            running.process.terminate()
            running.process.wait()
            raise
    assert finished
    if finished.code not in codes:
        sys.exit(f"bootstrap.py {' '.join(arguments)}: {finished}")
    return finished.seconds


def run() -> tuple[figures.Run, int]:
    """One run of the wrapper, and the most memory that was in use meanwhile, in bytes."""
    watch = measure.Watch(STATE)
    seconds = bootstrap("--inventory", "lab", watch=watch)
    return figures.run(watch.record, seconds, watch.lives), watch.peak


def one_after_another() -> float:
    """Seconds of a plain ansible-playbook of all stages."""
    command = ["ansible-playbook", "-i", str(INVENTORY), "playbooks/site.yml"]
    print(f"\n$ {' '.join(command)}", flush=True)
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True)
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
