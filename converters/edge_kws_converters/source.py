"""A model as the user names it: a shipped pack, a pack file, any .tflite, or an .onnx in QDQ form."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edge_kws.errors import ConversionError, PackError
from edge_kws.pack import MAX_PACK_BYTES, Pack
from edge_kws.resources import shipped_packs
from edge_kws_converters.compiler import onnx_to_tflite
from edge_kws_converters.readers.onnx import is_onnx


@dataclass(frozen=True, slots=True, eq=False)
class ModelSource:
    """`model`: the exported flatbuffer, of an ONNX file its TFLite form; `stored`: as in the file, zip off; `pack`: of ours, or None."""

    name: str
    model: bytes
    stored: bytes
    pack: Pack | None


def open_model(model: str) -> ModelSource:
    """Reads a model by the name of a shipped pack, or by path.

    Raises:
        ConversionError: no such file, or none that is a TFLite or QDQ ONNX model. PackError: a damaged pack.
    """
    path = shipped_packs().get(model, Path(model))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PACK_BYTES + 1)
    except OSError as error:
        names = ", ".join(shipped_packs()) or "none"
        raise ConversionError(
            f"{model}: expected a .tflite or .onnx file or a shipped pack ({names}), found: {error.strerror}; check the path"
        ) from None
    if len(data) > MAX_PACK_BYTES:
        raise ConversionError(f"{model}: expected at most {MAX_PACK_BYTES} bytes, found more; this is no model for a microcontroller")
    if is_onnx(data):
        converted = onnx_to_tflite(data, path.stem)
        return ModelSource(path.stem, converted, converted, None)
    stored, is_pack = _strip_zip(data)
    if not is_pack:
        return ModelSource(path.stem, stored, stored, None)
    try:
        pack = Pack.read(data, path=path)
    except PackError as error:
        raise ConversionError(str(error)) from None
    return ModelSource(pack.info.name, pack.model, stored, pack)


def _strip_zip(data: bytes) -> tuple[bytes, bool]:
    """The bytes before an appended zip, and whether that makes a pack of ours."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            starts = [entry.header_offset for entry in archive.infolist()]
            return data[: min(starts, default=len(data))], "edge_kws.json" in names
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):  # all that zipfile raises for what is no zip it can read
        return data, False
