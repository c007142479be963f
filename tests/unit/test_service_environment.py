"""Whether systemd is executed anew, from what it gives to services, what is declared and what other settings say."""

import json
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.rackstart.cluster.plugins.modules import service_environment

DECLARED = {"HTTPS_PROXY": "http://proxy:3128", "HTTP_PROXY": "", "NO_PROXY": "*.example.org,10.0.0.0/8"}
SHOWN = "LANG=C.UTF-8\nHTTPS_PROXY=http://proxy:3128\nNO_PROXY=$'*.example.org,10.0.0.0/8'\n"
OLD = "LANG=C.UTF-8\nHTTP_PROXY=http://old:3128\n"
SYSTEMCTL = r"""#!/bin/sh
cd {folder}
case $1 in
  show-environment) cat shown ;;
  *) echo "$*" >>told; [ -e "$1" ] && cp "$1" shown; exit 0 ;;
esac
"""


@pytest.mark.parametrize(
    ("shown", "afterwards", "told", "changes"),
    [
        # what systemd gives to services, and gives after each command; the commands; variables that change
        (SHOWN, {}, [], []),
        (OLD, {"daemon-reexec": SHOWN}, ["daemon-reexec"], ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"]),
        (
            f"{SHOWN}HTTP_PROXY=by-hand\n",
            {"unset-environment": SHOWN},
            ["daemon-reexec", "unset-environment HTTP_PROXY"],
            ["HTTP_PROXY"],
        ),
        (SHOWN.replace("proxy:3128", "old"), {}, ["daemon-reexec", "unset-environment HTTPS_PROXY"], None),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_services_are_given_is_what_is_declared(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    shown: str,
    afterwards: dict[str, str],
    told: list[str],
    changes: list[str] | None,
    check: bool,
) -> None:
    for name, text in {"shown": shown, "told": "", "systemctl": SYSTEMCTL.replace("{folder}", str(tmp_path)), **afterwards}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(service_environment, "elsewhere", lambda path: set())
    arguments = {"path": "/etc/systemd/system.conf.d/proxy.conf", "variables": DECLARED, "_ansible_check_mode": check}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        service_environment.main()
    result = json.loads(capsys.readouterr().out)
    assert (tmp_path / "told").read_text().splitlines() == ([] if check else told)
    if changes is None and not check:
        assert "systemctl says that it did daemon-reexec, but systemd gives services another HTTPS_PROXY" in result["msg"]
    else:
        changed = ["HTTPS_PROXY"] if changes is None else changes
        assert (result["changes"], result["changed"]) == (changed, bool(changed))


def test_what_other_settings_name_is_theirs(tmp_path: Path) -> None:
    files = {
        "etc/systemd/system.conf": "[Manager]\n#DefaultEnvironment=A=1\n",
        "etc/systemd/system.conf.d/own.conf": "DefaultEnvironment=B=1\n",
        "usr/lib/systemd/system.conf.d/theirs.conf": 'DefaultEnvironment=C=1 "D=2"\n',
        "proc/cmdline": "quiet systemd.setenv=E=1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = service_environment.elsewhere("/etc/systemd/system.conf.d/own.conf", tmp_path)
    assert found & set("ABCDE") == set("CDE")
