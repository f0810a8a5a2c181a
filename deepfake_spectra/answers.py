"""Real, fake or unsure: which scores are answers, by what was held out from training, and what such answers are worth.

    limits = answer_limits(scores, labels, sources)
    limits.answer(0.93)                                 # "fake", if at most 5 % of the reals of any source score higher
    count_answers([limits.answer(score) for score in scores], labels)

A score is the probability of fake. What is said of it is right, wrong or unsure; whoever says "unsure" of everything is
never wrong, so that what is right of the answers is worth nothing without the share that was answered.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from deepfake_spectra.dataset import CLASS_NAMES, FAKE, REAL
from deepfake_spectra.intervals import wilson_interval

UNSURE = "unsure"
FALSE_ALARM_RATE = 0.05  # of held-out reals, how many may be called fake, unless the user says otherwise
MISS_RATE = 0.05  # of held-out fakes, how many may be called real


class Limits(NamedTuple):
    """Where answers begin: a score is unsure unless it lies on the right side of its limit and of one half."""

    real_below: float  # 0: never
    fake_above: float  # 1: never

    def answer(self, score: float) -> str:
        """Return "real", "fake" or "unsure"."""
        if score >= 0.5:
            return CLASS_NAMES[FAKE] if score > self.fake_above else UNSURE
        return CLASS_NAMES[REAL] if score < self.real_below else UNSURE


class Counts(NamedTuple):
    """How many answers were right and wrong, and how many there were none."""

    right: int
    wrong: int
    unsure: int

    @property
    def n_answers(self) -> int:
        """How many answers were given."""
        return self.right + self.wrong

    @property
    def share_answered(self) -> float:
        """Which share was answered."""
        return self.n_answers / sum(self)

    @property
    def share_right(self) -> float:
        """Which share of the answers was right; NaN where there are none."""
        return self.right / self.n_answers if self.n_answers else np.nan


def answer_limits(
    scores: np.ndarray, labels: np.ndarray, sources: np.ndarray, false_alarm_rate: float = FALSE_ALARM_RATE
) -> Limits:
    """Return the limits at which no source has more than the allowed share of wrong answers.

    Parameters
    ----------
    scores : (n,) float
        Each from a classifier that was not trained on its source, as far as the class has another.
    labels : (n,) REAL or FAKE
    sources : (n,) str
        Each counts by itself, since the next source is nearer to the worst of them than to their mean. A class with one
        source sets no limit: how the next one would score is not known, and the other class is never the answer.
    false_alarm_rate : float
        Share of the reals of any source that may be called fake; MISS_RATE is the share of fakes called real.
    """
    allowed = {REAL: false_alarm_rate, FAKE: MISS_RATE}
    limit_of = {}  # {class: score beyond which no source of it has more than its allowed share}
    for label, sign in ((REAL, -1), (FAKE, 1)):
        names = np.unique(sources[labels == label])
        ordered = (np.sort(sign * scores[(labels == label) & (sources == name)]) for name in names)
        beyond = [own[int(allowed[label] * len(own) + 1e-9)] for own in ordered]
        limit_of[label] = float(sign * min(beyond)) if len(names) > 1 else 1.0 - label
    return Limits(real_below=limit_of[FAKE], fake_above=limit_of[REAL])


def count_answers(answers: Sequence[str], labels: np.ndarray) -> Counts:
    """Return how many of the answers are right, wrong or none."""
    unsure = sum(answer == UNSURE for answer in answers)
    right = sum(answer == CLASS_NAMES[label] for answer, label in zip(answers, labels, strict=True))
    return Counts(right, len(answers) - unsure - right, unsure)


def log_likelihood_ratio_cost(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return Cllr, in bits: 0 where every score is certain and right, 1 where scores say no more than one half.

    Above 1, scores mislead. Both classes weigh a half; NaN where one is missing. Bruemmer, du Preez,
    "Application-independent evaluation of speaker detection" (2006).

    Parameters
    ----------
    scores : (n,) float
        Above 0 and below 1.
    labels : (n,) REAL or FAKE
    """
    costs = -np.log2(np.where(labels == FAKE, scores, 1 - scores))
    return float(np.mean([costs[labels == label].mean() if label in labels else np.nan for label in (REAL, FAKE)]))


def risk_by_coverage(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share that is answered, (n,), and the share of those answers that is wrong, the surest scores first.

    Parameters
    ----------
    scores : (n,) float
    labels : (n,) REAL or FAKE
    """
    order = np.argsort(-np.abs(scores - 0.5), kind="stable")
    wrong = ((scores >= 0.5) != (labels == FAKE))[order]
    n_answers = np.arange(1, len(scores) + 1)
    return n_answers / len(scores), np.cumsum(wrong) / n_answers


def share_text(part: int, n: int, n_independent: int | None = None) -> str:
    """Return "95.0 % (83-99; n 40)", with Wilson's interval of 95 %; of copies, by how many images they are of."""
    if not n:
        return "none"
    low, high = wilson_interval(part / n, min(n, n_independent or n))
    return f"{100 * part / n:.1f} % ({100 * low:.0f}-{100 * high:.0f}; n {n})"
