"""Which package manager a host has, what its database says, and how a failure is put into words."""

from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.rackstart.cluster.plugins.action import packages as action
from ansible_collections.rackstart.cluster.plugins.plugin_utils import packages

DPKG = "\n".join(
    [
        "installed\tnfs-common\t1:2.6.2-4\t",
        "config-files\tnetbase\t6.4\t",
        "installed\tmawk\t1.3.4\tawk, awk-compiler (= 1)",
        "installed\tnvidia-driver-cuda\t580.173.02-1\t",
        "half-configured\tjq\t1.6\t",
    ]
)
RPM = "\n".join(
    [
        "installed\tnvidia-driver-cuda\t3:580.173.02-1.el9\tnvidia-driver-cuda,cuda-driver,",
        "installed\tkernel-devel\t0:5.14.0-503.el9\tkernel-devel,",
        "installed\tkernel-devel\t0:5.14.0-570.el9\tkernel-devel,",
    ]
)


@pytest.mark.parametrize(
    ("os_release", "manager"),
    [
        ("ID=debian\n", "apt"),
        ('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', "apt"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf"),
        ('ID="rhel"\nID_LIKE="fedora"\n', "dnf"),
        ('ID="rocky"\r\nID_LIKE="rhel centos fedora"\r\n', "dnf"),
    ],
)
def test_the_manager_is_that_of_the_distribution(os_release: str, manager: str) -> None:
    assert packages.manager(os_release) == manager


@pytest.mark.parametrize("os_release", ["ID=arch\n", ""])
def test_a_distribution_of_neither_kin_is_refused(os_release: str) -> None:
    with pytest.raises(AnsibleActionFail, match="neither apt nor dnf"):
        packages.manager(os_release)


@pytest.mark.parametrize(
    ("manager", "listing", "name", "installed"),
    [
        ("apt", DPKG, "nfs-common", True),
        ("apt", DPKG, "nfs-common:amd64", True),
        ("apt", DPKG, "netbase", False),  # removed, its files of /etc remain
        ("apt", DPKG, "jq", False),  # its script has failed
        ("apt", DPKG, "awk", True),
        ("apt", DPKG, "absent", False),
        ("apt", DPKG, "nvidia-driver-cuda=580.173.02-1", True),
        ("apt", DPKG, "nvidia-driver-cuda=580.173.*", True),
        ("apt", DPKG, "nvidia-driver-cuda=580.95.05-1", False),
        ("dnf", RPM, "nvidia-driver-cuda", True),
        ("dnf", RPM, "cuda-driver", True),
        ("dnf", RPM, "nvidia-driver-cuda-580.173.02", True),
        ("dnf", RPM, "nvidia-driver-cuda-580.*", True),
        ("dnf", RPM, "nvidia-driver-cuda-3:580.173.02-1.el9", True),
        ("dnf", RPM, "nvidia-driver-cuda-580.95.05", False),
        ("dnf", RPM, "kernel-devel-5.14.0-503.el9.x86_64", True),
        ("dnf", RPM, "kernel-devel-5.14.0-600.el9.x86_64", False),
        ("dnf", RPM, "absent", False),
    ],
)
def test_the_database_is_believed_and_not_the_manager(manager: str, listing: str, name: str, installed: bool) -> None:
    assert packages.missing(manager, [name], listing) == ([] if installed else [name])


@pytest.mark.parametrize(
    ("message", "output", "words", "remedy"),
    [
        (
            "'/usr/bin/apt-get -y install 'jq'' failed: E: Failed to fetch http://mirror/jq.deb  500  Internal Server Error",
            "E: Failed to fetch http://mirror/jq.deb  500  Internal Server Error\nE: Unable to fetch some archives.",
            "E: Failed to fetch http://mirror/jq.deb  500",
            "package sources, the proxy",
        ),
        ("No package matching 'absent' is available", "", "No package matching 'absent'", "names and versions"),
        ("Failed to update apt cache after 2 retries: ", "", "Failed to update apt cache", "package sources, the proxy"),
        ("", "E: Could not get lock /var/lib/dpkg/lock-frontend", "Could not get lock", "wait for the other"),
        (
            "", "E: Conflicting values set for option Signed-By regarding source https://nvidia.example.org/deb/ /: /a.asc != /b.asc",
            "Conflicting values", "the file that is not Rackstart's",
        ),
        ("", "", "no reason", "by hand"),
    ],
)  # fmt: skip
def test_a_failure_has_a_cause_and_a_remedy(message: str, output: str, words: str, remedy: str) -> None:
    reason = packages.cause(message, output)
    assert words in reason
    assert "/usr/bin/apt-get -y" not in reason
    assert remedy in packages.remedy(reason)


class Asked(action.ActionModule):  # type: ignore[misc]
    """The task's plugin, whose commands on the host are answered one after the other."""

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self.answers = answers

    def _low_level_execute_command(self, command: str) -> dict[str, Any]:
        return {"stdout": ""}  # no lists that are new enough

    def _command(self, argv: list[str]) -> dict[str, Any]:
        return self.answers.pop(0)


LOCKED = {"failed": True, "stderr": "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)"}
BROKEN = {"failed": True, "stderr": "E: The repository is not signed."}


@pytest.mark.parametrize("last", [{"rc": 0}, BROKEN])
def test_lists_that_another_is_reading_are_waited_for(monkeypatch: pytest.MonkeyPatch, last: dict[str, Any]) -> None:
    monkeypatch.setattr(action, "LOCK_PAUSE", 0)
    asked = Asked([LOCKED, LOCKED, last, LOCKED])
    assert asked._lists(0) == last
    assert asked.answers == [LOCKED]


def test_lists_are_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "LOCK_SECONDS", -1)
    assert Asked([LOCKED])._lists(0) == LOCKED
