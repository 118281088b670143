"""The pack: one `.tflite` file that carries a model and everything needed to run and judge it.

    file = flatbuffer | zip
    flatbuffer   TFLite Metadata in front of the exported int8 model (pack_flatbuffer.py); any TFLite interpreter loads the file
    zip          labels.txt, edge_kws.json (pack_info.py), golden.npz, and optionally edge_kws.sig (pack_signature.py)

A file is hostile until checked: sizes are bounded, offsets checked, hashes compared, and model, labels, front end, decoder and golden
vectors must agree. Whatever does not is a PackError that says what, where, expected, found and the next step.
"""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_kws.decoder import DecoderConfig
from edge_kws.errors import EdgeKwsError, PackError
from edge_kws.frontend import FrontendConfig
from edge_kws.pack_archive import append_archive, read_golden, split_archive, write_golden
from edge_kws.pack_checks import check_agreement, check_hashes, replay
from edge_kws.pack_flatbuffer import check_model_identifier, unwrap, wrap
from edge_kws.pack_info import DataSource, Measurement, PackInfo, Provenance, TrainingSpan, make_info, read_info
from edge_kws.pack_metadata import LABELS_FILE, check_metadata, write_metadata
from edge_kws.pack_signature import SIGNATURE_BYTES
from edge_kws.resources import shipped_packs
from edge_kws.runners.litert import LiteRtRunner

__all__ = ["MAX_PACK_BYTES", "DataSource", "Golden", "Measurement", "Pack", "PackInfo", "Provenance", "TrainingSpan", "build_pack"]

MAX_PACK_BYTES = 16 * 1024 * 1024
INFO_FILE, GOLDEN_FILE, SIGNATURE_FILE = "edge_kws.json", "golden.npz", "edge_kws.sig"
_UNNAMED = "pack"


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Golden vectors: windows (K, window_frames, mel_bins) int8 and what BUILTIN_REF makes of them, outputs (K, classes) int8."""

    windows: NDArray[np.int8]
    outputs: NDArray[np.int8]

    @classmethod
    def record(cls, model: bytes, windows: NDArray[np.int8]) -> "Golden":
        """Runs the windows through LiteRT's reference kernels."""
        runner = LiteRtRunner(model, reference=True)
        return cls(windows, np.stack([runner.run(window) for window in windows]))

    def digest(self) -> str:
        """SHA-256 (hex) of the windows' bytes followed by the outputs' bytes; compression plays no part in it."""
        return hashlib.sha256(self.windows.tobytes() + self.outputs.tobytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The member `golden.npz`."""
        return write_golden({"windows": self.windows, "outputs": self.outputs})


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """A checked pack.

    Attributes:
        path: the file it was read from, None for one made in memory.
        model: the exported flatbuffer without metadata, an ordinary TFLite model; its SHA-256 is `info.model_sha256`.
        info: the content of `edge_kws.json`.
        golden: golden vectors.
        signature: 64 bytes Ed25519, None if unsigned.
    """

    path: Path | None
    model: bytes
    info: PackInfo
    golden: Golden
    signature: bytes | None = None

    @classmethod
    def load(cls, pack: str | Path) -> "Pack":
        """Reads a pack by the name of one that ships with edge_kws, or by path.

        Raises:
            PackError: no such pack, or a file that is not a sound pack.
        """
        path = _locate(pack)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_PACK_BYTES + 1)
        except OSError as error:
            raise PackError(f"{path}: expected a readable pack file, found: {error.strerror}; check the path") from None
        return cls.read(data, path=path)

    @classmethod
    def read(cls, data: bytes, *, path: Path | None = None) -> "Pack":
        """Reads a pack from the bytes of its file; `path` only names it in errors."""
        try:
            return _read(data, path)
        except PackError as error:
            raise PackError(f"{path or _UNNAMED}: {error}") from None

    @property
    def where(self) -> str:
        """How errors name this pack."""
        return str(self.path) if self.path else f"{_UNNAMED} {self.info.name}"

    @property
    def labels(self) -> tuple[str, ...]:
        """One label per model output."""
        return tuple(self.info.labels)

    @property
    def frontend(self) -> FrontendConfig:
        """The front end this model was trained with."""
        return FrontendConfig.from_dict(self.info.frontend)

    @property
    def decoder(self) -> DecoderConfig:
        """How posteriors become events."""
        return DecoderConfig.from_dict(self.info.decoder)

    @property
    def window_frames(self) -> int:
        """Feature frames in one model window."""
        return self.golden.windows.shape[1]

    @property
    def inference_stride_hops(self) -> int:
        """Hops between two runs of the model."""
        return self.info.inference_stride_hops

    def to_bytes(self) -> bytes:
        """The file's bytes; equal packs give equal bytes."""
        frames = f"{self.window_frames} frames of {self.frontend.mel_bins} mel bins, {self.frontend.hop_ms} ms apart"
        metadata = write_metadata(
            name=self.info.name,
            description=self.info.description,
            version=self.info.version,
            license=self.info.license,
            input_text=f"int8 log-mel features, {frames}; see {INFO_FILE}",
            output_text=f"int8 posteriors, one per line of {LABELS_FILE}",
        )
        members = {LABELS_FILE: _label_lines(self.info), INFO_FILE: self.info.canonical_json(), GOLDEN_FILE: self.golden.to_bytes()}
        if self.signature is not None:
            members[SIGNATURE_FILE] = self.signature
        return append_archive(wrap(self.model, metadata), members)

    def write(self, path: str | Path) -> Path:
        """Writes the file whole or not at all, and returns its path."""
        path = Path(path)
        data = self.to_bytes()
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return path

    def verify(self, *, deep: bool = False) -> None:
        """Checks that all parts agree; `deep` also replays the golden windows through LiteRT BUILTIN_REF, byte for byte.

        Raises:
            PackError: something disagrees.
        """
        try:
            check_hashes(self.model, self.golden.digest(), self.info)
            check_agreement(self.model, self.info, self.golden.windows, self.golden.outputs)
            if deep:
                replay(self.model, self.golden.windows, self.golden.outputs)
        except EdgeKwsError as error:
            raise PackError(f"{self.where}: {error}") from None

    def with_quality(self, quality: Sequence[Measurement]) -> "Pack":
        """The same model with other measured figures, unsigned."""
        return replace(self, info=make_info(**{**dict(self.info), "quality": list(quality)}), signature=None)

    def with_signature(self, signature: bytes) -> "Pack":
        """The same pack carrying a signature (see pack_signature.sign)."""
        if len(signature) != SIGNATURE_BYTES:
            raise PackError(f"{self.where}: signature: expected {SIGNATURE_BYTES} bytes, found {len(signature)}; use pack_signature.sign")
        return replace(self, signature=signature)


def build_pack(
    model: bytes,
    golden: Golden,
    *,
    name: str,
    version: str,
    description: str,
    task: str,
    labels: Sequence[str],
    frontend: FrontendConfig,
    decoder: DecoderConfig,
    inference_stride_hops: int,
    parameters: int,
    macs_per_window: int,
    macs_per_hop: float,
    quality: Sequence[Measurement] = (),
    ledger: Sequence[DataSource],
    license: str,
    recipe: str,
    provenance: Provenance,
) -> Pack:
    """Makes a pack of an exported int8 model; hashes and sizes are computed here, everything else is checked as a reader would.

    Raises:
        PackError: model, front end, decoder, labels and golden vectors do not fit each other.
    """
    info = make_info(
        name=name,
        version=version,
        description=description,
        task=task,
        labels=list(labels),
        frontend=frontend.to_dict(),
        decoder=decoder.to_dict(),
        inference_stride_hops=inference_stride_hops,
        model_sha256=hashlib.sha256(model).hexdigest(),
        model_bytes=len(model),
        golden_sha256=golden.digest(),
        parameters=parameters,
        macs_per_window=macs_per_window,
        macs_per_hop=macs_per_hop,
        quality=list(quality),
        ledger=list(ledger),
        license=license,
        recipe=recipe,
        provenance=provenance,
    )
    pack = Pack(None, model, info, golden)
    pack.verify(deep=True)
    return Pack.read(pack.to_bytes())  # what was written is what a reader accepts


def _read(data: bytes, path: Path | None) -> Pack:
    if len(data) > MAX_PACK_BYTES:
        raise PackError(f"too large: expected at most {MAX_PACK_BYTES} bytes, found more; give a pack made by edge_kws")
    check_model_identifier(data)
    stored, members = split_archive(data)
    expected = {LABELS_FILE, INFO_FILE, GOLDEN_FILE}
    if members.keys() - {SIGNATURE_FILE} != expected:
        raise PackError(
            f"archive: expected members {', '.join(sorted(expected))}, found {', '.join(sorted(members))}; build the pack again"
        )
    info = read_info(members[INFO_FILE])
    model, metadata = unwrap(stored, info.model_bytes)
    check_metadata(metadata)
    if members[LABELS_FILE] != _label_lines(info):
        found = members[LABELS_FILE][:80].decode("utf-8", "replace").split("\n")
        raise PackError(
            f"{LABELS_FILE}: expected the labels of {INFO_FILE} ({', '.join(info.labels)[:80]}), found {found}; build the pack again"
        )
    arrays = read_golden(members[GOLDEN_FILE])
    if arrays.keys() != {"windows", "outputs"}:
        raise PackError(f"{GOLDEN_FILE}: expected arrays outputs, windows, found {', '.join(sorted(arrays))}; build the pack again")
    golden = Golden(arrays["windows"], arrays["outputs"])
    check_hashes(model, golden.digest(), info)
    check_agreement(model, info, golden.windows, golden.outputs)
    signature = members.get(SIGNATURE_FILE)
    if signature is not None and len(signature) != SIGNATURE_BYTES:
        raise PackError(
            f"{SIGNATURE_FILE}: expected {SIGNATURE_BYTES} bytes, found {len(signature)}; ask the pack's author for a signed one"
        )
    return Pack(path, model, info, golden, signature)


def _label_lines(info: PackInfo) -> bytes:
    return "".join(f"{label}\n" for label in info.labels).encode()


def _locate(pack: str | Path) -> Path:
    """A bare word is a shipped pack first, anything else a path."""
    shipped = shipped_packs()
    if isinstance(pack, str) and pack in shipped:
        return shipped[pack]
    path = Path(pack)
    found = "neither"
    try:
        if path.is_file():
            return path
        if path.is_dir():
            found = "a folder"
    except OSError:  # a name no file can have
        pass
    names = ", ".join(shipped) or "none in this installation"
    raise PackError(f"{pack}: expected a shipped pack ({names}) or a pack file, found {found}; see `edge-kws models`")
