"""Copies of the source tree to build from, so that no test touches the checkout."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

_PARTS = (
    "edge_kws",
    "boards",
    "converters",
    "quantization",
    "firmware",
    "models",
    "examples",
    "pyproject.toml",
    "hatch_build.py",
    "README.md",
    "LICENSE",
)


@pytest.fixture
def copy_tree(root: Path, tmp_path: Path) -> Callable[[], Path]:
    """A function that lays out a fresh copy of what a build needs, without anything built."""

    def copy() -> Path:
        tree = tmp_path / "tree"
        tree.mkdir()
        for part in _PARTS:
            if (root / part).is_dir():
                shutil.copytree(root / part, tree / part, ignore=shutil.ignore_patterns("__pycache__", "*libekws_host.*"))
            elif (root / part).is_file():
                shutil.copyfile(root / part, tree / part)
        return tree

    return copy
