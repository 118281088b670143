"""Lays out Debian's telephone prompts (CC BY-SA, for evaluation only) as WAV: negatives that no shipped model has learnt from.

apt-get install ffmpeg asterisk-core-sounds-{en,es,fr,it,ru}-g722
python benchmarks/spoken_prompts.py DIR       writes DIR/spoken_prompts/VOICE__PROMPT.wav, 2.2 hours
"""

import subprocess
import sys
from pathlib import Path

SOUNDS = Path("/usr/share/asterisk/sounds")
KEPT_ONCE = "tt-monkeys"
"""The same apes shriek in every language."""

WAV_HEADER_BYTES = 128


def main() -> None:
    """Converts every prompt that is not there yet."""
    voices = [folder for folder in SOUNDS.glob("*") if folder.is_dir() and not folder.is_symlink()]
    prompts = sorted(prompt for voice in voices for prompt in voice.glob("**/*.g722"))
    if len(sys.argv) != 2 or not prompts:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]) / "spoken_prompts"
    folder.mkdir(parents=True, exist_ok=True)
    for prompt in prompts:
        voice, *rest = prompt.relative_to(SOUNDS).with_suffix("").parts
        target = folder / f"{'__'.join([voice, *rest])}.wav"
        if target.exists() or (rest[-1].startswith(KEPT_ONCE) and not voice.startswith("en")):
            continue
        part = target.with_suffix(".part.wav")
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "g722", "-i", prompt, "-ar", "16000", "-ac", "1", part]
        subprocess.run(command, check=True)
        if part.stat().st_size > WAV_HEADER_BYTES:
            part.replace(target)
        else:
            part.unlink()  # a prompt without a sound: Russian has no "is"
    print(f"{folder}: {len(list(folder.glob('*.wav')))} prompts")


if __name__ == "__main__":
    main()
