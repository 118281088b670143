"""Building blocks of the students. All convolve time with VALID padding; shapes are (batch, columns, bins, channels)."""

# Keras and TensorFlow carry no usable types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportArgumentType=false, reportUntypedFunctionDecorator=false
# pyright: reportAttributeAccessIssue=false, reportUntypedBaseClass=false, reportPrivateUsage=false, reportIndexIssue=false
# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false

from typing import Any

import keras
import tensorflow as tf
from keras import ops

BATCH_NORM_MOMENTUM = 0.9
"""0.99, the default, ruins short runs."""


@keras.saving.register_keras_serializable("edge_kws")
class InputConv2D(keras.layers.Layer):
    """First convolution, VALID; its kernel is multiplied by `input_gain` so that it trains at unit scale."""

    def __init__(self, filters: int, kernel_size: tuple[int, int], strides: tuple[int, int], input_gain: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides, self.input_gain = filters, kernel_size, strides, input_gain

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(shape=(*self.kernel_size, input_shape[-1], self.filters), initializer="he_normal", name="kernel")

    def call(self, inputs: Any) -> Any:
        return ops.conv(inputs, self.kernel * self.input_gain, strides=self.strides, padding="valid")

    def get_config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "kernel_size": self.kernel_size, "strides": self.strides, "input_gain": self.input_gain}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("edge_kws")
class DropOldest(keras.layers.Layer):
    """Drops the first `count` columns, so that a skip connection lines up with the newest column of a VALID convolution."""

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        # The gradient of tf.slice is a pad, many times faster than that of a strided slice.
        return tf.slice(inputs, [0, self.count, 0, 0], [-1, -1, -1, -1]) if training else inputs[:, self.count :]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        columns = input_shape[1]
        return (input_shape[0], None if columns is None else columns - self.count, *input_shape[2:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable("edge_kws")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's, trained through TensorFlow's fused kernel, at a fraction of the cost; shapes are (batch, columns, bins, channels).

    The moving variance is that of a sample (divided by n - 1), which makes no difference with the thousands of values of a batch.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training:
            return super().call(inputs, training=False, mask=mask)
        none = tf.zeros(0)
        out, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma.value, offset=self.beta.value, mean=none, variance=none, epsilon=self.epsilon, is_training=True
        )
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1 - self.momentum))
        return out


@keras.saving.register_keras_serializable("edge_kws")
class Rows(keras.layers.Layer):
    """(batch, columns, 1, channels) -> (batch * columns, channels): one row of logits a window."""

    def call(self, inputs: Any) -> Any:
        return ops.reshape(inputs, (-1, inputs.shape[-1]))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], input_shape[-1])


def normalised(x: Any, activation: str | None = "relu") -> Any:
    """Batch normalisation and activation; the converter folds both into the convolution before them."""
    x = FusedBatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=1e-3)(x)
    return keras.layers.Activation(activation)(x) if activation else x


def pointwise(x: Any, channels: int, frequency_stride: int = 1) -> Any:
    """1x1 convolution without bias."""
    return keras.layers.Conv2D(channels, 1, strides=(1, frequency_stride), use_bias=False, kernel_initializer="he_normal")(x)


def depthwise(x: Any, kernel: tuple[int, int]) -> Any:
    """VALID depthwise convolution, stride 1 (TensorFlow trains no unequal strides)."""
    return keras.layers.DepthwiseConv2D(kernel, use_bias=False, depthwise_initializer="he_normal")(x)


def separable(x: Any, channels: int, kernel: tuple[int, int], frequency_stride: int = 1) -> Any:
    """Depthwise then pointwise convolution, each normalised; the stride sits in the pointwise one."""
    return normalised(pointwise(normalised(depthwise(x, kernel)), channels, frequency_stride))


def residual_separable(x: Any, kernel: int) -> Any:
    """Separable convolution over time with a skip connection; `kernel` columns become one."""
    branch = normalised(depthwise(x, (kernel, 1)))
    branch = normalised(pointwise(branch, int(x.shape[-1])), activation=None)
    return keras.layers.Activation("relu")(keras.layers.Add()([branch, DropOldest(kernel - 1)(x)]))


def weighted_time_sum(x: Any) -> Any:
    """Depthwise convolution over all columns, which starts as their mean."""
    columns = int(x.shape[1])
    start = keras.initializers.Constant(1 / columns)
    return keras.layers.DepthwiseConv2D((columns, 1), depthwise_initializer=start)(x)


def classifier(x: Any, classes: int) -> Any:
    """1x1 convolution to logits (batch, classes)."""
    return Rows()(keras.layers.Conv2D(classes, 1)(x))
