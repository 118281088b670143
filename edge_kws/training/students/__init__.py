"""Student families: one module each, one row here."""

# Keras and TensorFlow carry no usable types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportArgumentType=false, reportUntypedFunctionDecorator=false
# pyright: reportAttributeAccessIssue=false, reportUntypedBaseClass=false, reportPrivateUsage=false, reportIndexIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_kws.training.students import ds_cnn, hybrid

if TYPE_CHECKING:
    import keras


def build_student(config: hybrid.HybridConfig | ds_cnn.DsCnnConfig, frames: int, mel_bins: int, classes: int) -> keras.Model:
    """Features (batch, frames, mel_bins, 1) float -> logits (batch, classes), untrained."""
    if isinstance(config, hybrid.HybridConfig):
        return hybrid.build(config, frames, mel_bins, classes)
    return ds_cnn.build(config, frames, mel_bins, classes)
