"""The page of a run: whole and harmless HTML, whatever files are called, that shows what was said of them."""

import hashlib
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import linux_only
from pictures import by_opencv, picture

from deepfake_spectra.answers import UNSURE
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, CLASS_NAMES, FAKE, IMAGE_HEADER, REAL, Feature, SpectrumDataset
from deepfake_spectra.detector_file import Judge
from deepfake_spectra.judgement import Judgement
from deepfake_spectra.report import HEIGHT, REPORT_MARK, STYLE, Report, file_facts

HOSTILE = (
    "<script>alert(1)</script>", '" onload="alert(1)', "' onclick='alert(1)", "</title></style></svg><img src=x>",
    "&lt;b&gt;&amp;", "--><!--", "]]>", "javascript:alert(1)", "new\nline\r\x07", "\u202egpj.exe", "שלום", "\udce9",
)  # fmt: skip
TAGS = set(
    "html head meta title style body main h1 h2 h3 h4 p strong span ul li dl dt dd table caption thead tbody tr th td "
    "a bdi article figure figcaption div svg g use rect polygon polyline path circle".split()
)
ATTRIBUTES = set(
    "lang charset name content http-equiv class id href scope viewbox role aria-label x y cx cy r d width height "
    "points".split()
)
VOID = {"meta"}


class Page(HTMLParser):
    """A page taken apart; every tag must be one of ours, and closed where it was opened."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert tag in TAGS and {name for name, _ in attributes} <= ATTRIBUTES, (tag, attributes)
        assert len(dict(attributes)) == len(attributes)
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open:
            self.texts.append((self.open[-1], text))

    def handle_comment(self, text):
        pytest.fail(f"a comment: {text}")

    def values(self, attribute, tag=None):
        """Return what an attribute is wherever it stands."""
        return [own[attribute] for name, own in self.tags if attribute in own and tag in (None, name)]

    def text(self):
        """Return all that can be read."""
        return "".join(text for tag, text in self.texts if tag != "style")


@pytest.fixture(scope="module")
def judge():
    """Return a judge of 60 spectra of 722 values, two sources of each class."""
    generator = np.random.default_rng(0)
    labels = np.repeat((REAL, FAKE), 30)
    headers = np.zeros(60, IMAGE_HEADER)
    headers["width"], headers["height"], headers["format"] = 64, 48, "PNG"
    dataset = SpectrumDataset(
        spectra=np.linspace(300, 100, 722) + generator.normal(size=(60, 722)) + 0.5 * labels[:, None],
        labels=labels,
        sources=np.repeat(["photos", "<b>&", "gan", '"more'], 15),
        groups=np.arange(60),
        paths=[f"{number}.png" for number in range(60)],
        feature=Feature(n_bins=722),
        headers=headers,
    )
    return Judge("faces_hq", {"kernel": "linear", "C": 1.0}, dataset, "2026-01-01 00:00 UTC", "python <x>", "")


@pytest.fixture(scope="module")
def detector(judge):
    """Return the detector of the judge."""
    return judge.detector(n_threads=1)


@pytest.fixture
def page_of(judge, detector):
    """Return a function that makes the page of judgements, which need a path only."""

    def page_of(*judgements, n_files=None):
        report = Report(detector, len(judgements) if n_files is None else n_files)
        for judgement in judgements:
            report.add(judgement)
        html = report.page(judge, "<judge>", {"SEED": 0, "PATHS": ["not repeated"]})
        assert re.search(REPORT_MARK, html.encode())
        return Page(html)

    return page_of


def said(detector, path, **fields):
    """Return a judgement of the first training spectrum, "real" unless other fields are given."""
    fields = {"verdict": "real", "score": detector.lowest_score} | fields
    return Judgement(path, "image", **{"spectrum": detector.dataset.spectra[0]} | fields)


def test_a_hostile_name_is_text_and_nothing_else(page_of, detector):
    names = [f"folder/{name.replace('/', '∕')}.png" for name in HOSTILE] + [f"<u>/{name}" for name in HOSTILE]
    plain = page_of(*(said(detector, "a.png", warnings=("a",)) for _ in names), *(Judgement("a", "", error="e"),))
    page = page_of(
        *(said(detector, name, warnings=(name,)) for name in names), Judgement(names[0], names[0], error=names[0])
    )
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    for name in names:
        shown = name if name.isprintable() else repr(name)[1:-1]
        assert page.text().count(shown) >= 3 and shown.isprintable()
    assert all("<b>&" in page.text() and text in page.text() for text in ('"more', "<judge>", "python <x>"))


def test_the_page_loads_nothing_runs_nothing_and_its_links_lead_somewhere(page_of, detector):
    page = page_of(*(said(detector, f"http://x/{number}.png") for number in range(3)))
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    assert {"#file-1", "#training", "#limits"} <= set(page.values("href")) <= {f"#{name}" for name in ids}
    assert "default-src 'none'; style-src 'unsafe-inline'" in page.values("content")
    assert not re.search(r"url\(|@import|expression", STYLE)


def test_every_figure_has_a_text_and_every_table_its_headings(page_of, detector):
    page = page_of(said(detector, "a.png"), said(detector, "b.png"))
    figures = [own for tag, own in page.tags if tag == "svg"]
    assert len(figures) == 2 + 2 * 2 and all(own["role"] == "img" and own["aria-label"] for own in figures)
    assert page.values("scope").count("col") == 2 + 4 + 5
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-4]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:]))


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_can_be_read_on_light_dark_and_paper(scheme):
    start = {"light": ":root", "dark": "prefers-color-scheme: dark", "print": "@media print"}[scheme]
    colours = dict(re.findall(r"--(\w+): (#\w+)", STYLE[STYLE.index(start) :].partition("; }")[0]))

    def luminance(colour):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        shares = np.array([int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)])
        linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        return linear @ (0.2126, 0.7152, 0.0722)

    for name in ("ink", "faint", "real", "fake"):
        low, high = sorted((luminance(colours[name]), luminance(colours["paper"])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name  # WCAG 2, level AA


def test_counts_and_scores_are_those_of_the_judgements(page_of, detector):
    page = page_of(
        said(detector, "a.png"),
        said(detector, "b.png", verdict="fake", score=detector.highest_score),
        said(detector, "c.png", verdict=UNSURE, score=0.25, reasons=("score",)),
        said(detector, "d.png", verdict=UNSURE, score=0.25, reasons=("score",)),
        Judgement("e.png", "image", error="empty file"),
    )
    cells = [text for tag, text in page.texts if tag in ("td", "span") or tag == "th"]
    assert cells[2:10] == ["fake", "1", "real", "1", UNSURE, "2", "not judged", "1"]
    assert "unsure, score 0.250" in page.text() and "not judged: empty file" in page.text()
    assert f"score {detector.score_text(detector.lowest_score)}" in page.text()
    assert "was stopped" not in page.text() and "says of 5 files" in page.text()
    assert "was stopped when 1 of 7 files were judged" in page_of(said(detector, "a.png"), n_files=7).text()


def test_what_speaks_for_and_against_an_answer_is_what_the_judgement_holds(page_of, detector):
    text = page_of(said(detector, "a.png")).text()
    assert "the score lies beyond the limits: real below" in text
    assert "size, format, JPEG quality and range of the spectrum are as in training" in text
    unlike = said(detector, "a.png", verdict=UNSURE, score=0.5, reasons=("size", "score"), warnings=("32x32, no",))
    text = page_of(unlike).text()
    assert "beyond the limits" not in text and "are as in training" not in text and "32x32, no" in text
    copied = {"lowest_copy": 0.25, "highest_copy": 0.75}
    text = page_of(said(detector, "a.png", **copied)).text()
    assert "none of its copies falls on the other side of 0.5: 0.250 to 0.750" in text
    page = page_of(said(detector, "a.png", **copied, verdict=UNSURE, reasons=("copies",), flipped_by=("JPEG 60",)))
    assert "copies fall on the other side of 0.5 (JPEG 60): 0.250 to 0.750" in page.text()
    assert "M360 20H1080" in page.values("d")
    video = said(detector, "a.mp4", n_frames=20, n_faces=18, share_fake=0.61)._replace(kind="video")
    assert "; 18 of 20 frames with a face, 61 % of the crops fake" in page_of(video).text()


def test_a_spectrum_is_drawn_where_training_spectra_of_its_values_are(page_of, detector):
    spectra, labels = detector.dataset.spectra, detector.dataset.labels
    medians = [np.median(spectra[labels == label], axis=0) for label in (REAL, FAKE)]
    page = page_of(*(said(detector, name, spectrum=median) for name, median in zip(CLASS_NAMES, medians)))
    real, fake, *of_files = page.values("points", "polyline")
    assert of_files == [real, fake] and real != fake
    middle = page_of(said(detector, "a.png", spectrum=np.mean(medians, axis=0))).values("points", "polyline")[-1]
    points = np.array([point.split(",") for point in middle.split()], dtype=float)
    assert len(points) == 240 and np.all(points[:, 1] == HEIGHT / 2)
    far = page_of(said(detector, "a.png", spectrum=medians[0] + 1e9)).values("points", "polyline")[-1]
    assert far.split()[0] == f"0,-{HEIGHT}"


def test_a_thousand_files_take_a_few_megabytes(page_of, detector, judge):
    report = Report(detector, 1000)
    for _ in range(1000):
        report.add(said(detector, "folder/of/a/file.png", warnings=("a warning of some sixty characters",) * 3))
    assert len(report.page(judge, "judge", {})) < 6e6


def test_the_samples_judge_says_so_above_all(judge, detector, page_of, monkeypatch):
    assert "built-in sample" not in page_of(said(detector, "a.png")).text()
    monkeypatch.setattr(detector.dataset, "origin", BUILT_IN_SAMPLE)
    assert "It is the built-in sample's" in page_of(said(detector, "a.png")).text().partition("How to read")[0]


@linux_only
def test_facts_are_the_files_and_what_cannot_be_read_has_none(tmp_path):
    content = by_opencv(picture(0, (48, 64)), ".jpg")
    (tmp_path / "a.jpg").write_bytes(content)
    facts = {"SHA-256": hashlib.sha256(content).hexdigest(), "Size": f"{len(content):,} bytes"}
    assert file_facts(tmp_path / "a.jpg", "") == facts
    assert file_facts(tmp_path / "a.jpg", "image") == facts | {"Format": "JPEG of quality 95, 64x48"}
    assert file_facts(tmp_path / "a.jpg", "video") == facts | {"Format": "video, .jpg"}
    (tmp_path / "cut.jpg").write_bytes(content[:1])
    assert list(file_facts(tmp_path / "cut.jpg", "image")) == ["SHA-256", "Size"]
    os.mkfifo(tmp_path / "pipe")
    for name in ("nowhere", "pipe", "."):
        assert file_facts(tmp_path / name, "image") == {}


def test_several_faces_of_an_image_are_one_file(detector, page_of):
    page = page_of(*(said(detector, "group.png", face=face) for face in (1, 2)), n_files=1)
    texts = " ".join(text for _, text in page.texts)
    assert "says of 1 file " in texts and "was stopped" not in texts
    assert "group.png#1" in texts and "group.png#2" in texts
