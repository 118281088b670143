"""The training loop: AdamW on a cosine, averaged weights, a checkpoint after every epoch."""

# Keras and TensorFlow carry no usable types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportArgumentType=false, reportUntypedFunctionDecorator=false
# pyright: reportAttributeAccessIssue=false, reportUntypedBaseClass=false, reportPrivateUsage=false, reportIndexIssue=false

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConfigError
from edge_kws.pack import TrainingSpan
from edge_kws.training.examples import Examples
from edge_kws.training.history import continued, read_progress, write_progress
from edge_kws.training.recipe import Recipe

WARM_UP_STEPS = 200
_BATCH_NORM_BATCHES = 60
_COUNTING = 0.5
"""Share of a batch's negatives, the hardest, that a wake word learns from in its second half."""


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did: loss, balanced recall on the validation clips (0..1), seconds."""

    epoch: int
    epochs: int
    loss: float
    recall: float
    seconds: float


def train(
    model: Any,
    examples: Examples,
    recipe: Recipe,
    folder: Path,
    validation: tuple[NDArray[np.float32], NDArray[np.int32]],
    report: Callable[[EpochReport], None],
    commit: str,
) -> list[TrainingSpan]:
    """Trains `model` (logits) in place; continues from the checkpoint in `folder` if there is one of the same recipe.

    Returns:
        Which commits trained it: `commit` what was left to do.

    Raises:
        ConfigError: the checkpoint belongs to another recipe.
    """
    import keras
    import tensorflow as tf

    training = recipe.training
    steps = training.epochs * (training.clips_per_epoch // training.batch)
    warm_up = min(WARM_UP_STEPS, steps // 5)
    schedule = keras.optimizers.schedules.CosineDecay(
        training.learning_rate / 20, max(1, steps - warm_up), warmup_target=training.learning_rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=training.weight_decay)
    average = [tf.Variable(weight, trainable=False) for weight in model.trainable_variables]
    optimizer.build(model.trainable_variables)
    classes = len(recipe.labels)

    @tf.function
    def step(features: Any, labels: Any, hard: bool) -> Any:
        target = tf.one_hot(labels, classes) * (1 - training.label_smoothing) + training.label_smoothing / classes
        with tf.GradientTape() as tape:
            losses = tf.nn.softmax_cross_entropy_with_logits(target, model(features, training=True))
            loss = tf.reduce_mean(hardest(losses, labels, _COUNTING) if hard else losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True))
        for mean, weight in zip(average, model.trainable_variables, strict=True):
            mean.assign(mean * training.average_decay + weight * (1 - training.average_decay))
        return loss

    def score(features: NDArray[np.int8]) -> NDArray[np.float32]:
        logits = model(examples.model_input(features), training=False)
        return np.asarray(tf.nn.softmax(logits))[:, -1]

    # model.variables, not the model: a checkpoint of plain lists does not depend on Keras's saving.
    checkpoint = tf.train.Checkpoint(weights=list(_raw(model.variables)), optimizer=list(_raw(optimizer.variables)), average=average)
    first, spans = _resume(checkpoint, folder, recipe)
    for epoch in range(first, training.epochs):
        began, losses = time.monotonic(), []
        hard = score if recipe.task == "wake_word" and epoch >= training.epochs // 2 else None
        for features, labels in examples.batches(epoch, hard):
            losses.append(step(features, labels, hard is not None))
        checkpoint.write(str(folder / "checkpoint"))
        spans = continued(spans, commit, epoch + 1)
        write_progress(folder, epoch + 1, recipe.model_dump_json(), spans)
        recall = balanced_recall(model, validation)
        report(EpochReport(epoch + 1, training.epochs, float(np.mean(losses)), recall, time.monotonic() - began))
    if training.average_decay > 0:
        for mean, weight in zip(average, model.trainable_variables, strict=True):
            weight.assign(mean)
        # The averaged weights see other activations than the last ones did.
        for count, (features, _) in enumerate(examples.batches(training.epochs)):
            model(features, training=True)
            if count == _BATCH_NORM_BATCHES:
                break
    return spans


def hardest(losses: Any, labels: Any, share: float) -> Any:
    """Losses that count: all positives, and the highest `share` of the negatives (class 0); Shrivastava 2016, arXiv:1604.03540.

    Args:
        losses: (batch,) float32.
        labels: (batch,) int32.
        share: of the negatives, 0..1, rounded up.
    """
    import tensorflow as tf

    negative = tf.boolean_mask(losses, labels == 0)
    kept = tf.cast(tf.math.ceil(share * tf.cast(tf.size(negative), tf.float32)), tf.int32)
    return tf.concat([tf.boolean_mask(losses, labels != 0), tf.math.top_k(negative, kept).values], axis=0)


def _raw(variables: Any) -> Any:
    return (variable.value for variable in variables)


def _resume(checkpoint: Any, folder: Path, recipe: Recipe) -> tuple[int, list[TrainingSpan]]:
    progress = read_progress(folder)
    if progress is None:
        return 0, []
    epochs, found, spans = progress
    if found != recipe.model_dump_json():
        raise ConfigError(f"{folder}: holds a checkpoint of another recipe; choose another --out or remove that folder")
    checkpoint.read(str(folder / "checkpoint")).assert_existing_objects_matched()
    return epochs, spans


def balanced_recall(model: Any, validation: tuple[NDArray[np.float32], NDArray[np.int32]]) -> float:
    """Mean of the recalls of the classes present."""
    features, labels = validation
    predicted = np.concatenate(
        [np.argmax(model(features[i : i + 512], training=False), axis=1) for i in range(0, len(features), 512)],
    )
    return float(np.mean([(predicted[labels == label] == label).mean() for label in np.unique(labels)]))
