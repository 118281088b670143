"""A private PulseAudio server: a real sound system without hardware."""

import os
import shutil
import subprocess
import time
from ctypes.util import find_library

import pytest

PACKAGES = "pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"


def missing():
    programs = [name for name in ("pulseaudio", "pactl", "paplay") if shutil.which(name) is None]
    return programs + ([] if find_library("portaudio") else ["libportaudio"])


def private_environment(tmp_path):
    """What programs need to find the private sound server, and no other."""
    if missing():
        reason = f"no {', '.join(missing())}: apt-get install {PACKAGES}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    for name in ("home", "runtime"):
        (tmp_path / name).mkdir(mode=0o700)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PULSE_")}
    return environment | {"HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path / "runtime"), "PULSE_SOURCE": "speaker.monitor"}


def start_server(environment):
    modules = ["-L", "module-native-protocol-unix", "-L", "module-null-sink sink_name=speaker"]
    server = subprocess.Popen(
        ["pulseaudio", "-n", *modules, "--exit-idle-time=-1", "--daemonize=no", "--system=false", "--use-pid-file=no"],
        env=environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(100):
        if subprocess.run(["pactl", "info"], env=environment, capture_output=True, check=False).returncode == 0:
            return server
        assert server.poll() is None, "pulseaudio ended at once"
        time.sleep(0.1)
    server.kill()
    raise AssertionError("pulseaudio does not answer")


def pactl(environment, *arguments):
    subprocess.run(["pactl", *arguments], env=environment, check=True, capture_output=True)
