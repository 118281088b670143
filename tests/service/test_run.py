"""The program itself, as the unit starts it, on recorded speech from a pipe."""

import json
import subprocess
import sys

from edge_kws.audio.file import WavFile
from edge_kws.detector import Detector
from edge_kws.resources import demo_speech


def test_speech_on_standard_input_gives_what_a_detector_hears_and_the_program_ends_with_it(tmp_path):
    expected, pcm = [], b""
    detector = Detector.from_pack("commands", "marvin")
    for block in WavFile(demo_speech()).blocks():
        pcm += block.astype("<i2").tobytes()
        expected += detector.process(block)
    config = tmp_path / "config.toml"
    config.write_text(
        f'state_folder = "{tmp_path / "state"}"\n[page]\nenabled = false\n[[sinks]]\nkind = "jsonl"\n'
        '[[inputs]]\nname = "pipe"\nsource = "stdin"\npacks = [{ pack = "commands" }, { pack = "marvin" }]\n'
    )
    done = subprocess.run([sys.executable, "-m", "edge_kws.service", str(config)], input=pcm, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0
    records = [json.loads(line) for line in done.stdout.splitlines()]
    heard = [record for record in records if record["type"] == "event"]
    assert [(r["pack"], r["label"], round(r["score"], 4), r["start"], r["end"]) for r in heard] == [
        (event.model, event.label, round(event.score, 4), event.start, event.end) for event in expected
    ]
    assert len(heard) > 5
    assert records[-1]["status"] == "ended"
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
