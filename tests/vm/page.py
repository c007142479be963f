"""docs/vm.md, from what a run has seen alone."""

from dataclasses import dataclass, field

PAGE = """\
# On virtual machines

Written by `make test-vm`: what the lab cannot show, since its hosts share the machine's kernel, on two virtual machines that have their
own. It is slow, since QEMU translates every instruction (no KVM), and is not part of `make test`. It needs root on Debian 12, 2 GiB of
memory, 6 GB of disk and package registries; missing Debian packages are installed, and named. At its end, and when it is killed, the
machines are ended; their disks are removed then or by the next run. The disk that they begin with stays in `~/.cache/rackstart/builds`.

Kernel of both, server and client: Debian's {kernel}. Settings: those of `inventories/site`, with the firewall on. Roles come over ssh,
by the stages' own playbooks, as a user whose sudo asks for a password.

| role | proven |
| --- | --- |
{proven}

| step | seconds |
| --- | ---: |
{seconds}

## What it does not prove
- No GPU and no package of NVIDIA's: role nvidia_driver is told that a driver is there and that a reboot is due. Debian's cloud kernel has
  no nouveau that could be loaded; its blacklist is looked for in the initramfs that was rebuilt.
- QEMU boots the kernel and the initramfs of the first installation again: what was rebuilt is read, not booted.
- The server's memory lets it serve at most 128 KiB at once, so rsize is negotiated down from what the client asks for.
- Seconds are those of a machine that translates, and say nothing of a rack.
"""


@dataclass
class Result:
    """What was proven, by role, in the order of the tests; seconds of each step; the machines' kernel."""

    proven: dict[str, dict[str, None]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    kernel: str = ""


def page(result: Result) -> str:
    """The results as Markdown."""
    return PAGE.format(
        kernel=result.kernel,
        proven="\n".join(f"| {role} | {what} |" for role, tests in result.proven.items() for what in tests),
        seconds="\n".join(f"| {step} | {seconds:.0f} |" for step, seconds in result.seconds.items()),
    )
