"""What all tests share: where the recordings are, and how hypothesis behaves here."""

import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

# Read by TensorFlow when a test imports it: no banner in the output of every worker.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Machines differ and share their cores: nothing here judges by the clock. CI draws the same examples every time.
hypothesis.settings.register_profile("edge_kws", deadline=None, print_blob=True, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("edge_kws")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout the tests run from."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings, one folder a data set in its official form; skips where there is none.

    `EDGE_KWS_DATA` names it; otherwise it is where `../shared/data/unpack` lays it out.
    """
    named = os.environ.get("EDGE_KWS_DATA")
    if named:
        if not Path(named).is_dir():
            pytest.fail(f"EDGE_KWS_DATA={named} is not a folder")
        return Path(named)
    folder = Path("~/.cache/edge_kws/shared-data").expanduser()
    if not folder.is_dir():
        pytest.skip(f"no recordings: set EDGE_KWS_DATA, or run ../shared/data/unpack to fill {folder}")
    return folder


@pytest.fixture(scope="session")
def speech_commands(shared_data: Path) -> Path:
    """Speech Commands in its official form (a folder a word, validation_list.txt, testing_list.txt)."""
    return data_set(shared_data, "speech_commands")


@pytest.fixture(scope="session")
def librispeech(shared_data: Path) -> Path:
    """Continuous read speech, a WAV an utterance, 251 speakers."""
    return data_set(shared_data, "librispeech_train_clean_251")


def data_set(folder: Path, name: str) -> Path:
    """A data set of `shared_data`; skips where it is not there."""
    if not (folder / name / ".complete").exists():
        pytest.skip(f"{folder / name} is not (completely) there: run ../shared/data/unpack {folder} {name}")
    return folder / name


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Says at the end of the run how much a test covered."""
    return lambda text: record_property("measured", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what passed tests handed to `measured`; with xdist their own output would stay in the workers."""
    reports: list[pytest.TestReport] = terminalreporter.stats.get("passed", [])
    for report in reports:
        for _, text in report.user_properties:
            terminalreporter.write_line(f"MEASURED {text}")
