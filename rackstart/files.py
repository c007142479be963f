"""Files that are replaced as a whole."""

import os
from pathlib import Path

from rackstart.errors import ConfigurationError


def replace(path: Path, text: str) -> None:
    """Write beside, flush, rename: readers see the old file or the new one. A link stays one, and so does the file's mode.

    Raises ConfigurationError when it cannot be written; it is as it was then.
    """
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # hidden: Ansible reads every other file of group_vars/all
    try:
        if path.exists() and not os.access(path, os.W_OK):  # a rename would not ask
            raise PermissionError("it is read-only")
        with beside.open("w") as file:
            if path.exists():
                beside.chmod(path.stat().st_mode & 0o7777)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}; it is as it was") from error
    finally:
        beside.unlink(missing_ok=True)
