"""Judgements -> one page of HTML to keep, print and send: it runs nothing and loads nothing, and holds no picture.

    report = Report(detector, n_files)
    report.add(judgement)                   # as they come: of each, only its part of the page is kept
    report.page(judge, name, settings)

Every text is escaped, a stranger's file name above all. A spectrum is drawn as what it differs by from the middle of
the training spectra, since all of them fall alike, and drawn as such look alike at this size.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import numpy as np

from deepfake_spectra.answers import UNSURE
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, CLASS_NAMES, FAKE, REAL
from deepfake_spectra.detector import OUTSIDE, FakeDetector
from deepfake_spectra.detector_file import Judge
from deepfake_spectra.errors import UnreadableImage
from deepfake_spectra.files import SIGNATURE, printable
from deepfake_spectra.image_files import file_content, read_header
from deepfake_spectra.judge_card import NOT_FOR, cost_text, held_out_table, limits_text, training_text
from deepfake_spectra.judgement import Judgement
from deepfake_spectra.packages import versions
from deepfake_spectra.results import PACKAGES, commit

WIDTH, HEIGHT = 1440, 280  # of a figure, in its own units
USE_LIMITS, USE_TRAINING = '<use href="#limits"/>', '<use href="#training"/>'  # drawn once, in the key
MOST_POINTS = 240  # of a curve; of more bins, neighbours are averaged
DOUBT = (
    "When not to believe a verdict: where something is said against it; after a file was saved again, scaled, edited "
    "or sent on; of face swaps; and of generators that the judge was not trained on. A score is never evidence against "
    "anybody."
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # a browser is to load and run nothing, whatever stands here
HEAD = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="{SIGNATURE}">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width">
"""
REPORT_MARK = rb"\A" + HEAD.partition("<meta http")[0].encode()  # see `files.check_outputs`
STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --faint: #5c5c5c; --line: #c8c8c8;
  --real: #0062a0; --fake: #a84300; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #181818; --faint: #a8a8a8; --line: #4a4a4a;
  --real: #6cbcf0; --fake: #f5a05a; } }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --faint: #444; --line: #bbb;
  --real: #0062a0; --fake: #a84300; } article { content-visibility: visible !important; break-inside: avoid; }
  body { max-width: none !important; font-size: 9pt; } svg { print-color-adjust: exact; } }
body { max-width: 52rem; margin: 0 auto; padding: 1rem; font: 1rem/1.45 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); } bdi, dd, li, p { overflow-wrap: anywhere; }
h1, h2, h3, h4 { line-height: 1.2; break-after: avoid; } h3 { margin: 0; font-size: 1.05rem; }
h4 { margin: .3rem 0; font-size: .9rem; } article p { margin: .3rem 0; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 0 1rem; font-size: .9rem; }
article { border-top: 1px solid var(--line); padding: 1rem 0; content-visibility: auto;
  contain-intrinsic-size: auto 25rem; }
table { border-collapse: collapse; font-size: .9rem; } caption { text-align: left; color: var(--faint); }
th, td { text-align: left; vertical-align: top; padding: .15rem 1rem .15rem 0; border-bottom: 1px solid var(--line); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0; font-size: .9rem; }
dt { color: var(--faint); } dd { margin: 0; } ul { margin: .2rem 0; padding-left: 1.2rem; }
figure { margin: .5rem 0; } figcaption { color: var(--faint); font-size: .9rem; }
.doubt { border-left: .3rem solid var(--fake); padding-left: .8rem; } a { color: inherit; }
svg { display: block; width: 100%; height: auto; margin: .3rem 0; overflow: hidden; }
.real { color: var(--real); } .fake { color: var(--fake); } .verdict { font-weight: bold; }
.band { fill: currentColor; fill-opacity: .25; } .file { stroke: var(--ink); }
polyline, path { fill: none; stroke: currentColor; stroke-width: 3; } .fake polyline { stroke-dasharray: 14 8; }
.frame { fill: none; stroke: var(--line); stroke-width: 2; } circle { fill: var(--ink); }
"""


class Report:
    """The page of a run, part by part.

    Parameters
    ----------
    detector : FakeDetector
        Who judges.
    n_files : int
        How many are to be judged; the page says so where it got fewer.
    """

    def __init__(self, detector: FakeDetector, n_files: int):
        self._detector, self._n_files = detector, n_files
        self._n_of, self._lines, self._entries, self._paths = Counter(), [], [], set()
        spectra, labels = detector.dataset.spectra, detector.dataset.labels
        bands = {label: np.quantile(spectra[labels == label], (0.05, 0.5, 0.95), axis=0) for label in (REAL, FAKE)}
        self._middle = np.mean([median for _, median, _ in bands.values()], axis=0)
        self._bands = {label: band - self._middle for label, band in bands.items()}
        self._reach = 1.3 * max(np.abs(band).max() for band in self._bands.values())

    def add(self, judgement: Judgement) -> None:
        """Take a judgement, with its spectrum, and look at its file once more for size, format and SHA-256."""
        number = len(self._entries) + 1
        verdict = judgement.verdict or "not judged"
        self._n_of[verdict] += 1
        self._paths.add(judgement.path)  # an image may have several faces
        score = "" if judgement.error else self._detector.score_text(judgement.score)
        link = f'<a href="#file-{number}">{_name(judgement.name)}</a>'
        self._lines.append(_row([str(number), _said(verdict), escape(score), link]))
        heading = f'<article id="file-{number}">\n<h3>{number}. {_name(Path(judgement.name).name)}</h3>\n'
        said = f"<p>not judged: {_text(judgement.error)}</p>\n" if judgement.error else self._said_of(judgement)
        facts = {"Path": judgement.path} | file_facts(Path(judgement.path), judgement.kind)
        self._entries.append(f"{heading}{said}{_facts(facts)}</article>\n")

    def page(self, judge: Judge, name: str, used: dict) -> str:
        """Return the page.

        Parameters
        ----------
        judge : Judge
        name : str
            Which judge it is, and of when.
        used : dict
            The settings, from `settings.settings_record`.
        """
        n = len(self._paths)
        title = f"What the Fourier spectrum says of {n} file{'s' * (n != 1)}"
        counts = [[_said(verdict), str(self._n_of[verdict])] for verdict in ("fake", "real", UNSURE, "not judged")]
        stopped = f"<p>The run was stopped when {n} of {self._n_files} files were judged.</p>\n" * (n < self._n_files)
        index = _table("All files", ["No.", "Verdict", "Score", "File"], self._lines) if len(self._lines) > 1 else ""
        return (
            f"{HEAD}<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
            f"{stopped}{_table('', ['Verdict', 'Files'], map(_row, counts))}"
            f'<p class="doubt"><strong>{DOUBT}</strong></p>\n'
            f"<p>Judge: {_text(name)}.{self._sample_text()}</p>\n{self._key()}{index}<h2>File by file</h2>\n"
            f"{''.join(self._entries)}{self._judge_section(judge, name, used)}</main>\n</body>\n</html>\n"
        )

    def _said_of(self, judgement):
        """Return verdict, score, figures, and what speaks for and against an answer."""
        detector, score = self._detector, self._detector.score_text(judgement.score)
        frames = ""
        if judgement.kind == "video":
            frames = f"; {judgement.n_faces} of {judgement.n_frames} frames with a face, "
            frames += f"{100 * judgement.share_fake:.0f} % of the crops fake"
        sides = ("For an answer", _for(judgement, detector)), ("Against", _against(judgement, detector))
        if remarks := judgement.remarks:  # what the file says of itself
            sides += (("Remarks, on which no verdict rests", remarks),)
        weighed = "".join(f"<div>\n<h4>{name}</h4>\n{_list(said)}</div>\n" for name, said in sides)
        dot = f'<circle cx="{WIDTH * judgement.score:.0f}" cy="20" r="11"/>'
        curve = f'<polyline class="file" points="{self._points(judgement.spectrum - self._middle)}"/>'
        return (
            f"<p>{_said(judgement.verdict)}, score {escape(score)}{frames}</p>\n"
            f"{_svg(40, f'score {score}, from 0, real, to 1, fake', USE_LIMITS + _copies_line(judgement) + dot)}"
            f"{_svg(HEIGHT, 'its spectrum over those of training', USE_TRAINING + curve)}"
            f'<div class="sides">\n{weighed}</div>\n'
        )

    def _key(self):
        """Return both figures without a file: what they show, and what the others refer to."""
        from deepfake_spectra.plots import frequency_axis, spectrum_label

        x, x_label = frequency_axis(self._detector.dataset)
        limits = (
            f"The score, from 0 to 1 (probability of fake): {_limits_text(self._detector.limits)}. A dot is a file, "
            "a line through it the span of its copies."
        )
        training = (
            "Spectra of training, real (blue, solid) and fake (orange, broken): median and 5 to 95 %. Over them, black "
            f"or white, a file. Across: {x_label}, {x[0]:.3g} to {x[-1]:.3g}. Up: "
            f"{spectrum_label(self._detector.dataset.spectra)}, less the middle of both medians, {-self._reach:.3g} to "
            f"{self._reach:.3g}; what leaves the frame lies further out."
        )
        return (
            "<h2>How to read the figures</h2>\n"
            f"<figure>\n{_svg(40, 'where answers begin', self._limits())}<figcaption>{_text(limits)}</figcaption>\n"
            f"</figure>\n<figure>\n{_svg(HEIGHT, 'spectra of training', self._training())}"
            f"<figcaption>{_text(training)}</figcaption>\n</figure>\n"
        )

    def _limits(self):
        """Return the scale of the score with the answers on it, for SVG."""
        limits = self._detector.limits
        real, fake = WIDTH * min(0.5, limits.real_below), WIDTH * max(0.5, limits.fake_above)
        zones = (1, WIDTH - 2, "frame"), (0, real, "real band"), (fake, WIDTH - fake, "fake band")
        drawn = (f'<rect class="{of}" x="{x:.0f}" y="8" width="{width:.0f}" height="24"/>' for x, width, of in zones)
        return f'<g id="limits">{"".join(drawn)}</g>'

    def _training(self):
        """Return the training spectra, for SVG."""
        drawn = f'<rect class="frame" x="1" y="1" width="{WIDTH - 2}" height="{HEIGHT - 2}"/>'
        for label, (low, median, high) in self._bands.items():
            around = f"{self._points(low)} {' '.join(reversed(self._points(high).split()))}"
            drawn += f'<g class="{CLASS_NAMES[label]}"><polygon class="band" points="{around}"/>'
            drawn += f'<polyline points="{self._points(median)}"/></g>'
        return f'<g id="training">{drawn}</g>'

    def _judge_section(self, judge, name, used):
        """Return the judge's card, and what made the page."""
        detector = self._detector
        caption, headings, lines = held_out_table(detector)
        rows = (_row([_text(cell) for cell in line]) for line in lines)
        made = {"Judge": name, "Made by": judge.command, "Of commit": judge.commit or "unknown"}
        page_made = {
            "This page": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "Commit": commit() or "unknown",
            "Versions": ", ".join(f"{package} {version}" for package, version in versions(*PACKAGES).items()),
            "Settings": ", ".join(f"{key} {value}" for key, value in used.items() if key != "PATHS"),
        }
        card = [*training_text(detector).splitlines(), limits_text(detector), cost_text(detector), NOT_FOR]
        return (
            f"<h2>The judge</h2>\n{_facts(made)}{_list(card)}{_table(caption, headings, rows)}"
            f"<h2>How this page was made</h2>\n{_facts(page_made)}"
        )

    def _points(self, deviation):
        """Return the points of a curve, (n_bins,), for SVG."""
        parts = np.array_split(deviation, min(MOST_POINTS, len(deviation)))
        y = HEIGHT / 2 * (1 - np.array([part.mean() for part in parts]) / self._reach)
        x = np.linspace(0, WIDTH, len(parts))
        return " ".join(f"{across:.0f},{down:.0f}" for across, down in zip(x, np.clip(y, -HEIGHT, 2 * HEIGHT)))

    def _sample_text(self):
        """Return a warning where the judge is the built-in sample's."""
        is_sample = self._detector.dataset.origin is BUILT_IN_SAMPLE
        return " <strong>It is the built-in sample's: it shows how this works, and knows no faces.</strong>" * is_sample


def file_facts(path: Path, kind: str) -> dict[str, str]:
    """Return size, SHA-256 and format of a file, as far as it can be read; of a video, its ending."""
    facts = {}
    with suppress(OSError, UnreadableImage):
        if path.is_file():  # a pipe would be waited for
            with path.open("rb") as file:
                facts["SHA-256"] = hashlib.file_digest(file, "sha256").hexdigest()
                facts["Size"] = f"{file.tell():,} bytes"
        if kind == "video":
            facts["Format"] = f"video, {path.suffix.lower()}"
        elif kind == "image":
            header = read_header(file_content(path))[0]
            quality = f" of quality {header['jpeg_quality']}" if header["jpeg_quality"] else ""
            facts["Format"] = f"{header['format']}{quality}, {header['width']}x{header['height']}"
    return facts


def _for(judgement, detector):
    """Return what speaks for an answer."""
    said = []
    if "score" not in judgement.reasons:
        said.append(f"the score lies beyond the limits: {_limits_text(detector.limits)}")
    if not {*OUTSIDE, "kind"} & {*judgement.reasons}:
        whose = "of most of its crops " if judgement.kind == "video" else ""
        said.append(f"size, format, JPEG quality and range of the spectrum {whose}are as in training")
    if judgement.lowest_copy is not None and not judgement.flipped_by:
        said.append(f"none of its copies falls on the other side of 0.5: {_span(judgement, detector)}")
    return said


def _against(judgement, detector):
    """Return what speaks against an answer."""
    said = [*judgement.warnings]
    if judgement.flipped_by:
        copies = ", ".join(judgement.flipped_by)
        said.append(f"copies fall on the other side of 0.5 ({copies}): {_span(judgement, detector)}")
    return said


def _span(judgement, detector):
    """Return the span of the scores of a file and its copies."""
    return " to ".join(map(detector.score_text, (judgement.lowest_copy, judgement.highest_copy)))


def _limits_text(limits):
    """Return where answers begin."""
    real = f"real below {min(0.5, limits.real_below):.3f}" if limits.real_below > 0 else "never real"
    fake = f"fake above {max(0.5, limits.fake_above):.3f}" if limits.fake_above < 1 else "never fake"
    return f"{real}, {fake}, else unsure"


def _copies_line(judgement):
    """Return a line from the lowest to the highest score of a file's copies, for SVG."""
    if judgement.lowest_copy is None:
        return ""
    low, high = (f"{WIDTH * score:.0f}" for score in (judgement.lowest_copy, judgement.highest_copy))
    return f'<path class="file" d="M{low} 20H{high}"/>'


def _text(text):
    """Return a text on one line, for HTML."""
    return escape(printable(str(text)))


def _name(name):
    """Return a file's name, which may be written from right to left, for HTML."""
    return f"<bdi>{_text(name)}</bdi>"


def _said(verdict):
    """Return a verdict in its colour."""
    return f'<span class="verdict {escape(verdict)}">{escape(verdict)}</span>'


def _svg(height, label, content):
    """Return a figure of what is drawn, with a text for those who cannot see it."""
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_text(label)}">{content}</svg>\n'


def _list(texts):
    """Return texts as a list; "nothing" where there are none."""
    items = "".join(f"<li>{_text(text)}</li>\n" for text in texts or ["nothing"])
    return f"<ul>\n{items}</ul>\n"


def _facts(facts):
    """Return {what: text} as a list of both."""
    items = "".join(f"<dt>{_text(what)}</dt><dd>{_text(text)}</dd>\n" for what, text in facts.items())
    return f"<dl>\n{items}</dl>\n"


def _row(cells: Sequence[str]) -> str:
    """Return HTML texts as a row, the first cell being what it is of."""
    first, *others = cells
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>\n'


def _table(caption: str, headings: Sequence[str], rows: Iterable[str]) -> str:
    """Return rows under their headings."""
    heads = "".join(f'<th scope="col">{_text(heading)}</th>' for heading in headings)
    captioned = f"<caption>{_text(caption)}</caption>\n" if caption else ""
    return f"<table>\n{captioned}<thead>\n<tr>{heads}</tr>\n</thead>\n<tbody>\n{''.join(rows)}</tbody>\n</table>\n"
