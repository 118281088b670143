"""Recordings as the device hears them: quiet room noise before and after, through the C front end, from reset.

A recording cut out of its surroundings meets a front end and a decoder that know no past. On a device there always is one; the
lead-in gives noise reduction and gain control something to adapt to, fills the model's window and the decoder's average.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_kws.evaluation.operating_points import Track
from edge_kws.events import SAMPLE_RATE_HZ
from edge_kws.frontend import Frontend, FrontendConfig
from edge_kws.pack import Pack
from edge_kws.runners.choose import open_runner

QUIET_DBFS = -60.0
"""RMS level of the noise around recordings: a quiet room."""
NOISE_SEED = 20_260_101
"""Every recording gets the same noise, so a result does not depend on which files were evaluated with it."""
CONTEXT_SECONDS = 2.0
"""What a front end with memory hears before a recording."""
TAIL_SECONDS = 0.5
"""What follows a recording: time for the decoder's average to rise on a word that ends with its file."""

Progress = Callable[[int], None]
"""Called with the number of recordings finished since the last call."""

Item = TypeVar("Item")
Result = TypeVar("Result")
State = TypeVar("State")


def quiet_noise(samples: int, seed: int = NOISE_SEED) -> NDArray[np.int16]:
    """White Gaussian noise (samples,) int16 at QUIET_DBFS, the same for the same seed."""
    rms = 32768.0 * 10.0 ** (QUIET_DBFS / 20.0)
    return np.rint(np.random.default_rng(seed).normal(0.0, rms, samples)).astype(np.int16)


def window_samples(config: FrontendConfig, window_frames: int) -> int:
    """Samples that give exactly `window_frames` frames: 16,000 for 98 frames of 30 ms every 10 ms."""
    return config.frame_end(window_frames - 1)


def whole_hops(config: FrontendConfig, samples: int) -> int:
    """`samples` rounded up to whole hops, so that what follows starts on a frame boundary."""
    return math.ceil(samples / config.hop_samples) * config.hop_samples


def in_parallel(
    make_state: Callable[[], State],
    work: Callable[[State, Item], Result],
    items: Sequence[Item],
    workers: int,
    progress: Progress | None = None,
) -> list[Result]:
    """`work(state, item)` for each item, results in order; each thread has a state (front end, runner) of its own.

    The native code that does the work releases the GIL. The first error stops the rest.
    """
    if workers <= 1 or len(items) < 2:
        return list(_counted((work(state, item) for state in [make_state()] for item in items), progress))
    threads = local()

    def one(item: Item) -> Result:
        if not hasattr(threads, "state"):
            threads.state = make_state()
        return work(threads.state, item)

    with ThreadPoolExecutor(workers) as pool:
        try:
            return list(_counted(pool.map(one, items), progress))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _counted(results: Iterable[Result], progress: Progress | None) -> Iterator[Result]:
    for result in results:
        if progress is not None:
            progress(1)
        yield result


class Streamer:
    """Runs recordings as the device would hear them; one per thread."""

    def __init__(self, pack: Pack) -> None:
        self._runner = open_runner(pack.model, pack.inference_stride_hops)
        self._frontend = Frontend(pack.frontend)
        self._stride = pack.inference_stride_hops
        self.lead_in = lead_in(pack)
        self._tail = quiet_noise(round(TAIL_SECONDS * SAMPLE_RATE_HZ), NOISE_SEED + 1)
        self._first_step = _first_step_after(pack, self.lead_in.size)

    def track(self, name: str, stratum: str, blocks: Iterable[NDArray[np.int16]]) -> Track:
        """Posteriors of lead-in, recording (16 kHz mono int16 blocks of any size) and tail, from reset."""
        self._frontend.reset()
        samples = 0
        features = list(self._frontend.process(self.lead_in))
        for block in blocks:
            samples += block.size
            features += self._frontend.process(block)
        features += self._frontend.process(self._tail)
        posteriors = self._runner.scan(np.concatenate(features), self._stride)
        return Track(name, stratum, posteriors, self._first_step, samples / SAMPLE_RATE_HZ)


def lead_in(pack: Pack) -> NDArray[np.int16]:
    """The noise (samples,) int16 before every recording: fills the model's window and the decoder's average, at least CONTEXT_SECONDS."""
    filled = window_samples(pack.frontend, pack.window_frames + pack.inference_stride_hops * pack.decoder.average_window)
    return quiet_noise(whole_hops(pack.frontend, max(filled, round(CONTEXT_SECONDS * SAMPLE_RATE_HZ))))


def step_end(pack: Pack, step: int) -> int:
    """Sample position, since reset, one past the window of inference `step`: where an event of that step ends."""
    return pack.frontend.frame_end(pack.window_frames - 1 + step * pack.inference_stride_hops)


def _first_step_after(pack: Pack, position: int) -> int:
    """The first inference step whose window ends after `position`."""
    step = 0
    while step_end(pack, step) <= position:
        step += 1
    return step
