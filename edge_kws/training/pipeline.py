"""The build flow on one screen: recipe -> material -> trained student -> int8 -> measured pack."""

# Keras and TensorFlow carry no usable types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportArgumentType=false, reportUntypedFunctionDecorator=false
# pyright: reportAttributeAccessIssue=false, reportUntypedBaseClass=false, reportPrivateUsage=false, reportIndexIssue=false

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.data.features import AMPLITUDE_UNIT, mel_store
from edge_kws.pack import Golden, Provenance, TrainingSpan, build_pack
from edge_kws.training.examples import Examples
from edge_kws.training.history import commit_at_hand
from edge_kws.training.loop import EpochReport, train
from edge_kws.training.material import Prepared, Say, prepare
from edge_kws.training.measurement import decoder_config, measured_clips, measured_wake_word, with_keyword_threshold
from edge_kws.training.recipe import UNKNOWN, Recipe

CALIBRATION_WINDOWS = 400
GOLDEN_WINDOWS = 1
_VALIDATION_CLIPS = 120


def run(recipe: Recipe, text: str, root: Path, out: Path, cache: Path, say: Say) -> Path:
    """Trains, quantises and measures; returns the pack's path, `out`/NAME.tflite. Interrupted, it continues when run again.

    Args:
        recipe: what to do.
        text: its TOML, kept in the pack.
        root: folder of the data sets.
        out: folder of checkpoints and the pack.
        cache: folder of the feature cache.
        say: takes progress, a line at a time.

    Raises:
        ConfigError: data that is missing or unfit.
        QuantizationError: the model could not be quantised.
    """
    commit = commit_at_hand()  # of the code that runs: the checkout may be another when training ends
    prepared = prepare(recipe, root, cache, say)
    import keras  # takes seconds: data that is missing is told before

    from edge_kws.training.students import build_student

    out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(recipe.seed)
    examples = Examples(recipe, prepared.training)
    model = build_student(recipe.student, recipe.window_frames, recipe.frontend.mel_bins, len(recipe.labels))
    say(f"student {recipe.student.family}: {model.count_params()} parameters; checkpoints in {out}")
    validation = validation_set(recipe, prepared, examples, cache)
    trained = train(model, examples, recipe, out, validation, lambda report: say(_line(report)), commit)
    model.save_weights(out / "student.weights.h5")
    return export(model, recipe, text, prepared, examples, out, say, _provenance(recipe, commit, trained))


def export(
    model: Any, recipe: Recipe, text: str, prepared: Prepared, examples: Examples, out: Path, say: Say, provenance: Provenance
) -> Path:
    """Quantises a trained student, chooses the threshold on validation data, measures on test data and writes the pack."""
    from edge_kws_quantization.compare import compare_layers
    from edge_kws_quantization.ptq import cost, quantise

    labels = np.arange(CALIBRATION_WINDOWS, dtype=np.int32) % len(recipe.labels)
    windows = examples.features(labels, np.random.default_rng([recipe.seed, 1]), None)
    int8 = quantise(model, windows, recipe.frontend_config)
    exact = _float_tflite(model)
    (out / f"{recipe.name}.float.tflite").write_bytes(exact)  # `edge-kws evaluate` compares with it
    for row in sorted(compare_layers(exact, int8, windows[:32], recipe.frontend_config), key=lambda row: row.sqnr_db)[:3]:
        say(f"  worst layers: {row.index} {row.operator} {row.shape}: {row.sqnr_db:.1f} dB signal to quantisation noise")
    parameters, macs_window, macs_hop = cost(int8)
    say(f"int8: {len(int8)} bytes, {parameters} parameters, {macs_window} MAC a window, {macs_hop:.0f} a hop when streamed")

    pack = build_pack(
        int8,
        Golden.record(int8, windows[-GOLDEN_WINDOWS:]),
        name=recipe.name,
        version=recipe.version,
        description=recipe.description,
        task=recipe.task,
        labels=recipe.labels,
        frontend=recipe.frontend_config,
        decoder=decoder_config(recipe, recipe.decoder.threshold or 0.5),
        inference_stride_hops=recipe.inference_stride_hops,
        parameters=parameters,
        macs_per_window=macs_window,
        macs_per_hop=macs_hop,
        ledger=prepared.ledger,
        license=recipe.license,
        recipe=text,
        provenance=provenance,
    )
    if recipe.task == "wake_word":
        pack = measured_wake_word(pack, recipe, prepared, say)
    else:
        if recipe.decoder.threshold is None:
            pack = with_keyword_threshold(pack, recipe, prepared, say)
        pack = measured_clips(pack, model, prepared, say)
    path = pack.write(out / f"{recipe.name}.tflite")
    say(f"pack: {path}, {path.stat().st_size} bytes; next: edge-kws inspect {path}")
    return path


def validation_set(recipe: Recipe, prepared: Prepared, examples: Examples, cache: Path) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A class-balanced part of the validation clips, completed from pictures where a word has few: (features, labels)."""
    random = np.random.default_rng(recipe.seed)
    index = {label: i for i, label in enumerate(recipe.labels)}
    room = dict.fromkeys(index, _VALIDATION_CLIPS)
    chosen: list[tuple[int, int]] = []
    for row in random.permutation(len(prepared.validation)):
        label = prepared.validation[row].label if prepared.validation[row].label in index else UNKNOWN
        if room[label]:
            room[label] -= 1
            chosen.append((int(row), index[label]))
    paths = [prepared.validation[row].path for row, _ in chosen]
    store = mel_store(paths, recipe.frontend_config, cache, clip_samples=recipe.clip_samples)
    clips = [store.frames(i) for i in range(len(store))]
    labels = [label for _, label in chosen]
    for row in random.permutation(len(prepared.validation_picture_labels)):
        label = prepared.validation_picture_labels[row]
        if prepared.validation_pictures is not None and room.get(label):
            room[label] -= 1
            clips.append(prepared.validation_pictures[row])
            labels.append(index[label])
    features = examples.quantised(np.stack(clips).astype(np.float32) * AMPLITUDE_UNIT)
    return examples.model_input(features), np.array(labels, np.int32)


def _line(report: EpochReport) -> str:
    return (
        f"epoch {report.epoch}/{report.epochs}  loss {report.loss:.3f}  balanced recall {100 * report.recall:.1f} %  {report.seconds:.0f} s"
    )


def _float_tflite(model: Any) -> bytes:
    import keras
    import tensorflow as tf

    inputs = keras.Input(batch_shape=(1, *model.inputs[0].shape[1:]))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, keras.layers.Softmax()(model(inputs))))
    return bytes(converter.convert())


def _provenance(recipe: Recipe, commit: str, trained: list[TrainingSpan]) -> Provenance:
    tools = {"python": platform.python_version(), **{name: version(name) for name in ("keras", "numpy", "ai-edge-litert")}}
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Provenance(commit=commit, training=trained, seed=recipe.seed, created=created, tool_versions=tools)
