"""DS-CNN (Zhang et al., "Hello Edge", arXiv:1711.07128) in the shape of MLPerf Tiny's keyword benchmark: 64 channels, four blocks.

Its SAME padding sees the edges of the window, so it cannot be streamed exactly: each step runs the whole window.
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


class DsCnnConfig(BaseModel):
    """Width and depth of DS-CNN."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: Literal["ds_cnn"]
    channels: int = Field(default=64, ge=8, le=512)
    blocks: int = Field(default=4, ge=1, le=8)
    dropout: float = Field(default=0.2, ge=0, lt=1)


def build(config: DsCnnConfig, frames: int, mel_bins: int, classes: int) -> keras.Model:
    """Features (batch, frames, mel_bins, 1) float -> logits (batch, classes)."""
    import keras

    from edge_kws.training.students import layers

    inputs = keras.Input((frames, mel_bins, 1))
    # The benchmark's 10 x 4 kernel saw 49 frames of 10 coefficients; on 98 frames of 40 bins the stride is doubled each way.
    x = layers.InputConv2D(config.channels, (10, 8), strides=(4, 4), input_gain=INPUT_GAIN)(inputs)
    x = layers.normalised(x)
    for _ in range(config.blocks):
        x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, depthwise_initializer="he_normal")(x)
        x = layers.normalised(layers.pointwise(layers.normalised(x), config.channels))
    x = keras.layers.AveragePooling2D((int(x.shape[1]), int(x.shape[2])))(x)
    x = keras.layers.Dropout(config.dropout)(x)
    return keras.Model(inputs, layers.classifier(x, classes), name="ds_cnn")
