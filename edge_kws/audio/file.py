"""Audio files of any rate, channel count and format that libsndfile reads, as a source of 16 kHz mono blocks."""

import time
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from edge_kws.audio.resample import MAX_RATE_HZ, MIN_RATE_HZ, Resampler
from edge_kws.audio.truncation import missing_part
from edge_kws.errors import AudioError
from edge_kws.events import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    import soundfile

_BLOCKS_PER_SECOND = 5
_BLOCKS_PER_SECOND_REALTIME = 20


class Pacer:
    """Lets samples through no faster than they were spoken."""

    def __init__(self) -> None:
        self._start_s: float | None = None

    def wait_for(self, position: int) -> None:
        """Return when sample `position` would have been recorded, counted from the first call."""
        now_s = time.monotonic()
        if self._start_s is None:
            self._start_s = now_s - 1 / _BLOCKS_PER_SECOND_REALTIME
        time.sleep(max(0.0, self._start_s + position / SAMPLE_RATE_HZ - now_s))


class WavFile:
    """A recording as an `AudioSource`; despite its name any file soundfile reads, 8..192 kHz, any number of channels (averaged).

    Streamed in bounded memory. Positions are free of delay: n frames at `rate` become round(n * 16000 / rate) samples.

    Args:
        path: the file.
        realtime: yield blocks at the speed of speech instead of as fast as they are taken.

    Raises:
        AudioError: (on opening) missing, empty, not audio, shorter than its header says, rate out of range;
            (from `blocks`) damaged inside, or samples that are not finite.
    """

    def __init__(self, path: str | Path, realtime: bool = False) -> None:
        self.path = Path(path)
        self.realtime = realtime
        self._file: soundfile.SoundFile | None = None
        self._description = str(self.path)

    @property
    def description(self) -> str:
        """Path and, once open, the format: rate, channels, encoding, duration."""
        return self._description

    def __enter__(self) -> Self:
        if self._file is None:
            self._file = _open(self.path)
            rate, channels, duration_s = self._file.samplerate, self._file.channels, self._file.frames / self._file.samplerate
            shape = f"{rate} Hz, {'1 channel' if channels == 1 else f'{channels} channels'}"
            self._description = f"{self.path}: {shape}, {self._file.format} {self._file.subtype}, {duration_s:.2f} s"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def blocks(self) -> Generator[NDArray[np.int16], None, None]:
        """Yield int16 blocks, of about 200 ms or in real time 50 ms, until the file ends; see `AudioSource.blocks`."""
        with self:
            pacer = Pacer() if self.realtime else None
            position = 0
            for block in self._resampled():
                position += len(block)
                if pacer is not None:
                    pacer.wait_for(position)
                if len(block):
                    yield block

    def _resampled(self) -> Iterator[NDArray[np.int16]]:
        assert self._file is not None
        resampler = Resampler(self._file.samplerate, self._file.channels)
        frames_read = 0
        while len(frames := self._read(self._file, frames_read)):
            frames_read += len(frames)
            yield resampler.process(frames)
        # MP3 and Ogg headers only estimate their length or leave it out
        if frames_read == 0 or (frames_read < self._file.frames and self._file.format not in ("MP3", "OGG")):
            raise AudioError(_truncated(self.path, f"the header promises {self._file.frames} frames, the file holds {frames_read}"))
        yield resampler.flush()

    def _read(self, file: "soundfile.SoundFile", position: int) -> NDArray[np.int16] | NDArray[np.float32]:
        count = file.samplerate // (_BLOCKS_PER_SECOND_REALTIME if self.realtime else _BLOCKS_PER_SECOND)
        try:
            if file.subtype == "PCM_16":  # a third of the work, and the same samples
                return np.asarray(file.read(count, dtype="int16", always_2d=True), np.int16)
            frames = np.asarray(file.read(count, dtype="float32", always_2d=True), np.float32)
        except RuntimeError as error:  # soundfile.LibsndfileError
            reason = str(error).removeprefix("Error : ").rstrip(".")
            raise AudioError(
                f"{self.path}: damaged at frame {position} of {file.frames} ({reason}); make or download the file again"
            ) from None
        if not np.isfinite(frames).all():
            bad = position + int(np.flatnonzero(~np.isfinite(frames).all(axis=1))[0])
            raise AudioError(f"{self.path}: sample {bad} is NaN or infinite; expected numbers of full scale +-1.0; write the file again")
        return frames


def _open(path: Path) -> "soundfile.SoundFile":
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise AudioError(f"audio files need the soundfile package and libsndfile ({error}); run `pip install soundfile`") from None
    try:
        if path.stat().st_size == 0:
            raise AudioError(f"{path}: the file is empty; expected audio; record or copy it again")
        if (missing := missing_part(path)) is not None:
            raise AudioError(_truncated(path, missing))
        file = soundfile.SoundFile(path)
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened ({error.strerror or error}); check the path") from None
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        expected = "expected WAV, FLAC, Ogg, MP3, AIFF or another format of libsndfile"
        raise AudioError(f"{path}: not an audio file that can be read ({reason}); {expected}") from None
    try:
        _check(path, file)
    except BaseException:
        file.close()
        raise
    return file


def _check(path: Path, file: "soundfile.SoundFile") -> None:
    if not MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ:
        raise AudioError(f"{path}: sample rate {file.samplerate} Hz; expected {MIN_RATE_HZ}..{MAX_RATE_HZ} Hz; resample the file first")
    if file.frames == 0:
        raise AudioError(f"{path}: 0 frames of audio; expected at least 1; record the file again")


def _truncated(path: Path, missing: str) -> str:
    return f"{path}: truncated: {missing}; copy or record it again"


def read_pcm(path: str | Path) -> NDArray[np.int16]:
    """A whole file as (samples,) int16, 16 kHz. Raises AudioError."""
    return np.concatenate(list(WavFile(path).blocks()))
