"""Generated secrets: made once, kept from others, encrypted as soon as Ansible has a vault password, and the same for all who ask."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from ansible_collections.rackstart.cluster.plugins.lookup.secret import LookupModule

from rackstart.paths import ROOT

ANSIBLE = Path(sys.executable).with_name("ansible")
Ask = Callable[..., subprocess.CompletedProcess[str]]


def lookup(path: Path) -> str:
    return LookupModule().run([str(path)])[0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "token"


@pytest.fixture
def ask(tmp_path: Path, file: Path) -> Ask:
    """Asks for the secret as a play does, with vault passwords by vault id."""

    def run(settings: dict[str, str] | None = None, **passwords: str) -> subprocess.CompletedProcess[str]:
        for name, password in passwords.items():
            (tmp_path / name).write_text(password)
        identities = ",".join(f"{name}@{tmp_path / name}" for name in passwords)
        environment = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")} | (settings or {})
        if identities:
            environment["ANSIBLE_VAULT_IDENTITY_LIST"] = identities
        query = f"{{{{ lookup('rackstart.cluster.secret', '{file}') }}}}"
        command = [ANSIBLE, "localhost", "-m", "ansible.builtin.debug", "-a", json.dumps({"msg": query})]
        return subprocess.run(command, env=os.environ | environment, cwd=tmp_path, capture_output=True, text=True)

    return run


def told(answer: subprocess.CompletedProcess[str]) -> str:
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return json.loads(answer.stdout.partition("=>")[2])["msg"]


def test_it_is_long_made_once_and_closed_to_others(file: Path) -> None:
    secret = lookup(file)
    assert len(secret) == 48
    assert secret.isalnum()
    assert lookup(file) == secret
    assert file.read_text() == f"{secret}\n"
    assert [path.stat().st_mode & 0o777 for path in (file.parent, file)] == [0o700, 0o600]
    assert lookup(file.with_name("other")) != secret


def test_all_who_ask_at_once_get_the_same_and_leave_nothing_beside_it(tmp_path: Path) -> None:
    callers, rounds = 8, [tmp_path / "secrets" / str(number) for number in range(20)]
    start = Barrier(callers, timeout=10)

    def caller(_: int) -> list[str]:
        return [lookup(path) for path in rounds if start.wait() >= 0]

    with ThreadPoolExecutor(callers) as pool:
        answers = set(map(tuple, pool.map(caller, range(callers))))
    assert answers == {tuple(path.read_text().strip() for path in rounds)}
    assert sorted((tmp_path / "secrets").iterdir()) == sorted(rounds)


def test_an_empty_file_is_told_and_not_taken_for_a_secret(file: Path) -> None:
    file.parent.mkdir()
    file.touch()
    with pytest.raises(Exception, match=f"{file} is empty: .* remove it"):
        lookup(file)


def test_with_a_vault_password_it_is_never_plain_on_disk(ask: Ask, file: Path, tmp_path: Path) -> None:
    secret = told(ask(site="one"))
    assert file.read_text().startswith("$ANSIBLE_VAULT;1.2;AES256;site\n")
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    assert told(ask(site="one")) == secret
    assert file.read_bytes() == before

    view = [ANSIBLE.with_name("ansible-vault"), "view", "--vault-password-file", tmp_path / "site", file]
    assert subprocess.run(view, capture_output=True, text=True, check=True).stdout.strip() == secret


def test_a_plain_secret_stays_and_is_encrypted_by_the_identity_that_is_for_it(ask: Ask, file: Path) -> None:
    secret = told(ask())
    assert file.read_text() == f"{secret}\n"
    assert told(ask({"ANSIBLE_VAULT_ENCRYPT_IDENTITY": "second"}, first="one", second="two")) == secret
    assert file.read_text().startswith("$ANSIBLE_VAULT;1.2;AES256;second\n")
    assert [path.name for path in file.parent.iterdir()] == ["token"]


def test_without_the_right_password_it_says_which_file_and_what_to_do(ask: Ask, file: Path) -> None:
    told(ask(site="one"))
    kept = file.read_bytes()
    for answer, remedy in ((ask(), "ANSIBLE_VAULT_PASSWORD_FILE"), (ask(site="other"), f"ansible-vault rekey {file}")):
        assert answer.returncode != 0
        assert str(file) in answer.stdout
        assert remedy in answer.stdout
    assert file.read_bytes() == kept
