"""Where things are: the project, an inventory, and the state that runs leave in the user's state directory."""

import os
from dataclasses import dataclass
from pathlib import Path

from rackstart.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent
LONGEST_CONTROL_PATH = 79  # bytes; a socket address holds 108, ssh and Ansible append 29


@dataclass(frozen=True)
class Project:
    """A checkout (`root`) and one inventory folder of it, or of anywhere else."""

    root: Path
    inventory: Path

    @classmethod
    def open(cls, name: str, root: Path = ROOT) -> "Project":
        """Find inventory NAME under inventories/, or take it as a path. Raises ConfigurationError naming the known ones."""
        known = sorted(path.parent.name for path in root.glob("inventories/*/hosts.yml"))
        for folder in (root / "inventories" / name, Path(name).expanduser()):
            if name and folder.is_dir():
                return cls(root, folder.resolve())
        wrong = f"there is no inventory '{name}'" if name else "say which inventory: --inventory NAME"
        raise ConfigurationError(f"{wrong}; known: {', '.join(known) or 'none'}; or give the path of a folder")

    @property
    def name(self) -> str:
        return self.inventory.name

    @property
    def state(self) -> Path:
        """Private directory of this inventory's runs, lock, secrets and verdict; made when missing."""
        import platformdirs

        path = Path(platformdirs.user_state_path("rackstart")) / self.name
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    @property
    def control_path(self) -> Path:
        """Directory of ssh's control sockets, shared by the stages of a run."""
        path = self.state / "ssh"
        if len(os.fsencode(path)) > LONGEST_CONTROL_PATH:
            raise ConfigurationError(f"{path} is too long for ssh's control sockets; set XDG_STATE_HOME to a shorter directory")
        path.mkdir(exist_ok=True, mode=0o700)
        return path

    @property
    def lock_file(self) -> Path:
        """Digests of every outside thing, beside the inventory."""
        return self.inventory / "artifacts.lock.yml"

    def shown(self, path: Path | str) -> str:
        """A path as a user reads it: relative to the project or to their home where it lies in one."""
        path = Path(path)
        if path.is_relative_to(self.root):
            return str(path.relative_to(self.root))
        home = Path.home()
        return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
