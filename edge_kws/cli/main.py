"""`edge-kws`: finds the command, imports that one only, and turns its errors into one line."""

import keyword
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from edge_kws import __version__
from edge_kws.errors import EdgeKwsError

# In the order a newcomer meets them. Each lives in cli/<name>.py as a function of that name, or a typer.Typer of sub-commands;
# a word of Python gets a _ after it there.
COMMANDS = {
    "demo": "Hear and see the shipped packs detect recorded words.",
    "models": "List the packs shipped with the project.",
    "inspect": "Show everything a pack holds.",
    "listen": "Detect words in live sound, a file or standard input.",
    "devices": "List the capture devices.",
    "service": "Run the daemon: microphones in, events out, day and night.",
    "data": "Get data sets to train with.",
    "train": "Train a recipe into a pack.",
    "evaluate": "Measure a pack on recordings.",
    "convert": "Compile a model to C, or turn it into a C array.",
    "export": "Write a pack in the form that another runtime takes.",
    "import": "Make a pack of a model that was trained elsewhere.",
    "report": "Show what a compiled model costs on a core or an emulated board, layer by layer.",
    "boards": "List the boards that firmware can be built for.",
    "build": "Build a firmware image out of packs.",
    "flash": "Put a firmware image onto its board, or start its emulator.",
    "monitor": "Show what a running board hears, live.",
    "update": "Give a running board a new model.",
    "verify": "Prove that a running board computes what the host does.",
}

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

_EXTRAS = {"tensorflow": "train", "keras": "train", "ai_edge_quantizer": "quantize", "serial": "boards", "cobs": "boards"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `edge-kws`.

    Args:
        arguments: what follows the program's name; `sys.argv[1:]` when None.

    Returns:
        Exit status: 0, 2 for an error of ours or a wrong call, 130 for Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        command = typer.main.get_command(_application(words))
        command.main(args=words, prog_name="edge-kws")
    except SystemExit as finished:
        return finished.code if isinstance(finished.code, int) else int(finished.code is not None)
    except EdgeKwsError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        return _fail(f"{words[0]}: needs {error.name}, which is not installed; next: pip install 'edge-kws[{extra}]'")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _application(words: Sequence[str]) -> typer.Typer:
    """The command tree with the one wanted command imported; the others are known by name and help line only."""
    application = typer.Typer(
        name="edge-kws",
        help="Keyword spotting on the device: no cloud, no account, no audio leaves the machine.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    application.callback()(_options)
    wanted = next((word for word in words if not word.startswith("-")), None)
    for name, help_line in COMMANDS.items():
        python = f"{name}_" if keyword.iskeyword(name) else name
        found = getattr(import_module(f"edge_kws.cli.{python}"), python) if name == wanted else _unloaded
        if isinstance(found, typer.Typer):
            application.add_typer(found, name=name, help=help_line)
        else:
            application.command(name, help=None if name == wanted else help_line)(found)
    return application


def _unloaded() -> None:
    """Stands for a command in the overview; never called."""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"edge-kws {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
) -> None:
    """Keyword spotting on the device."""


def _fail(message: str) -> int:
    print(f"edge-kws: error: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())
