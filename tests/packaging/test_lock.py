"""`uv.lock` serves everybody: public registry only, and what it locks is what `pyproject.toml` asks for."""

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement


def _load(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def test_only_the_public_registry(root: Path) -> None:
    text = (root / "uv.lock").read_text()
    assert set(re.findall(r"[a-z+]+://[^/\"]+", text)) == {"https://pypi.org", "https://files.pythonhosted.org"}
    sources = {tuple(package["source"].items()) for package in tomllib.loads(text)["package"]}
    assert sources == {(("registry", "https://pypi.org/simple"),), (("editable", "."),)}


def test_lock_knows_every_requirement(root: Path) -> None:
    project = _load(root / "pyproject.toml")
    asked = {Requirement(line).name.lower() for line in project["project"]["dependencies"]}
    for lines in project["project"]["optional-dependencies"].values():
        asked |= {Requirement(line).name.lower() for line in lines}
    locked = next(package for package in _load(root / "uv.lock")["package"] if package["name"] == "edge-kws")
    assert {entry["name"] for entry in locked["metadata"]["requires-dist"]} == asked
    dev = {Requirement(line).name.lower() for line in project["dependency-groups"]["dev"]}
    assert {entry["name"] for entry in locked["metadata"]["requires-dev"]["dev"]} == dev


def test_the_service_takes_nothing_heavy(root: Path) -> None:
    """Everything that `pip install edge-kws[service]` brings with it, followed through the lock."""
    locked = {package["name"]: package for package in _load(root / "uv.lock")["package"]}
    project = locked["edge-kws"]
    todo = [entry["name"] for entry in project["dependencies"] + project["optional-dependencies"]["service"]]
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [entry["name"] for entry in locked[name].get("dependencies", [])]
    assert {"paho-mqtt", "wyoming", "prometheus-client", "pydantic"} <= found
    assert not found & {"tensorflow", "tensorflow-cpu", "torch", "keras", "scipy", "scikit-learn", "onnx", "onnxruntime", "pandas"}
    assert len(found) < 60


def test_uv_is_one_version(root: Path) -> None:
    pinned = re.search(r"^UV_VERSION := (\S+)$", (root / "Makefile").read_text(), re.MULTILINE)
    locked = next(package for package in _load(root / "uv.lock")["package"] if package["name"] == "uv")
    assert pinned is not None
    assert pinned.group(1) == locked["version"]
