"""A recipe: everything that decides a trained pack, in one validated TOML file that the pack then carries."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_kws.data.augmentation import AugmentationConfig
from edge_kws.errors import ConfigError, FrontendError
from edge_kws.frontend import FrontendConfig
from edge_kws.training.students.ds_cnn import DsCnnConfig
from edge_kws.training.students.hybrid import HybridConfig

SILENCE = "_silence_"
UNKNOWN = "_unknown_"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FrontendSection(_Section):
    """The front end, as `FrontendConfig`."""

    window_ms: int = 30
    hop_ms: int = 10
    mel_bins: int = 40
    lower_hz: float = 125.0
    upper_hz: float = 7500.0
    noise_reduction: bool = False
    pcan: bool = False
    feature_divisor: int = 1000


class RecordingsSection(_Section):
    """A folder of recordings, below the data root."""

    path: str
    license: str = Field(description="SPDX identifier, for the ledger")
    source: str
    group: str | None = Field(default=None, description="regular expression whose first group ties recordings together: a speaker, a fold")
    validation_groups: tuple[str, ...] | None = Field(default=None, description="groups kept for validation; None: by hash")
    seconds_per_epoch: float = Field(default=0.0, ge=0, description="drawn afresh each epoch as examples of `_unknown_`")
    optional: bool = False
    evaluation_only: bool = Field(default=False, description="no recording teaches: those of validation_groups validate, all others test")


class DataSection(_Section):
    """Where examples come from; paths are below the data root given on the command line."""

    speech_commands: str = "speech_commands"
    spectrograms: str | None = Field(default=None, description="pictures of clips whose audio is missing; translated to features")
    noise: tuple[RecordingsSection, ...] = ()
    negatives: tuple[RecordingsSection, ...] = ()


class TrainingSection(_Section):
    """How long, how much, how fast."""

    epochs: int = Field(default=40, ge=1)
    clips_per_epoch: int = Field(default=25_600, ge=64)
    batch: int = Field(default=128, ge=8)
    learning_rate: float = Field(default=5e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    average_decay: float = Field(default=0.998, ge=0, lt=1, description="exponential average of the weights; 0: none")
    keyword_share: float = Field(default=0.8, gt=0, lt=1, description="share of an epoch that goes to keywords, evenly")
    unknown_share: float = Field(default=0.12, ge=0, lt=1)
    picture_share: float = Field(
        default=0.5, ge=0, le=1, description="share of a word's examples that come from pictures where it has both"
    )
    hard_negative_share: float = Field(
        default=0.5, ge=0, le=1, description="share of negative seconds where the model errs, from half time on"
    )


class DecoderSection(_Section):
    """The decoder; the threshold is chosen on validation data when it is not given."""

    threshold: float | None = Field(default=None, gt=0, lt=1)
    max_false_accepts_per_hour: float = Field(default=0.5, description="0.5 or 0.1")
    average_window: int = Field(default=4, ge=1, le=64)
    min_consecutive: int = Field(default=1, ge=1, le=255)
    refractory_ms: int = Field(default=1000, ge=0)


class Recipe(_Section):
    """The whole recipe."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    version: str
    description: str
    license: str = "Apache-2.0"
    task: Literal["keywords", "wake_word"]
    keywords: tuple[str, ...] = Field(min_length=1)
    seed: int = 1
    clip_ms: int = Field(default=1000, ge=500, le=2000)
    inference_stride_hops: int = Field(default=2, ge=1)
    frontend: FrontendSection = FrontendSection()
    student: Annotated[HybridConfig | DsCnnConfig, Field(discriminator="family")]
    data: DataSection = DataSection()
    augmentation: AugmentationConfig = AugmentationConfig()
    training: TrainingSection = TrainingSection()
    decoder: DecoderSection = DecoderSection()

    @model_validator(mode="after")
    def _coherent(self) -> "Recipe":
        if len(set(self.keywords)) != len(self.keywords):
            raise ValueError("keywords: expected each once")
        if self.task == "wake_word" and len(self.keywords) != 1:
            raise ValueError(f"keywords: a wake_word recipe has one, found {len(self.keywords)}")
        if self.training.keyword_share + self.training.unknown_share > 1:
            raise ValueError("training: keyword_share + unknown_share: expected at most 1")
        if self.decoder.max_false_accepts_per_hour not in (0.5, 0.1):
            raise ValueError(f"decoder.max_false_accepts_per_hour: expected 0.5 or 0.1, found {self.decoder.max_false_accepts_per_hour}")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes in the order of the model's outputs."""
        if self.task == "wake_word":
            return (UNKNOWN, *self.keywords)
        return (SILENCE, UNKNOWN, *self.keywords)

    @property
    def frontend_config(self) -> FrontendConfig:
        """The front end; raises FrontendError for a value out of range."""
        return FrontendConfig(**self.frontend.model_dump())

    @property
    def clip_samples(self) -> int:
        """16 kHz samples of a clip."""
        return self.clip_ms * 16

    @property
    def window_frames(self) -> int:
        """Frames of the model's input."""
        return self.frontend_config.frames_in(self.clip_samples)


def read_recipe(path: Path) -> tuple[Recipe, str]:
    """Reads and validates a recipe; returns it and its text.

    Raises:
        ConfigError: no such file, not TOML, an unknown or missing key, a value out of range.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: expected a recipe (TOML), found {found}; see recipes/ for examples") from error
    return parse_recipe(text, str(path)), text


def parse_recipe(text: str, where: str) -> Recipe:
    """Validates the text of a recipe; `where` names it in errors. Raises ConfigError."""
    try:
        recipe = Recipe.model_validate(tomllib.loads(text))
        _ = recipe.frontend_config
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: expected TOML, found {error}; correct that line") from error
    except FrontendError as error:
        raise ConfigError(f"{where}: {error}; correct [frontend]") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "recipe"
        found = "nothing" if first["type"] == "missing" else repr(first["input"])[:80]
        raise ConfigError(f"{where}: {key}: {first['msg']}, found {found}; correct or remove the key") from error
    return recipe
