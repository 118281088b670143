"""Build hook: C library, packs, their compiled C, firmware sources and the demo's speech go into the wheel, tagged py3-none-<platform>."""

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags


def _native_build(root: Path) -> ModuleType:
    """`edge_kws/native_build.py`, loaded by path: the package's own dependencies are not installed while it is being built."""
    spec = importlib.util.spec_from_file_location("edge_kws_native_build", root / "edge_kws" / "native_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class NativeLibraryHook(BuildHookInterface):  # pyright: ignore[reportMissingTypeArgument]
    """Hatchling finds it by its base class."""

    PLUGIN_NAME = "custom"
    _scratch: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the library: into the tree for an editable install, else into the wheel."""
        root = Path(self.root)
        native_build = _native_build(root)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{next(iter(platform_tags()))}"
        if version == "editable":
            native_build.ensure(root)
            return
        self._scratch = tempfile.TemporaryDirectory()
        library = Path(self._scratch.name) / native_build.library_name()
        native_build.build(root, library)
        compiled = library.parent / "compiled"
        for left_out in native_build.compile_packs(root, compiled):
            self.app.display_warning(f"edge_kws: note: shipped packs not compiled into this wheel: {left_out}")
        resources = {path: f"edge_kws/packs/{path.name}" for path in root.glob("models/*.tflite")}
        resources |= {path: f"edge_kws/examples/{path.name}" for path in root.glob("examples/demo.*") if path.suffix in {".flac", ".json"}}
        parts = [root / "firmware" / part for part in ("app", "include", "ports", "src")]
        firmware = [path for part in parts for path in part.rglob("*") if path.is_file()]
        resources |= {path: f"edge_kws_boards/{path.relative_to(root).as_posix()}" for path in firmware}
        resources |= {path: f"edge_kws/compiled/{path.name}" for path in compiled.glob("*")}
        build_data["force_include"] |= {str(path): target for path, target in {library: f"edge_kws/{library.name}", **resources}.items()}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Drop the scratch folder."""
        if self._scratch is not None:
            self._scratch.cleanup()
