"""`edge-kws monitor`: a running board, live."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_kws_boards.link import BoardLink
    from edge_kws_boards.messages import Message

_EXIT_INTERRUPTED = 130


def monitor(
    port: Annotated[str, typer.Option("--port", help="Serial port, or socket://HOST:PORT.")],
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Write one JSON object a line: events, gaps, scores, levels, stats, log.")] = False,
    input_: Annotated[Path | None, typer.Option("--input", help="What a board without a microphone hears.", metavar="WAV")] = None,
) -> None:
    """Show what a running board hears: events as lines, and its level, scores, load, stack and memory. Until Ctrl-C."""
    from edge_kws.audio.file import WavFile
    from edge_kws_boards.link import BoardLink
    from edge_kws_boards.monitor import watch
    from edge_kws_boards.verify import samples_of

    pcm = None if input_ is None else samples_of(WavFile(str(input_)))
    try:
        with BoardLink(port) as link:
            packs = ", ".join(linked.model.name for linked in link.models)
            print(f"{link.info.board} · {packs}", file=sys.stderr)
            (_records if jsonl else _lines)(link, watch(link, pcm))
    except BrokenPipeError:
        # Whoever read our output has had enough, as in `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        raise typer.Exit(_EXIT_INTERRUPTED) from None


def _records(link: "BoardLink", messages: "Iterator[Message]") -> None:
    from edge_kws_boards.monitor import record

    for message in messages:
        if (found := record(link, message)) is not None:
            print(json.dumps(found, ensure_ascii=False), flush=True)


def _lines(link: "BoardLink", messages: "Iterator[Message]") -> None:
    """Events and what went wrong as lines; below them, on a terminal, the status line."""
    from rich.console import Console
    from rich.live import Live

    from edge_kws_boards.monitor import StatusLine, record

    console, status = Console(highlight=False), StatusLine()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for message in messages:
            if (found := record(link, message)) is None:
                continue
            match found["type"]:
                case "event":
                    console.print(f"{found['time_s']:9.2f} s  {found['model']}  {found['label']}  {found['score']:.2f}", markup=False)
                case "gap":
                    console.print(f"{found['end'] / 16000:9.2f} s  lost {found['end'] - found['start']:,} samples: {found['reason']}")
                case "log":
                    console.print(f"           {link.info.board}: {found['text']}", markup=False)
                case _:
                    status.take(found)
                    if console.is_terminal:
                        live.update(str(status), refresh=True)
    if str(status):
        print(status)
