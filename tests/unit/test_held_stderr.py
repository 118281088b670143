"""Standard error waits, and what sound libraries say of failed calls is dropped."""

import os
import subprocess
import sys

import pytest

from edge_kws.held_stderr import HeldStderr


def test_it_waits_and_drops(capfd: pytest.CaptureFixture[str]) -> None:
    held = HeldStderr()
    for _ in range(2):  # used again
        with held:
            os.write(2, b"ALSA lib pcm.c:1: no card\n\nExpression 'r' failed in 'pa.c', line: 3\nsomething else\n")
            assert capfd.readouterr().err == ""
        assert capfd.readouterr().err == "something else\n"


def test_where_it_is_no_terminal_it_may_be_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with HeldStderr(terminal_only=True):
        os.write(2, b"at once\n")
        assert capfd.readouterr().err == "at once\n"


def test_an_error_passes_and_what_was_written_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with HeldStderr():
            os.write(2, b"before the error\n")
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert capfd.readouterr().err == "before the error\n"


@pytest.mark.parametrize("closing", ["os.close(2)", "sys.stderr = None", "os.close(2); sys.stderr = None"])
def test_a_program_without_standard_error(closing: str) -> None:
    code = (
        f"import os, sys\nfrom edge_kws.held_stderr import HeldStderr\n{closing}\nwith HeldStderr():\n    print('inside')\nprint('after')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["inside", "after"]
    assert done.returncode == 0
