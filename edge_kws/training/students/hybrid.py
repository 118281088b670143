"""Hybrid student: a 2-D separable front collapses frequency, 1-D residual separable blocks follow time.

Every convolution is VALID in time and nothing pools over a fixed length, so the int8 graph can be streamed exactly, and stretched: an
input longer by k time strides gives the k + 1 posteriors that k + 1 whole windows would.
"""

# Keras and TensorFlow carry no usable types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportArgumentType=false, reportUntypedFunctionDecorator=false
# pyright: reportAttributeAccessIssue=false, reportUntypedBaseClass=false, reportPrivateUsage=false, reportIndexIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import keras

INPUT_GAIN = 1 / 8
"""Features are f / 25.6, about 0..37: brought near unit size inside the first kernel, where the converter folds it away."""


class HybridConfig(BaseModel):
    """Widths and kernels of the hybrid student."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: Literal["hybrid"] = "hybrid"
    front_channels: tuple[int, int, int] = Field(default=(16, 32, 48), description="channels of the 2-D layers")
    channels: int = Field(default=72, ge=8, le=256, description="channels of the 1-D blocks")
    kernels: tuple[int, ...] = Field(default=(5, 7, 7, 9), description="time kernel of each 1-D block, in columns of 20 ms")
    dropout: float = Field(default=0.1, ge=0, lt=1)


def build(config: HybridConfig, frames: int, mel_bins: int, classes: int) -> keras.Model:
    """Features (batch, frames, mel_bins, 1) float -> logits (batch, classes)."""
    import keras

    from edge_kws.training.students import layers

    inputs = keras.Input((frames, mel_bins, 1))
    c1, c2, c3 = config.front_channels
    x = layers.InputConv2D(c1, (3, 3), strides=(2, 2), input_gain=INPUT_GAIN)(inputs)
    x = layers.normalised(x)
    x = layers.separable(x, c2, (3, 3), frequency_stride=2)
    x = layers.separable(x, c3, (3, 3), frequency_stride=2)
    # What is left of frequency becomes channels' affair.
    x = layers.separable(x, config.channels, (3, int(x.shape[2])))
    for kernel in config.kernels:
        x = layers.residual_separable(x, kernel)
    # A learned weight for each channel and column in place of a mean: an int8 mean would keep the scale of its largest input.
    x = layers.weighted_time_sum(x)
    x = keras.layers.Dropout(config.dropout)(x)
    return keras.Model(inputs, layers.classifier(x, classes), name="hybrid")
