"""Synthesises examples/demo.flac with flite (apt-get install flite) and writes what was said beside it, in demo.json.

Run again, it makes the same audio: voices, words, pauses and noise are fixed.
"""

# pyright: basic

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

RATE_HZ = 16_000
VOICES = ("slt", "rms", "awb", "kal16")
SAID = [
    "yes",
    "no",
    "marvin",
    "stop",
    "go",
    "house",
    "left",
    "right",
    "happy",
    "marvin",
    "up",
    "down",
    "off",
    "on",
    "learn",
    "yes",
    "stop",
    "marvin",
]
HERE = Path(__file__).resolve().parent


def spoken(word: str, voice: str) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        subprocess.run(["flite", "-voice", voice, "-t", word, "-o", str(path)], check=True)
        audio, rate = soundfile.read(path)
    audio = soxr.resample(audio, rate, RATE_HZ)
    loud = np.flatnonzero(np.abs(audio) > 0.01 * np.abs(audio).max())
    audio = audio[loud[0] : loud[-1] + 1]
    return 0.3 * audio / np.abs(audio).max()


def main() -> None:
    random = np.random.default_rng(1)
    pieces, said, position = [np.zeros(RATE_HZ * 3 // 2)], [], RATE_HZ * 3 // 2
    for number, word in enumerate(SAID):
        audio = spoken(word, VOICES[number % len(VOICES)])
        said.append({"word": word, "start_s": round(position / RATE_HZ, 3), "end_s": round((position + len(audio)) / RATE_HZ, 3)})
        pause = np.zeros(int(RATE_HZ * random.uniform(0.8, 1.1)))
        pieces += [audio, pause]
        position += len(audio) + len(pause)
    speech = np.concatenate(pieces)
    speech += random.normal(0, 10 ** (-60 / 20), len(speech))
    soundfile.write(HERE / "demo.flac", np.clip(speech, -1, 1), RATE_HZ, subtype="PCM_16")
    (HERE / "demo.json").write_text(json.dumps(said, indent=1) + "\n")
    print(f"{HERE / 'demo.flac'}: {len(speech) / RATE_HZ:.1f} s, {len(said)} words")


if __name__ == "__main__":
    main()
