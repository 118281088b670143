"""The HTML report: one well-formed file that loads nothing, says what was measured, and shows hostile names as text."""

from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from edge_kws.evaluation.clips import ClipResult, FloatComparison, Mistake
from edge_kws.evaluation.operating_points import Track
from edge_kws.evaluation.report import percent, rate, render_report, top_confusions
from edge_kws.evaluation.wake_word import WakeWordResult, judge
from tests.golden.loudness_pack import loudness_pack

VOID = {"meta", "link", "br", "img", "hr", "input"}
IDENTITY = {"name": "tiny", "version": "1", "model_sha256": "0" * 64}


class Page(HTMLParser):
    """Checks that tags nest, and collects what a reader and a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "data", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def clip_result(labels: tuple[str, ...] = ("_silence_", "_unknown_", "yes", "no"), floating: FloatComparison | None = None) -> ClipResult:
    confusion = np.array([[30, 0, 0, 0], [1, 20, 4, 0], [0, 2, 38, 3], [0, 0, 0, 0]], np.int64)
    return ClipResult(IDENTITY, labels, confusion, (Mistake("yes/a.wav", "yes", "no", 0.97),), floating)


def wake_word_result(heard: int = 3, waking: int = 2) -> WakeWordResult:
    pack = loudness_pack()

    def track(name: str, stratum: str, peak: int, seconds: float) -> Track:
        posteriors = np.full((60, 2), -128, np.int8)
        posteriors[20:30, 1] = peak - 128
        return Track(name, stratum, posteriors, 5, seconds)

    positives = [track(f"loud/{index}.wav", "", 240 if index < heard else 90, 1.0) for index in range(5)]
    negatives = [track(f"talk/{index}.wav", "talk" if index % 2 else "music", 200 if index < waking else 40, 1800.0) for index in range(8)]
    return judge(pack, positives, negatives)


def svgs(page: str) -> list[ET.Element]:
    return [ET.fromstring("<svg" + part.split("</svg>")[0] + "</svg>") for part in page.split("<svg")[1:]]


def test_keywords_report_is_whole_and_alone() -> None:
    text = render_report(clip_result(floating=FloatComparison(90, 95, 3, 1)), "recordings")
    page = Page(text)
    assert page.links == []
    assert "url(http" not in text
    assert "script" not in page.tags
    for words in ("Top-1", "89.8 %", "Confusion matrix", "no: nothing is known about them", "int8 against float", "yes/a.wav"):
        assert words in page.text, words
    (matrix,) = svgs(text)
    assert matrix.get("role") == "img"
    assert "88 of 98 clips lie on the diagonal" in (matrix.findtext("desc") or "")
    counts = {element.text for element in matrix.iter("text")}
    assert {"30", "20", "38", "4", "yes"} <= counts


def test_wake_word_report_is_whole_and_alone() -> None:
    text = render_report(wake_word_result(), "recordings")
    page = Page(text)
    assert [link for link in page.links if link] == []
    for words in ("40.0 %", "0.50", "cannot claim 0.1 FA/h", "Negatives by kind", "music", "talk/1.wav", "loud/4.wav"):
        assert words in page.text, words
    (curve,) = svgs(text)
    assert "pack's own: 40.0 % missed and 0.50 false accepts an hour" in (curve.findtext("desc") or "")


@pytest.mark.parametrize(("heard", "waking"), [(5, 0), (0, 0), (0, 8), (5, 8)])
def test_extreme_results_can_be_drawn(heard: int, waking: int) -> None:
    text = render_report(wake_word_result(heard, waking), "recordings")
    Page(text)
    (curve,) = svgs(text)
    numbers = [
        float(value) for element in curve.iter() for name, value in element.attrib.items() if name in {"x1", "x2", "cx", "cy", "y1", "y2"}
    ]
    assert np.isfinite(numbers).all()
    assert min(numbers) >= 0
    assert max(numbers) <= 660


def test_all_labels_perfect_can_be_drawn() -> None:
    Page(render_report(ClipResult(IDENTITY, ("yes", "no"), np.diag([900, 900]).astype(np.int64), (), None), "recordings"))


def test_names_are_text_never_markup() -> None:
    evil = "<script>alert(1)</script>"
    text = render_report(clip_result(labels=("_silence_", "_unknown_", evil, "&quot;")), evil)
    assert evil not in text
    assert evil in Page(text).text


def test_top_confusions_are_ordered() -> None:
    assert top_confusions(clip_result()) == [
        ("_unknown_", "yes", 4, 25),
        ("yes", "no", 3, 43),
        ("yes", "_unknown_", 2, 43),
        ("_unknown_", "_silence_", 1, 25),
    ]


def test_numbers_for_people() -> None:
    assert percent(0.93412) == "93.4 %"
    assert [rate(value) for value in (0, 0.049, 0.5, 12.34, 345.6)] == ["0", "0.05", "0.50", "12.3", "346"]


def test_the_template_is_packaged_beside_the_code() -> None:
    from edge_kws.evaluation import report

    assert (Path(report.__file__).parent / report.TEMPLATE).is_file()
