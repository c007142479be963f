"""What role nfs_server says of the place where a filer's export should be mounted."""

from pathlib import Path

import pytest

from tests.unit.role_tasks import play


@pytest.mark.parametrize(
    ("mounted", "code", "words"),
    [
        ("10.0.0.9:/vol/models", 0, ""),
        ("10.0.0.9:/vol/models/", 0, ""),
        ("", 1, "is where nothing is mounted, not 10.0.0.9:/vol/models"),
        ("10.0.0.8:/vol/models", 1, "is where 10.0.0.8:/vol/models is mounted, not 10.0.0.9:/vol/models"),
    ],
    ids=["mounted", "with a slash", "nothing", "another filer"],
)
def test_the_store_is_the_declared_one(tmp_path: Path, mounted: str, code: int, words: str) -> None:
    program = tmp_path / "findmnt"
    program.write_text(f"#!/bin/sh\necho '{mounted}'\n" if mounted else "#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    done = play(
        tmp_path, "nfs_server", "verify.yml", nfs_server_backend="external", nfs_server_path="/srv/store",
        nfs_server_address="10.0.0.9", nfs_server_export="/vol/models",
    )  # fmt: skip
    assert (bool(done.code), done.changed) == (bool(code), 0), done.output
    assert words in " ".join(done.output.split()), done.output
