"""`edge_kws.json`: what a pack says about itself, validated, and its one canonical form."""

import json
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
    model_validator,
)

from edge_kws.errors import PackError

SCHEMA_VERSION = 1

# Text of a stranger ends on terminals: no control characters, no line or direction overrides.
_UNSAFE = "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069"
Line = Annotated[str, StringConstraints(max_length=400, pattern=f"^[^{_UNSAFE}\\t\\n]*$")]
Text = Annotated[str, StringConstraints(max_length=100_000, pattern=f"^[^{_UNSAFE}]*$")]
Name = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=f"^[^{_UNSAFE}\\t\\n]*$")]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=10**12)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Measurement(_Strict):
    """One measured quality figure.

    Attributes:
        name: what was measured, e.g. `top1` or `misses at 0.5 false accepts per hour`.
        value: the figure; a fraction 0..1 where the interval is Wilson's.
        interval: [low, high] at 95 %.
        interval_kind: `wilson` for a proportion, `poisson` (exact) for a rate or count, None without interval.
        count: trials behind the figure (clips, or events).
        data: the data it was measured on.
        runner: what ran the model, e.g. `litert BUILTIN_REF int8, C front end, C decoder`.
        note: anything the reader must know; empty if nothing.
    """

    name: Line
    value: float
    interval: tuple[float, float] | None = None
    interval_kind: Literal["wilson", "poisson"] | None = None
    count: Count | None = None
    data: Line
    runner: Line
    note: Line = ""

    @model_validator(mode="after")
    def _consistent(self) -> "Measurement":
        if (self.interval is None) != (self.interval_kind is None):
            raise ValueError("expected interval and interval_kind together, found one of them")
        if self.interval is not None and not self.interval[0] <= self.value <= self.interval[1]:
            raise ValueError(f"expected a value inside its interval {list(self.interval)}, found {self.value:g}")
        if self.interval_kind == "wilson" and self.interval is not None and not 0 <= self.interval[0] <= self.interval[1] <= 1:
            raise ValueError(f"expected a Wilson interval inside 0..1, found {list(self.interval)}")
        return self


class DataSource(_Strict):
    """One line of the data and licence ledger."""

    name: Line
    use: Literal["train", "validation", "evaluation", "calibration"]
    license: Line
    source: Line
    clips: Count | None = None
    hours: Annotated[float, Field(ge=0)] | None = None
    note: Line = ""


class TrainingSpan(_Strict):
    """Epochs in a row that one commit of this repository trained."""

    commit: Line
    epochs: Annotated[int, Field(ge=1)]


class Provenance(_Strict):
    """Where the model comes from.

    Attributes:
        commit: of this repository, which exported and measured the model.
        training: which commits trained it, in order; empty where that was not recorded.
        seed: of the recipe.
        created: UTC time of the export (ISO 8601).
        tool_versions: of the tools at the export.
    """

    commit: Line
    training: Annotated[list[TrainingSpan], Field(max_length=1000)] = []
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    created: Line
    tool_versions: Annotated[dict[Line, Line], Field(max_length=64)]

    @model_serializer(mode="wrap")
    def _as_written(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Packs from before `training` keep their bytes, which signatures cover.
        return {key: value for key, value in serialise(self).items() if key != "training" or value}


class PackInfo(_Strict):
    """Everything a pack says about itself; the content of `edge_kws.json`.

    Attributes:
        schema_version: 1; readers refuse any other.
        name: short name, also the model's name in events.
        version: version of this model.
        description: one line for people.
        task: `keywords` (several classes) or `wake_word`.
        labels: one per model output, in order.
        frontend: `FrontendConfig.to_dict()`.
        decoder: `DecoderConfig.to_dict()`.
        inference_stride_hops: hops between two runs of the model.
        model_sha256: SHA-256 of the model flatbuffer without metadata: the last `model_bytes` bytes before the zip, as exported.
        model_bytes: length of that flatbuffer.
        golden_sha256: SHA-256 of the golden windows' bytes followed by the golden outputs' bytes.
        parameters: weights and biases.
        macs_per_window: multiply-accumulates of one whole window.
        macs_per_hop: the same per front-end hop when streamed.
        quality: measured figures, the headline first.
        ledger: the data behind the model, with licences.
        license: SPDX expression of the weights.
        recipe: the training recipe (TOML) as it was run.
        provenance: commit, seed, time and tools.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Name
    version: Line
    description: Line
    task: Literal["keywords", "wake_word"]
    labels: Annotated[list[Label], Field(min_length=1, max_length=1000)]
    frontend: dict[str, JsonValue]
    decoder: dict[str, JsonValue]
    inference_stride_hops: Annotated[int, Field(ge=1, le=1000)]
    model_sha256: Sha256
    model_bytes: Annotated[int, Field(ge=8)]
    golden_sha256: Sha256
    parameters: Count
    macs_per_window: Count
    macs_per_hop: Annotated[float, Field(ge=0)]
    quality: Annotated[list[Measurement], Field(max_length=1000)]
    ledger: Annotated[list[DataSource], Field(max_length=1000)]
    license: Line
    recipe: Text
    provenance: Provenance

    @model_validator(mode="after")
    def _unique_labels(self) -> "PackInfo":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("expected unique labels, found one twice")
        return self

    def canonical_json(self) -> bytes:
        """The one form that is stored and signed: UTF-8, keys sorted, no spaces, a newline at the end."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"


def make_info(**fields: Any) -> PackInfo:
    """A PackInfo from Python values; PackError names the first field that does not fit."""
    try:
        return PackInfo(**fields)
    except ValidationError as error:
        raise _invalid(error, "correct this value") from None


def read_info(data: bytes) -> PackInfo:
    """Parses `edge_kws.json`.

    Raises:
        PackError: not JSON, a key twice, another schema version, a key missing, unknown or out of range.
    """
    try:
        document = json.loads(data, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise PackError(f"edge_kws.json: expected one JSON object, found {one_line(error)}; build the pack again") from None
    version: object = cast("dict[str, object]", document).get("schema_version") if isinstance(document, dict) else None
    if type(version) is not int or version != SCHEMA_VERSION:
        found = ascii(version)[:40]
        step = "upgrade edge_kws, or build the pack again with this version"
        raise PackError(f"edge_kws.json: schema_version: expected {SCHEMA_VERSION}, found {found}; {step}")
    try:
        return PackInfo.model_validate_json(data)
    except ValidationError as error:
        raise _invalid(error, "build the pack again") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError("a key twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name}, which is not JSON")


def _invalid(error: ValidationError, step: str) -> PackError:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    where = "".join(c if c.isprintable() else "?" for c in where)[:80]
    if first["type"] == "missing":
        return PackError(f"edge_kws.json: {where}: expected a value, found none; {step}")
    if first["type"] == "extra_forbidden":
        return PackError(f"edge_kws.json: {where}: expected no such key (unknown to schema {SCHEMA_VERSION}); {step}")
    message = first["msg"].removeprefix("Value error, ")  # those of our own validators say what they expected and found
    if not message.startswith("expected"):
        message = f"{_expectation(message)}, found {ascii(first['input'])[:80]}"
    return PackError(f"edge_kws.json: {where}: {one_line(message)}; {step}")


def _expectation(message: str) -> str:
    """Pydantic's message in the words of this project's errors."""
    if "pattern" in message:
        return "expected plain text without control characters (a name: lower-case letters, digits, - _ .)"
    return message.replace("Input should be", "expected").replace(" should have", ": expected")


def one_line(text: object) -> str:
    """Text from a file, made fit for an error message: one line, printable, short."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())[:160]
