"""Mel amplitudes of a data set, computed once by the C front end and kept in memory-mapped files.

What is kept is the filter bank's output, before noise reduction, gain control and logarithm: energies of independent sounds add there, so
that noise can be mixed in afresh at every epoch without touching PCM, and the C code that follows (`FeatureBank`) does the rest.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_kws.audio.file import read_pcm
from edge_kws.errors import ConfigError
from edge_kws.frontend import Frontend, FrontendConfig

AMPLITUDE_UNIT: Final = 16.0
"""Amplitudes are stored as float16 in this unit, so that the loudest (2^19) fits and the softest (1) is normal."""

_CACHE_FORMAT = "1"


@dataclass(frozen=True)
class MelStore:
    """Mel amplitudes of several recordings, end to end.

    Attributes:
        amplitudes: (total_frames, mel_bins) float16 in units of `AMPLITUDE_UNIT`, memory-mapped.
        starts: (recordings + 1,) int64 first frame of each recording, and the end.
    """

    amplitudes: NDArray[np.float16]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def frames(self, index: int) -> NDArray[np.float16]:
        """Amplitudes (frames, mel_bins) of one recording."""
        return self.amplitudes[self.starts[index] : self.starts[index + 1]]


def mel_store(
    paths: Sequence[Path],
    frontend: FrontendConfig,
    cache: Path,
    *,
    clip_samples: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MelStore:
    """Opens the amplitudes of `paths`, computing them first if this cache does not hold them.

    Args:
        paths: audio files, any rate.
        frontend: only its window, hop and mel bins matter here.
        cache: folder for all stores; each is named by a hash of its files and settings.
        clip_samples: cut or zero-pad each recording to this many 16 kHz samples; None: keep its length.
        progress: called with (recordings done, recordings).

    Raises:
        AudioError: an unreadable recording.
        ConfigError: nothing to read, or no frame in any recording.
    """
    if not paths:
        raise ConfigError("features: expected recordings, found none; check the data folders of the recipe")
    folder = cache / _key(paths, frontend, clip_samples)
    if not (folder / "starts.npy").exists():
        _compute(paths, frontend, folder, clip_samples, progress)
    starts = np.load(folder / "starts.npy")
    amplitudes = np.memmap(folder / "amplitudes.f16", np.float16, "r", shape=(int(starts[-1]), frontend.mel_bins))
    return MelStore(amplitudes, starts)


def _key(paths: Sequence[Path], frontend: FrontendConfig, clip_samples: int | None) -> str:
    """Changes with any file's name, size or time, and with the settings that shape amplitudes."""
    settings = [_CACHE_FORMAT, frontend.window_ms, frontend.hop_ms, frontend.mel_bins, frontend.lower_hz, frontend.upper_hz, clip_samples]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for path in paths:
        status = path.stat()
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def _compute(
    paths: Sequence[Path], frontend: FrontendConfig, folder: Path, clip_samples: int | None, progress: Callable[[int, int], None] | None
) -> None:
    work = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    work.mkdir(parents=True, exist_ok=True)
    plain = FrontendConfig(**{**frontend.to_dict(), "noise_reduction": False, "pcan": False})

    def amplitudes(path: Path) -> NDArray[np.float16]:
        pcm = read_pcm(path)
        if clip_samples is not None:
            pcm = np.pad(pcm[:clip_samples], (0, max(0, clip_samples - len(pcm))))
        mel = Frontend(plain).process_mel(pcm)[0]
        return (mel / np.float32(AMPLITUDE_UNIT)).astype(np.float16)

    lengths: list[int] = []
    try:
        with (work / "amplitudes.f16").open("wb") as out, ThreadPoolExecutor(os.cpu_count()) as pool:
            # A bounded look-ahead: the pool must not run far ahead of the disk.
            for first in range(0, len(paths), 256):
                for mel in pool.map(amplitudes, paths[first : first + 256]):
                    out.write(mel.tobytes())
                    lengths.append(len(mel))
                if progress is not None:
                    progress(len(lengths), len(paths))
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        if starts[-1] == 0:
            raise ConfigError(f"features: {paths[0]} and {len(paths) - 1} more: expected at least one whole window of audio, found none")
        np.save(work / "starts.npy", starts)
        folder.parent.mkdir(parents=True, exist_ok=True)
        work.replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
