"""`edge-kws service`: the example, the unit, and installing with a systemctl that records what it was asked."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from edge_kws.cli.main import main
from edge_kws.errors import ConfigError
from edge_kws.service import config as config_module
from edge_kws.service.__main__ import main as service_main
from edge_kws.service.config import parse_config
from edge_kws.service.install import Installation, example_config
from edge_kws.service.unit import unit_text

CONFIG = Path("/etc/edge-kws/config.toml")


def test_the_example_is_valid_and_listens_in_private():
    config = parse_config(example_config(), "example.toml")
    assert [entry.packs[0].pack for entry in config.inputs] == ["marvin"]
    assert not config.retention.clips
    assert config.sinks == ()


def test_the_example_shows_every_key_and_every_choice_in_it_is_valid():
    everything = re.sub(r"^#(?=[\[a-z])", "", example_config(), flags=re.M).replace("unsigned = false", "")
    config = parse_config(everything, "example.toml")
    assert {sink.kind for sink in config.sinks} == {"mqtt", "wyoming", "webhook", "command", "jsonl", "prometheus"}
    models = [value for value in vars(config_module).values() if isinstance(value, type) and issubclass(value, BaseModel)]
    for key in {key for model in models for key in model.model_fields}:
        assert re.search(rf"\b{key}\b", example_config()), f"{key} is not in the example"


def test_the_commands_print_example_and_check(tmp_path, capsys, monkeypatch):
    assert main(["service", "config", "--example"]) == 0
    path = tmp_path / "config.toml"
    path.write_text(capsys.readouterr().out)
    assert main(["service", "config", "--check", str(path)]) == 0
    assert "room: marvin" in capsys.readouterr().out
    path.write_text(path.read_text().replace('"marvin"', '"no such pack"'))
    assert main(["service", "config", "--check", str(path)]) == 2
    assert main(["service", "run", "--config", str(path)]) == 2
    monkeypatch.setattr(sys, "argv", ["edge_kws.service", str(path)])
    assert service_main() == 2
    monkeypatch.setattr(sys, "argv", ["edge_kws.service"])
    assert service_main() == 2
    *lines, usage = capsys.readouterr().err.splitlines()
    assert all(line.startswith("edge-kws: error: no such pack: ") for line in lines)
    assert len(lines) == 3
    assert usage.startswith("edge-kws: error: usage: ")


@pytest.mark.parametrize("user", [False, True])
def test_the_unit_is_clean_and_hardened(tmp_path, user):
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI"):
            pytest.fail("no systemd-analyze: apt-get install systemd")
        pytest.skip("no systemd-analyze: apt-get install systemd")
    unit = tmp_path / "edge-kws.service"
    unit.write_text(unit_text(CONFIG, user=user))
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    scope = ["--user"] if user else []
    checked = subprocess.run(["systemd-analyze", *scope, "verify", str(unit)], env=environment, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    if not user:
        report = subprocess.run(["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True, check=False)
        found = re.search(r"Overall exposure level for edge-kws.service: ([\d.]+)", report.stdout)
        assert found, report.stderr
        assert float(found.group(1)) <= 2.0


def test_the_unit_does_not_forbid_what_the_microphone_needs():
    """PortAudio's callback is made by cffi at run time, in memory that is writable and executable."""
    text = unit_text(CONFIG, user=False)
    assert "MemoryDenyWriteExecute=yes" not in text
    assert "SupplementaryGroups=audio" in text
    assert "DeviceAllow=char-alsa rw" in text


def test_names_in_the_unit_are_quoted(monkeypatch):
    monkeypatch.setattr(sys, "executable", '/opt/a "b" %h $HOME/python')
    (line,) = [line for line in unit_text(CONFIG, user=False).splitlines() if line.startswith("ExecStart=")]
    assert line.startswith('ExecStart="/opt/a \\"b\\" %%h $$HOME/python" -m edge_kws.service "/etc/edge-kws/config.toml"')


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """A systemctl that writes down its arguments, and fails when there is a file `fail`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "systemctl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ ! -e {tmp_path}/fail ] || {{ echo "Failed to connect" >&2; exit 1; }}\n'
    )
    program.chmod(0o755)
    (folder / "journalctl").symlink_to(program)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "etc").mkdir()
    return lambda: (tmp_path / "asked").read_text().splitlines()


def test_install_for_a_user_and_uninstall(systemctl, tmp_path, capsys):
    for _ in range(2):  # again: the config stays
        assert main(["service", "install", "--user"]) == 0
    unit = tmp_path / "config/systemd/user/edge-kws.service"
    config = tmp_path / "config/edge_kws/service.toml"
    assert config.read_text() == example_config()
    assert str(config) in unit.read_text()
    assert f"kept   {config}" in capsys.readouterr().out
    assert main(["service", "status", "--user"]) == 0
    assert main(["service", "logs", "--user", "--follow"]) == 0
    assert main(["service", "uninstall", "--user"]) == 0
    assert not unit.exists()
    assert config.exists()
    once = ["--user daemon-reload", "--user daemon-reload", "--user enable edge-kws.service", "--user restart --no-block edge-kws.service"]
    assert systemctl() == [
        *once,
        *once,
        "--user status --no-pager --lines=20 edge-kws.service",
        "--user-unit edge-kws.service --lines=200 --no-pager --follow",
        "--user disable --now edge-kws.service",
        "--user daemon-reload",
    ]
    assert main(["service", "uninstall", "--user"]) == 2


def test_a_wrong_config_or_a_systemd_that_does_not_answer_installs_nothing(systemctl, tmp_path, capsys):
    (tmp_path / "fail").touch()
    assert main(["service", "install", "--user"]) == 2
    assert "Failed to connect" in capsys.readouterr().err
    assert not (tmp_path / "config").exists()
    (tmp_path / "fail").unlink()
    config = tmp_path / "config/edge_kws/service.toml"
    config.parent.mkdir(parents=True)
    config.write_text("inputs = 1")
    assert main(["service", "install", "--user"]) == 2
    assert not (tmp_path / "config/systemd").exists()


def test_install_for_the_machine(systemctl, tmp_path, monkeypatch):
    monkeypatch.setattr("edge_kws.service.install._closed_to_others", lambda path: None)
    monkeypatch.setattr("os.access", lambda *_: True)
    installation = Installation(user=False, root=tmp_path)
    installation.install()
    assert (tmp_path / "etc/edge-kws/config.toml").exists()
    assert "DynamicUser=yes" in (tmp_path / "etc/systemd/system/edge-kws.service").read_text()
    assert systemctl()[-1] == "restart --no-block edge-kws.service"


def test_an_installation_that_others_cannot_read_is_refused(systemctl, tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").write_text("")
    monkeypatch.setattr(sys, "executable", str(closed / "python"))
    with pytest.raises(ConfigError, match="closed to others"):
        Installation(user=False, root=tmp_path).install()


def test_without_systemd_it_says_what_to_do(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["service", "install", "--user"]) == 2
    assert "run `edge-kws service run --config FILE` instead" in capsys.readouterr().err
