"""What a judge is, what its answers were worth on what it had not seen, and what it must not be used for, as text.

Nothing of this is claimed by the judge's file: all numbers are measured anew, by fits to the spectra in it.
"""

from collections.abc import Iterator

import numpy as np

from deepfake_spectra.answers import UNSURE, Counts, count_answers, log_likelihood_ratio_cost, share_text
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, CLASS_NAMES, FAKE, REAL
from deepfake_spectra.detector import MANY_SIZES, FakeDetector
from deepfake_spectra.files import printable
from deepfake_spectra.tables import markdown_table

NOT_FOR = (
    "not for: sources, qualities and sizes that are not named above; face swaps; pictures that were edited, "
    "photographed from a screen or sent on; and never as evidence against anybody"
)


def training_text(detector: FakeDetector) -> str:
    """Return what a detector was trained on, how an image comes to it, and what a score is, a line each."""
    dataset = detector.dataset
    is_sample = dataset.origin is BUILT_IN_SAMPLE
    sample = " on the built-in sample, which shows how it works and knows no faces" if is_sample else ""
    sources = ", ".join(f"{name} {n}" for name, n in dataset.counts().items())
    crop = "the middle third of each face crop" if dataset.feature.crop == "centre_third" else "the whole image"
    length = f"{dataset.feature.n_bins} values{', divided by the first' if dataset.feature.normalise else ''}"
    classifier = ", ".join(f"{name} {value}" for name, value in detector.classifier.items())
    stopped = "" if detector.has_converged else "; the fit was stopped before its end, a smaller C would help"
    right = " and ".join(
        f"{detector.n_right[label]} of {detector.n_held_out[label]} {CLASS_NAMES[label]}" for label in (REAL, FAKE)
    )
    return (
        f"trained: {detector.experiment}{sample}: SVM ({classifier}) on {sources}{stopped}\n"
        f"any size: the spectrum of {crop} (never resized) is resampled to {length}\n"
        f"score: probability of fake, Platt scaling on decision values held out in {detector.n_folds} folds; there "
        f"{right} images fall on the right side of 0.5"
    )


def limits_text(detector: FakeDetector) -> str:
    """Return where answers begin, and how many of the held-out images lie beyond, on one line."""
    low, high = min(0.5, detector.limits.real_below), max(0.5, detector.limits.fake_above)
    answers = np.array([detector.limits.answer(score) for score in detector.held_out_scores])
    said = {REAL: f"fake above {high:.3f}", FAKE: f"real below {low:.3f}"}
    for label, name in enumerate(CLASS_NAMES):
        if len(detector.dataset.sources_of(label)) > 1:
            said[label] += f", where {_most_beyond(detector, label, answers == CLASS_NAMES[1 - label])} lie"
        else:
            said[label] = f"never {CLASS_NAMES[1 - label]}, since a second {name} source is needed to set a limit"
    if high >= detector.highest_score:
        said[REAL] = f"never fake, since no score is above {detector.highest_score:.3f}, as of held-out reals"
    if low <= detector.lowest_score:
        said[FAKE] = f"never real, since no score is below {detector.lowest_score:.3f}, as of held-out fakes"
    return f"answers: {said[REAL]}; {said[FAKE]}; else unsure"


def card(detector: FakeDetector) -> str:
    """Return what the answers of a detector were worth on held-out images, by source and by kind of file."""
    caption, headings, lines = held_out_table(detector)
    return f"{caption}\n\n{markdown_table(headings, lines)}\n\n{cost_text(detector)}\n{NOT_FOR}"


def held_out_table(detector: FakeDetector) -> tuple[str, list[str], list[list[str]]]:
    """Return what was held out, and how many answers were right, wrong and none: caption, headings and lines."""
    dataset = detector.dataset
    answers, labels = np.array(detector.held_out_answers()), dataset.labels
    answered = answers != UNSURE
    left_out = ", ".join(map(printable, detector.sources_left_out))
    of_others = "images" if len(detector.sources_left_out) < len(dataset.counts()) else ""
    how = " and ".join(filter(None, (left_out and f"each of {left_out} as a whole", of_others)))
    lines = [
        [name, *map(str, counts), share_text(counts.right, counts.n_answers, n_independent)]
        for name, chosen in _parts(dataset)
        for counts in [count_answers(answers[chosen], labels[chosen])]
        for n_independent in [_n_independent(dataset, chosen & answered)]
    ]
    return f"held out: {how}", ["held out", *Counts._fields, "right of the answers"], lines


def cost_text(detector: FakeDetector) -> str:
    """Return what the held-out scores cost, and what that means."""
    cost = log_likelihood_ratio_cost(detector.held_out_scores, detector.dataset.labels)
    return f"Cllr: {cost:.2f} (0: scores certain and right; 1: worth as much as a coin)"


def _most_beyond(detector, label, beyond):
    """Return "3.3 % (1-17; n 30) of the held-out real images of ffhq" for the source of which most are beyond."""
    dataset = detector.dataset
    own = {name: (dataset.sources == name) & (dataset.labels == label) for name in dataset.sources_of(label)}
    worst = max(own, key=lambda name: beyond[own[name]].mean())
    n_beyond, n = np.count_nonzero(beyond & own[worst]), np.count_nonzero(own[worst])
    share = share_text(n_beyond, n, _n_independent(dataset, own[worst]))
    return f"{share} of the held-out {CLASS_NAMES[label]} images of {printable(worst)}"


def _parts(dataset) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (what, which rows): each source, each kind of file that both classes have, and all."""
    for label in (REAL, FAKE):
        for name in dataset.sources_of(label):
            yield f"{CLASS_NAMES[label]}: {printable(name)}", dataset.sources == name
    kinds = np.array([_kind(header) for header in dataset.headers])
    of_both = set(kinds[dataset.labels == REAL]) & set(kinds[dataset.labels == FAKE])
    for kind in sorted(of_both) if len(of_both) <= MANY_SIZES else ():
        yield kind, kinds == kind
    yield "all", np.ones(len(dataset), dtype=bool)


def _kind(header):
    """Return "JPEG 75" or "PNG", with the size."""
    quality = f" {header['jpeg_quality']}" if header["jpeg_quality"] else ""
    return f"{header['format']}{quality}, {header['width']}x{header['height']}"


def _n_independent(dataset, chosen):
    """Return of how many independent images, photographs or videos some rows are."""
    return len(np.unique(dataset.kept_together[chosen]))
