"""`edge-kws service install | status | logs | uninstall`: the daemon as a systemd service of the system or of one user."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edge_kws.errors import ConfigError
from edge_kws.resources import shipped_packs
from edge_kws.service.config import read_config
from edge_kws.service.packs import load_packs
from edge_kws.service.unit import NAME, unit_text

_EXAMPLE = Path(__file__).with_name("example.toml")


def example_config() -> str:
    """The commented example, itself a valid config."""
    return _EXAMPLE.read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the service's files lie.

    Attributes:
        user: whether it is the service of one user.
        root: above all system paths; other than `/` only in tests.
    """

    user: bool
    root: Path = Path("/")

    @property
    def config(self) -> Path:
        """The config file."""
        return _home("XDG_CONFIG_HOME", ".config") / "edge_kws" / "service.toml" if self.user else self.root / "etc" / NAME / "config.toml"

    @property
    def unit(self) -> Path:
        """The unit file."""
        folder = _home("XDG_CONFIG_HOME", ".config") / "systemd/user" if self.user else self.root / "etc/systemd/system"
        return folder / f"{NAME}.service"

    @property
    def state_folder(self) -> Path:
        """Database and clips, unless the config names another folder."""
        return _home("XDG_STATE_HOME", ".local/state") / "edge_kws" if self.user else self.root / "var/lib" / NAME

    def install(self) -> list[str]:
        """Writes what is not there yet, enables and starts the service.

        Returns:
            What was done and what comes next, a line each.

        Raises:
            ConfigError: not allowed, no systemd, an installation that the service's user cannot read, or a config that is wrong.
        """
        self._check()
        self._systemctl("daemon-reload")  # asked first: without a systemd that answers nothing is written
        done: list[str] = []
        if self.config.exists():
            config = read_config(self.config)
            for entry in config.inputs:
                load_packs(entry.packs, f"{self.config}: input {entry.name}")
            done.append(f"kept   {self.config}")
        else:
            _write(self.config, example_config())
            done.append(f"wrote  {self.config}")
        _write(self.unit, unit_text(self.config, user=self.user))
        done.append(f"wrote  {self.unit}")
        self._systemctl("daemon-reload")
        # Not waited for: it is ready with the first audio, and the microphone may not be there yet.
        self._systemctl("enable", f"{NAME}.service")
        self._systemctl("restart", "--no-block", f"{NAME}.service")
        done.append(f"started {NAME}.service")
        option = " --user" if self.user else ""
        done.append(f"next   edge-kws service status{option} | logs{option} | uninstall{option}; edit {self.config}, then reload")
        if self.user:
            done.append(f"       to run it without being logged in: loginctl enable-linger {os.environ.get('USER', '')}".rstrip())
        return done

    def uninstall(self) -> list[str]:
        """Stops the service and removes its unit; config, events and clips stay."""
        self._check()
        if not self.unit.exists():
            raise ConfigError(f"{self.unit}: expected an installed service, found none; nothing to uninstall")
        self._systemctl("disable", "--now", f"{NAME}.service")
        self.unit.unlink()
        self._systemctl("daemon-reload")
        return [f"removed {self.unit}", f"kept    {self.config}", f"kept    {self.state_folder} (events and clips)"]

    def status(self) -> int:
        """Shows what systemd knows; returns its exit status."""
        return subprocess.run([*self._command(), "status", "--no-pager", "--lines=20", f"{NAME}.service"], check=False).returncode

    def logs(self, *, follow: bool) -> int:
        """Shows the journal; returns its exit status."""
        scope = ["--user-unit" if self.user else "--unit", f"{NAME}.service"]
        program = _program("journalctl")
        return subprocess.run([program, *scope, "--lines=200", "--no-pager", *(["--follow"] if follow else [])], check=False).returncode

    def _check(self) -> None:
        _program("systemctl")
        if self.user:
            return
        if not os.access(self.root / "etc", os.W_OK):
            raise ConfigError("service: expected to be root, found another user; run it with sudo, or with --user for yourself alone")
        for path in (Path(sys.executable), Path(__file__), *shipped_packs().values()):
            closed = _closed_to_others(path)
            if closed is not None:
                raise ConfigError(
                    f"{path}: expected an installation that every user can read, found {closed} closed to others; "
                    "install edge-kws elsewhere (such as a virtual environment in /opt/edge-kws), or use --user"
                )

    def _command(self) -> list[str]:
        return [_program("systemctl"), *(["--user"] if self.user else [])]

    def _systemctl(self, *arguments: str) -> None:
        done = subprocess.run([*self._command(), *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            raise ConfigError(f"systemctl {' '.join(arguments)}: {said}; correct that, then install again")


def _home(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigError(f"{name}: expected systemd, found none on this machine; run `edge-kws service run --config FILE` instead")
    return found


def _closed_to_others(path: Path) -> Path | None:
    """The first file or folder on the way to `path` that others may not read or enter."""
    for part in [*reversed(path.parents), path]:
        wanted = 0o005 if part == path and part.is_dir() else 0o004 if part == path else 0o001
        if part.stat().st_mode & wanted != wanted:
            return part
    return None


def _write(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: expected a file that can be written, found: {error.strerror}; run it with sudo, or with --user"
        ) from None
