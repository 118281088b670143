"""Audio files of a data set: finding them, checking that they open, and reading a group out of a file name."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edge_kws.errors import ConfigError

AUDIO_SUFFIXES = frozenset({".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".ogg", ".opus", ".rf64", ".w64", ".wav"})
# People record these on telephones; leaving them out in silence would shrink a class without a word.
_AUDIO_THAT_LIBSNDFILE_CANNOT_READ = frozenset({".3gp", ".aac", ".amr", ".m4a", ".mp4", ".webm", ".wma"})
_THREADS = 4
# libsndfile opens a WAV whose samples end early and notes it in its log. A stream of unknown length declares 2^31 or more: no damage.
_TRUNCATED = re.compile(r"^data\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_LENGTH_BYTES = 0x7FFF_0000


def audio_files(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Audio files in `folder`, sorted by path; hidden files (among them the `._*.wav` macOS leaves) and other files are not taken.

    Raises:
        ConfigError: an audio file of a kind that libsndfile does not read.
    """
    found: list[Path] = []
    for path in sorted(folder.rglob("*") if recursive else folder.iterdir()):
        suffix = path.suffix.lower()
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if suffix in _AUDIO_THAT_LIBSNDFILE_CANNOT_READ and path.is_file():
            raise ConfigError(
                f"{path}: cannot read {suffix} audio; convert the data set to WAV or FLAC (ffmpeg -i {path.name} {path.stem}.wav)"
            )
        if suffix in AUDIO_SUFFIXES and path.is_file():
            found.append(path)
    return found


def durations(paths: Sequence[Path]) -> list[float]:
    """Seconds of each file, from its header alone.

    Raises:
        ConfigError: some files are not audio, hold no sample, or end before their header says; names the first.
    """
    with ThreadPoolExecutor(_THREADS) as threads:
        outcomes = list(threads.map(_duration_or_fault, paths, chunksize=64))
    bad = [path for path, outcome in zip(paths, outcomes, strict=True) if isinstance(outcome, str)]
    if bad:
        # libsndfile keeps the reason of a failed open in one global, so another thread may have overwritten it: ask again alone.
        fault = _duration_or_fault(bad[0])
        others = f" (and {len(bad) - 1} more unreadable files)" if len(bad) > 1 else ""
        raise ConfigError(f"{bad[0]}: expected an audio file, found {fault}{others}; repair or remove it")
    return [outcome for outcome in outcomes if isinstance(outcome, float)]


def _duration_or_fault(path: Path) -> float | str:
    import soundfile

    try:
        info: Any = soundfile.info(str(path), verbose=True)  # pyright: ignore[reportUnknownMemberType]
    except (soundfile.SoundFileError, OSError) as error:
        if not path.exists():
            return "no file"
        if path.stat().st_size == 0:
            return "an empty file"
        return f"{path.stat().st_size} bytes that libsndfile refuses ({str(error).partition(': ')[2] or error})"
    if info.frames <= 0 or info.samplerate <= 0 or info.channels <= 0:
        return f"no samples ({info.frames} frames, {info.channels} channels, {info.samplerate} Hz)"
    cut = _TRUNCATED.search(info.extra_info)
    if cut and int(cut[2]) < int(cut[1]) < _UNKNOWN_LENGTH_BYTES:
        return f"a truncated one ({cut[2]} of {cut[1]} bytes of samples)"
    return float(info.frames) / float(info.samplerate)


def captured_group(pattern: re.Pattern[str], path: Path, root: Path, meaning: str) -> str:
    """What the pattern's group `speaker`, `group` or 1 captures in the file name, or below `root` if the pattern has a `/`.

    `meaning` names the group in errors.

    Raises:
        ConfigError: no match, or an empty one.
    """
    subject = path.relative_to(root).as_posix() if "/" in pattern.pattern else path.name
    match = pattern.search(subject)
    name = next((name for name in ("speaker", "group") if name in pattern.groupindex), 1)
    captured = match[name] if match else None
    if not captured:
        raise ConfigError(
            f"{path}: expected a {meaning} where the pattern {pattern.pattern!r} has its group, found no match in {subject!r}; correct it"
        )
    return captured


def compile_pattern(pattern: str, meaning: str) -> re.Pattern[str]:
    """Compiles a pattern for `captured_group`.

    Raises:
        ConfigError: it is no regular expression or has no group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{meaning} pattern {pattern!r} is not a regular expression: {error}") from error
    if compiled.groups == 0:
        raise ConfigError(
            rf"{meaning} pattern {pattern!r} has no group; put the part that names the {meaning} in parentheses, as in '^(\d+)-'"
        )
    return compiled


def existing_folder(root: Path | str, meaning: str) -> Path:
    """`root` as a Path.

    Raises:
        ConfigError: it is not a folder.
    """
    folder = Path(root)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise ConfigError(f"{folder}: expected a folder of {meaning}, found {found}; check the path")
    return folder
