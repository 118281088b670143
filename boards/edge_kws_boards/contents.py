"""Generated C of a firmware: the packs, and what the board is. `firmware/app/contents.h` and `ekws_board.h` are what the app sees."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_kws.decoder import threshold_words
from edge_kws.errors import BoardError
from edge_kws.frontend import FrontendConfig
from edge_kws.pack import Pack
from edge_kws_boards.description import BoardDescription
from edge_kws_converters.export import plan_c
from edge_kws_converters.frontend_source import frontend_source
from edge_kws_converters.source import ModelSource, open_model
from edge_kws_converters.writers.c import CModel
from edge_kws_converters.writers.c_text import comment, identifier

MAX_MODELS = 8
"""EKWS_MAX_MODELS of ekws.h."""


@dataclass(frozen=True, slots=True, eq=False)
class BoardModel:
    """A pack compiled for a core. `prefix` is unique among the models of an image; model.c lies in the folder of that name."""

    pack: Pack
    compiled: CModel

    @property
    def prefix(self) -> str:
        """Prefix of its names in C."""
        return self.compiled.name


def compile_packs(names: Sequence[str], core: str) -> list[BoardModel]:
    """Packs, by shipped name or path, compiled to streaming C.

    Raises:
        BoardError: none, too many, two of one name, front ends that do not fit together, or a model that is no pack.
        ConversionError, PackError: a pack that is damaged or cannot be streamed.
    """
    if not 1 <= len(names) <= MAX_MODELS:
        raise BoardError(f"build: expected 1 to {MAX_MODELS} packs, found {len(names)}; leave some out")
    models = [_compile(open_model(name), name, core) for name in names]
    prefixes = [model.prefix for model in models]
    if len(set(prefixes)) != len(prefixes):
        found = ", ".join(model.pack.info.name for model in models)
        raise BoardError(f"build: expected packs of different names, found {found}; leave one out")
    shared = {(model.pack.frontend.window_ms, model.pack.frontend.hop_ms) for model in models}
    if len(shared) != 1:
        found = ", ".join(f"{model.pack.info.name} {model.pack.frontend.window_ms}/{model.pack.frontend.hop_ms} ms" for model in models)
        raise BoardError(f"build: expected packs with one window and hop, which share a front end, found {found}; build them apart")
    return models


def _compile(source: ModelSource, name: str, core: str) -> BoardModel:
    if source.pack is None:
        raise BoardError(
            f"{name}: expected a pack, which knows its front end, labels and thresholds, found a bare model; build a pack of it"
        )
    compiled, _ = plan_c(source, core, name=identifier(source.pack.info.name))
    return BoardModel(source.pack, compiled)


def core_number(board: BoardDescription) -> int:
    """A number that images for other cores do not have."""
    return zlib.crc32(board.core.encode())


def board_header(board: BoardDescription) -> str:
    """ekws_board.h."""
    port = board.port
    numbers = {
        "CLOCK_HZ": board.clock_hz,
        "BAUD": port.baud,
        "RECEIVE_BYTES": port.receive_bytes,
        "RING_SAMPLES": port.ring_samples,
        "CORE": core_number(board),
        **port.constants,
    }
    if board.slots is not None:
        numbers |= {
            "SLOTS_ORIGIN": board.slots.origin,
            "SLOT_BYTES": board.slots.bytes,
            "FLASH_ERASE_BYTES": board.slots.erase_bytes,
            "FLASH_WRITE_BYTES": board.slots.write_bytes,
        }
    lines = [f"#define EKWS_{name} {f'{value:#x}u' if value >= 2**20 else value}" for name, value in numbers.items()]
    title = f"/* {comment(board.title)}. Generated from its description. */"
    guard = "#ifndef EKWS_BOARD_H\n#define EKWS_BOARD_H\n"
    return "\n".join([title, guard, f'#define EKWS_BOARD_NAME "{board.name}"', *lines, "\n#endif\n"])


def contents_files(models: Sequence[BoardModel], board: BoardDescription) -> Mapping[str, str]:
    """Files of an image that come from its packs, by path below the build folder."""
    frontends = list(dict.fromkeys(model.pack.frontend for model in models))
    spare = board.slots.spare_arena_bytes if board.slots is not None else 0
    files: dict[str, str] = {"contents.c": _contents(models, frontends, spare), "sizes.c": _sizes(models)}
    for n, config in enumerate(frontends):
        files[f"frontend_{n}.c"] = frontend_source(config, f"frontend_{n}")
    for model in models:
        files |= model_files(model)
    return files


def model_files(model: BoardModel) -> Mapping[str, str]:
    """The C of a model, by path below the build folder."""
    return {f"{model.prefix}/model.c": model.compiled.source, f"{model.prefix}/model.h": model.compiled.header}


def _contents(models: Sequence[BoardModel], frontends: Sequence[FrontendConfig], spare: int) -> str:
    names = ", ".join(model.pack.info.name for model in models)
    parts = [f"/* Packs of this image: {comment(names)}. Generated. */", '#include "contents.h"\n']
    parts += [f'#include "{model.prefix}/model.h"' for model in models]
    parts += [
        f"\nextern const ekws_spectrum_config_t ekws_frontend_{n}_spectrum;\nextern const ekws_bank_config_t ekws_frontend_{n}_bank;"
        for n in range(len(frontends))
    ]
    rows = [
        f"    {{{_digest(config.digest())}, &ekws_frontend_{n}_spectrum, &ekws_frontend_{n}_bank}}," for n, config in enumerate(frontends)
    ]
    parts.append("\nconst ekws_frontend_t ekws_frontends[] = {\n" + "\n".join(rows) + "\n};")
    parts.append(f"const size_t ekws_frontend_count = {len(frontends)};\n")
    for model in models:
        functions, entry = model_entry(model)
        parts.append(f"{functions}static const ekws_model_t model_{model.prefix} = {entry};\n")
    parts.append(f"const ekws_model_t *const ekws_models[] = {{{', '.join(f'&model_{model.prefix}' for model in models)}}};")
    parts.append(f"const size_t ekws_model_count = {len(models)};\n")
    arena = " + ".join([f"EKWS_FRONTENDS_BYTES({len(frontends)})", *map(_model_bytes, models), *([str(spare)] if spare else [])])
    parts.append(f"uint64_t ekws_arena[({arena}) / 8];\nconst size_t ekws_arena_bytes = sizeof ekws_arena;\n")
    return "\n".join(parts)


def model_entry(model: BoardModel) -> tuple[str, str]:
    """What an `ekws_model_t` points to, as C, and its initialiser."""
    name, pack, decoder = model.prefix, model.pack, model.pack.decoder
    labels = "\n    ".join(f'{c_string(label)} "\\0"' for label in pack.labels)
    functions = f"""static void {name}_reset(void *state) {{ ekws_{name}_reset(state); }}
static int32_t {name}_push(void *state, const int8_t *row, int8_t *posteriors) {{ return ekws_{name}_push(state, row, posteriors); }}
static const uint16_t {name}_thresholds[] = {{{", ".join(map(str, threshold_words(decoder)))}}};
static const char {name}_labels[] =
    {labels};
static const char {name}_name[] = {c_string(pack.info.name)};
"""
    entry = f"""{{
    .digest = {_digest(pack.info.model_sha256)},
    .frontend_digest = {_digest(pack.frontend.digest())},
    .name = {name}_name,
    .labels = {name}_labels,
    .window_rows = EKWS_{name.upper()}_INPUT_ROWS,
    .stride_rows = EKWS_{name.upper()}_STRIDE_ROWS,
    .row_bytes = EKWS_{name.upper()}_ROW_BYTES,
    .state_bytes = EKWS_{name.upper()}_STATE_BYTES,
    .decoder = {{{len(pack.labels)}, {decoder.average_window}, {decoder.min_consecutive}, {decoder.refractory_steps}, {name}_thresholds}},
    .reset = {name}_reset,
    .push = {name}_push,
}}"""
    return functions, entry


def _model_bytes(model: BoardModel) -> str:
    decoder = model.pack.decoder
    return f"EKWS_MODEL_BYTES(EKWS_{model.prefix.upper()}_STATE_BYTES, {len(model.pack.labels)}, {decoder.average_window})"


def _sizes(models: Sequence[BoardModel]) -> str:
    """Never linked: its symbols are as large as what each model takes of the arena."""
    parts = ["/* Arena of each model, as sizes of symbols. Generated, never linked. */", '#include "ekws.h"']
    parts += [f'#include "{model.prefix}/model.h"\nchar arena_{model.prefix}[{_model_bytes(model)}];' for model in models]
    return "\n".join(parts) + "\n"


def _digest(hexadecimal: str) -> str:
    return "{" + ", ".join(f"{byte:#04x}" for byte in bytes.fromhex(hexadecimal)) + "}"


def c_string(text: str) -> str:
    """A text as a C literal of its UTF-8 bytes."""
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode()) + '"'
