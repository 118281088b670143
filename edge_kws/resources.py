"""Files that ship with the project: the packs."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped_packs() -> dict[str, Path]:
    """Packs that come with edge_kws, by name, in alphabetical order: `models/` in a checkout, `edge_kws/packs/` in a wheel."""
    installed, checkout = _PACKAGE / "packs", _PACKAGE.parent / "models"
    folder = installed if installed.is_dir() else checkout
    return {path.stem: path for path in sorted(folder.glob("*.tflite"))}


def demo_speech() -> Path:
    """The speech of `edge-kws demo`; a `.json` of what is said lies beside it."""
    installed = _PACKAGE / "examples" / "demo.flac"
    return installed if installed.is_file() else _PACKAGE.parent / "examples" / "demo.flac"
