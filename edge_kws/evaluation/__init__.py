"""Quality of a pack: its exported int8 model through the C front end and, for wake words, the real stream and the C decoder.

    evaluate_clips(pack, [(path, label), ...])            -> ClipResult       keyword packs
    evaluate_wake_word(pack, [path, ...], {stratum: [path, ...]}) -> WakeWordResult

`to_dict()` of a result is what `edge-kws evaluate --json` writes. Rates are shares 0..1, intervals `[low, high]` at 95 %: Wilson for
shares, exact Poisson (Garwood) for false accepts an hour. Keys, stable within `schema_version` 1:

Both: `schema_version`, `task` ("keywords" or "wake_word"), `pack` {name, version, model_sha256}, `runner`; the command adds `data`, the
folder as it was given.

Keywords: `count`, `correct`, `top1`, `top1_interval`, `macro_recall` (over labels with clips), `macro_recall_interval`, `labels`,
`missing_labels`, `per_class` [{label, count, correct, recall | null, interval | null}], `confusion` (rows actual, columns predicted, in
the order of `labels`), `false_commands` of `false_command_clips` (clips of `_unknown_` and `_silence_` taken for a command) with
`false_command_interval`, `float_top1` (null where the float model is not known) and `float_comparison` (null, or {top1, top1_interval,
int8_minus_float, agreement, float_only_correct, int8_only_correct}), `mistakes` [{file, label, predicted, score}].

Wake word: `label`, `decoder` (its settings), `positives`, `negative_hours`; at the pack's own threshold `threshold`, `misses`, `miss_rate`,
`miss_interval`, `false_accepts`, `false_accepts_per_hour`, `false_accepts_interval`; `operating_points` [{key ("pack", "fa_0.5",
"fa_0.1"), threshold, target_per_hour | null, misses, positives, miss_rate, miss_interval, false_accepts, false_accepts_per_hour,
false_accepts_interval, false_accepts_upper (one-sided 95 % bound an hour), false_accepts_by_stratum, claims [{rate_per_hour, proven,
upper_per_hour, text}]}]; `cannot_claim` (sentences); `strata` [{name, files, hours, false_accepts {point key: count},
false_accepts_per_hour, false_accepts_interval, files_accepted, files_accepted_interval}] at the pack's threshold; `det` [{threshold,
misses, miss_rate, false_accepts, false_accepts_per_hour}], thresholds rising; `missed` [{file, level}] and `false_accept_events`
[{file, stratum, time_s, score}] at the pack's threshold. Misses at "fa_*" are optimistic: those thresholds were chosen on these negatives.
"""

from edge_kws.evaluation.clips import ClipResult, FloatRunner, evaluate_clips
from edge_kws.evaluation.wake_word import WakeWordResult, evaluate_wake_word

__all__ = ["ClipResult", "FloatRunner", "WakeWordResult", "evaluate_clips", "evaluate_wake_word"]
