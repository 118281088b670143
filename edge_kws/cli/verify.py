"""`edge-kws verify`: proof that a board computes what the host does."""

from pathlib import Path
from typing import Annotated

import typer


def verify(
    pack: Annotated[str, typer.Argument(help="A pack the board runs: a shipped one or a file.", metavar="PACK")],
    recording: Annotated[Path, typer.Argument(help="What to replay: any audio file.", metavar="WAV")],
    port: Annotated[str, typer.Option("--port", help="Serial port, or socket://HOST:PORT.")],
) -> None:
    """Replay a recording into a running board and compare every feature and score with the host's, byte by byte."""
    from edge_kws.audio.file import WavFile
    from edge_kws.pack import Pack
    from edge_kws_boards.link import BoardLink
    from edge_kws_boards.verify import samples_of
    from edge_kws_boards.verify import verify as compare

    loaded = Pack.load(pack)
    pcm = samples_of(WavFile(str(recording)))
    with BoardLink(port) as link:
        found = compare(link, loaded, pcm)
    for event in found.events:
        print(f"{event.time_s:9.2f} s  {event.model}  {event.label}  {event.score:.2f}")
    stats = found.stats
    rows = f"{found.frames:,} frames of {found.mel_bins} features, {found.steps:,} steps of {found.classes} posteriors and averages"
    print(f"{loaded.info.name} on {found.board}: every byte equals the host's, of {found.samples / 16000:.2f} s of sound:")
    print(f"{rows}, {len(found.events)} event{'s' * (len(found.events) != 1)}")
    print(
        f"load {stats.load_permille / 10:.1f} %, costliest hop {stats.hop_most_us:,} us, stack {stats.stack_used:,} of "
        f"{stats.stack_bytes:,} bytes, arena {stats.arena_used:,} of {stats.arena_bytes:,}"
    )
