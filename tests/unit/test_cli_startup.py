"""`edge-kws` starts light, and ends with one line and the right exit status."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_kws import __version__
from edge_kws.cli.main import COMMANDS

_HEAVY = ["tensorflow", "keras", "ai_edge_litert", "tflite_runtime", "matplotlib", "scipy"]
_RUN = """
import json, sys
from edge_kws.cli.main import main
status = main({arguments!r})
print(json.dumps({{"status": status, "loaded": [name for name in {heavy!r} if name in sys.modules]}}), file=sys.stderr)
"""


def _run(*arguments: str, heavy: list[str]) -> tuple[str, dict[str, object]]:
    """Standard output, and what the process told of itself."""
    code = _RUN.format(arguments=list(arguments), heavy=heavy)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(done.stderr.splitlines()[-1])


def _edge_kws(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "edge_kws.cli.main", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_overview_lists_every_command_and_loads_nothing() -> None:
    for arguments in ([], ["--help"]):
        out, told = _run(*arguments, heavy=[*_HEAVY, "numpy", "rich", "pydantic"])
        assert told == {"status": 0, "loaded": []}
        assert [line.split()[0] for line in out.split("Commands:\n")[1].splitlines()] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_without_tensorflow(command: str) -> None:
    out, told = _run(command, "--help", heavy=["tensorflow", "keras"])
    assert told == {"status": 0, "loaded": []}
    assert f"edge-kws {command}" in out


def test_import_of_the_package_and_of_the_device_flow_loads_no_tensorflow() -> None:
    code = f"""
import sys, edge_kws
print([name for name in {[*_HEAVY, "numpy"]!r} if name in sys.modules])
[getattr(edge_kws, name) for name in edge_kws.__all__]
print([name for name in ("tensorflow", "keras", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "[]"], done.stderr


def test_version(tmp_path: Path) -> None:
    done = _edge_kws("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"edge-kws {__version__}\n")


def test_unknown_command_is_a_wrong_call(tmp_path: Path) -> None:
    done = _edge_kws("transcribe", cwd=tmp_path)
    assert done.returncode == 2
    assert "No such command 'transcribe'" in done.stderr
    assert done.stdout == ""


def test_our_errors_are_one_line(tmp_path: Path) -> None:
    done = _edge_kws("inspect", "nowhere.tflite", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("edge-kws: error: ")
    assert "nowhere.tflite" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_interrupt_is_130_without_a_traceback() -> None:
    code = """
import sys, time, types
from edge_kws.cli import main as dispatcher
def wait():
    print("waiting", flush=True)
    time.sleep(60)
dispatcher.COMMANDS["wait"] = "Wait."
sys.modules["edge_kws.cli.wait"] = types.SimpleNamespace(wait=wait)
sys.exit(dispatcher.main(["wait"]))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="pipes close differently elsewhere")
def test_closed_pipe_is_quiet(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m edge_kws.cli.main --help | head -n 1", shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("Usage: edge-kws")
    assert "Traceback" not in done.stderr
