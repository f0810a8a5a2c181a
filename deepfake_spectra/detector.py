"""Labelled spectra -> a detector that gives probabilities, says why, and says when it should not be believed.

    detector = FakeDetector(dataset, "faces_hq", {"kernel": "linear", "C": 1.0})
    detector.score(spectrum)                # probability of fake, as far as the held-out images can tell
    detector.warnings(spectrum, header)     # in what the image is unlike those that were trained on
    detector.answer(score, warnings)        # "real", "fake" or "unsure", and why unsure
    detector.evidence(spectrum)             # what each bin contributed

scikit-learn is loaded when a detector is made, so that `--help` of a script answers at once.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from deepfake_spectra.answers import FALSE_ALARM_RATE, UNSURE, answer_limits
from deepfake_spectra.dataset import CLASS_NAMES, FAKE, REAL, SpectrumDataset
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.measurement import feature_of
from deepfake_spectra.packages import joblib

MOST_FOLDS = 5
MOST_PARTS = 10  # of the sources of a class, to be left out in turn
RANGE_QUANTILE = 0.99  # of the training images lie less outside the others' range than where a warning begins
MANY_SIZES = 20  # different ones in training: from here on they vary freely, and what lies between them is known, too
MOST_STEPS = 4e8  # of a fit, times its rows: about two seconds; 900 faces of one JPEG quality take 1.2e8
LEAST_SCORE = 0.001  # three decimals are printed
SAME_QUALITY = 2  # steps of JPEG quality, within which tables differ little
OUTSIDE = ("size", "format", "jpeg_quality", "range")  # warnings of an image of which the detector can know nothing

_PATH_STEPS = 32  # of the integral in `evidence`; it is exact to 1e-3 of the decision value then


class FakeDetector:
    """A support vector classifier fitted to all spectra of a data set, and what is known of how it does.

    Parameters
    ----------
    dataset : SpectrumDataset
        With headers.
    experiment : str
        What it is of, for messages.
    classifier : dict
        {"kernel": "linear", "C": 1.0} or {"kernel": "rbf", "C": 6.37, "gamma": 0.86}. Both classes weigh a half.
    seed : int
        Of the folds.
    n_threads : int
        Threads for the fits; -1: one per core.
    false_alarm_rate : float
        Of the limits.

    Attributes
    ----------
    n_folds : int
        In which the decision values for the calibration (Platt's) were held out.
    n_right, n_held_out : dict of int to int
        {REAL: ..., FAKE: ...}: of the spectra held out, how many fell on the right side of probability 0.5.
    held_out_scores : ndarray, (n,)
        Of every row, by a fit that knew nothing of its source, as far as its class has another, nor of its group.
    sources_left_out : list of str
        The sources of which that is so; of the others, images were left out.
    limits : answers.Limits
        Which scores are answers, from these.
    has_converged : bool
        Whether the fit came to its end. One of inseparable classes may not in `MOST_STEPS`; it is left as it is then,
        and judged by `n_right` like any other: so every fit ends, and hears Ctrl-C, within seconds.
    lowest_score, highest_score : float
        What so many held-out images, or groups of them, can support; a score beyond is set to that. Platt's targets:
        1 / (n + 2) for n real ones of which none was like a fake, and likewise for the fakes.
    low, high : ndarray, (n_bins,)
        The range of the training spectra.
    most_outside : float
        The share of bins outside that range above which `warnings` says so.

    Raises
    ------
    ExperimentError
        The spectra cannot be split so that both classes are trained on, or the held-out decision values do not grow
        from reals to fakes.
    """

    def __init__(
        self,
        dataset: SpectrumDataset,
        experiment: str,
        classifier: dict,
        seed: int = 0,
        n_threads: int = -1,
        false_alarm_rate: float = FALSE_ALARM_RATE,
    ):
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.model_selection import cross_val_predict
        from sklearn.svm import SVC
        from sklearn.utils.class_weight import compute_sample_weight

        self.dataset, self.experiment, self.classifier = dataset, experiment, classifier
        spectra, labels = dataset.spectra, dataset.labels
        folds = _held_out_folds(labels, dataset.kept_together, seed)
        by_source, self.sources_left_out = _source_splits(labels, dataset.sources, dataset.kept_together, folds)
        most_steps = int(MOST_STEPS / len(labels))
        svc, weights = SVC(**classifier, max_iter=most_steps), compute_sample_weight("balanced", labels)
        with joblib.parallel_config("threading", n_jobs=n_threads), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # `has_converged` says it
            calibrated = CalibratedClassifierCV(svc, cv=folds, ensemble=False).fit(spectra, labels, weights)
            held_out, of_new_sources = (
                cross_val_predict(
                    svc, spectra, labels, cv=splits, method="decision_function", params={"sample_weight": weights}
                )
                for splits in (folds, by_source)
            )
        [fitted] = calibrated.calibrated_classifiers_
        self._svc, [self._calibrator] = fitted.estimator, fitted.calibrators
        if self._calibrator.a_ >= 0:  # scikit-learn's sign: the probability is 1 / (1 + exp(a decision + b))
            raise ExperimentError(
                f"the classifier does not tell real from fake in these {len(labels)} spectra: held out, fakes score no "
                "higher than reals; train on more, or other, images"
            )
        self.has_converged = bool(np.all(self._svc.n_iter_ < most_steps))
        self.n_folds = len(folds)
        is_right = (self._calibrator.predict(held_out) >= 0.5) == (labels == FAKE)
        self.n_held_out = {label: np.count_nonzero(labels == label) for label in (REAL, FAKE)}
        self.n_right = {label: np.count_nonzero(is_right[labels == label]) for label in (REAL, FAKE)}
        n_real, n_fake = (len(np.unique(dataset.groups[labels == label])) for label in (REAL, FAKE))
        self.lowest_score = max(LEAST_SCORE, 1 / (n_real + 2))
        self.highest_score = min(1 - LEAST_SCORE, (n_fake + 1) / (n_fake + 2))
        self.held_out_scores = self._scores(of_new_sources)
        self.limits = answer_limits(self.held_out_scores, labels, dataset.sources, false_alarm_rate)
        self._middle = np.mean([spectra[labels == label].mean(axis=0) for label in (REAL, FAKE)], axis=0)
        self.low, self.high, self.most_outside = _training_range(spectra, dataset.kept_together)
        self._seen = _SeenHeaders(dataset)
        self._trained_on = {_fingerprint(row) for row in spectra}

    def spectrum(self, gray: np.ndarray) -> np.ndarray:
        """Return the spectrum (n_bins,) of a grey image (height, width), made as those that were trained on.

        Raises
        ------
        UnreadableImage
            Blank, or too small for a spectrum.
        """
        return feature_of(gray, self.dataset.feature)

    def score(self, spectrum: np.ndarray) -> float:
        """Return the probability that a spectrum (n_bins,) is a fake's, real and fake being equally frequent.

        It lies between `lowest_score` and `highest_score`.
        """
        return float(self._scores(self._svc.decision_function(spectrum[None]))[0])

    def _scores(self, decisions):
        """Return the scores of decision values; as predict_proba, which takes a millisecond more."""
        return np.clip(self._calibrator.predict(decisions), self.lowest_score, self.highest_score)

    def score_text(self, score: float) -> str:
        """Return a score with three decimals, with "<" or ">" where it is as far out as the detector can tell."""
        sign = "<" if score <= self.lowest_score else ">" if score >= self.highest_score else ""
        return f"{sign}{score:.3f}"

    def warnings(self, spectrum: np.ndarray, header: np.void) -> dict[str, str]:
        """Return in what an image is unlike the training images.

        Parameters
        ----------
        spectrum : ndarray, (n_bins,)
        header : np.void
            One IMAGE_HEADER.

        Returns
        -------
        dict of str to str
            "size", "format", "jpeg_quality", "range", "trained_on" -> a few words; empty where nothing is unusual.
        """
        found = self._seen.warnings(header)
        outside = np.mean((spectrum < self.low) | (spectrum > self.high))
        if outside > self.most_outside:
            found["range"] = f"{_percent(outside)} of the spectrum lies outside the training range"
        if _fingerprint(spectrum) in self._trained_on:
            found["trained_on"] = "a training image: the verdict only repeats what was said of it"
        return found

    def answer(self, score: float, warnings: Iterable[str]) -> tuple[str, tuple[str, ...]]:
        """Return "real", "fake" or "unsure", and the reasons for the last: keys of OUTSIDE, "score".

        Parameters
        ----------
        score : float
        warnings : iterable of str
            The keys that `warnings` gives.
        """
        reasons = [key for key in OUTSIDE if key in warnings]
        said = self.limits.answer(score)
        if said == UNSURE:
            reasons.append("score")
        return (UNSURE if reasons else said), tuple(reasons)

    def held_out_answers(self) -> list[str]:
        """Return what would have been said of each training image, had it been held out; its range is not looked at."""
        headers = self.dataset.headers
        return [
            self.answer(score, self._seen.warnings(header))[0] for score, header in zip(self.held_out_scores, headers)
        ]

    def evidence(self, spectrum: np.ndarray) -> np.ndarray:
        """Return what each bin contributed to the decision, (n_bins,); above 0 where it spoke for "fake".

        Integrated gradients (Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", 2017) from the middle
        between the means of the classes: the contributions add up to the difference of the two decision values. Of a
        linear classifier that is weight times deviation.
        """
        deviation = spectrum - self._middle
        if self._svc.kernel == "linear":
            return self._svc.coef_[0] * deviation
        steps = (np.arange(_PATH_STEPS) + 0.5) / _PATH_STEPS
        path = self._middle + steps[:, None] * deviation
        supports, weights, gamma = self._svc.support_vectors_, self._svc.dual_coef_[0], self._svc.gamma
        distances = (path**2).sum(axis=1)[:, None] + (supports**2).sum(axis=1) - 2 * path @ supports.T
        pulls = weights * np.exp(-gamma * distances)  # (n_steps, n_supports)
        gradients = 2 * gamma * (pulls @ supports - pulls.sum(axis=1)[:, None] * path)
        return gradients.mean(axis=0) * deviation


class _SeenHeaders:
    """Which sizes, formats and JPEG qualities the training images have, and in which classes."""

    def __init__(self, dataset):
        columns = {name: dataset.headers[name].tolist() for name in ("width", "height", "format", "jpeg_quality")}
        labels = dataset.labels.tolist()
        self._sizes = _classes_of(zip(columns["width"], columns["height"]), labels)
        self._smallest, self._largest = ([pick(sides) for sides in zip(*self._sizes)] for pick in (min, max))
        self._formats = _classes_of(columns["format"], labels)
        self._qualities = _classes_of(zip(columns["format"], columns["jpeg_quality"]), labels)

    def warnings(self, header):
        """Return {field: a few words} for what no training image has, or those of one class only."""
        found = {}
        size = (int(header["width"]), int(header["height"]))
        if len(self._sizes) > MANY_SIZES:
            if not all(low <= side <= high for low, side, high in zip(self._smallest, size, self._largest)):
                known = f"{_size_text(self._smallest)} to {_size_text(self._largest)}"
                found["size"] = f"{_size_text(size)}, not {known} as in training"
        else:
            _look_for(found, "size", _size_text(size), self._sizes.get(size, set()), map(_size_text, self._sizes))
        form, quality = str(header["format"]), int(header["jpeg_quality"])
        _look_for(found, "format", form, self._formats.get(form, set()), self._formats)
        if quality and "format" not in found:
            known = {value: classes for (name, value), classes in self._qualities.items() if name == form}
            near = set().union(*(classes for value, classes in known.items() if abs(value - quality) <= SAME_QUALITY))
            _look_for(found, "jpeg_quality", f"JPEG quality {quality}", near, known)
        return found


def _classes_of(values, labels):
    """Return {value: the classes that have it}, sorted."""
    classes = defaultdict(set)
    for value, label in zip(values, labels):
        classes[value].add(label)
    return dict(sorted(classes.items()))


def _look_for(found, field, text, classes, known):
    """Note what no class has (`known` is what training images have), or one class only."""
    if not classes:
        found[field] = f"{text}, not {_listed(known)} as in training"
    elif len(classes) == 1:
        found[field] = f"{text}, as only {CLASS_NAMES[min(classes)]} images in training"


def _size_text(size):
    """Return "128x96" for (128, 96)."""
    return "x".join(map(str, size))


def _listed(values, most=4):
    """Return values as "a or b", cut after a few."""
    *values, last = map(str, values)
    if len(values) >= most:
        return f"{', '.join(values[: most - 1])}, ... or {last}"
    return f"{', '.join(values)} or {last}" if values else last


def _held_out_folds(labels, groups, seed):
    """Return up to five splits (train rows, test rows): each group tested on once, both classes trained on in each."""
    from sklearn.model_selection import StratifiedGroupKFold

    for n_folds in range(min(MOST_FOLDS, len(np.unique(groups))), 1, -1):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class")  # checked below
            folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
            try:
                splits = list(folds.split(labels, labels, groups))
            except ValueError:  # more folds than images of a class
                continue
        if all(len(test) and len(np.unique(labels[train])) == 2 for train, test in splits):
            return splits
    raise ExperimentError(
        f"found {len(labels)} spectra of {len(np.unique(groups))} independent images or videos, too few to hold some "
        "out for the calibration: need two of each class; train on more"
    )


def _source_splits(labels, sources, groups, folds):
    """Return splits (train rows, test rows) that test each row once, and the sources that they leave out as a whole.

    A source is left out where its class has another; of very many, several at a time. Its groups are then nowhere in
    training, either: where they stand in other sources, too, that takes the folds. The rows of a class's only source
    are held out by the folds alone.
    """
    splits, left_out, everything = [], [], np.arange(len(labels))
    for label in (REAL, FAKE):
        names = np.unique(sources[labels == label])
        for part in [names[start::MOST_PARTS] for start in range(min(len(names), MOST_PARTS))]:
            of_part = np.isin(sources, part)
            tested = of_part & (labels == label)
            leaves_both = len(np.unique(labels[~of_part])) == 2
            is_apart = not np.isin(groups[of_part], groups[~of_part]).any()
            for train, test in [(everything, everything)] if is_apart and leaves_both else folds:
                others = train[~of_part[train]]
                if tested[test].any():
                    splits.append((others if len(np.unique(labels[others])) == 2 else train, test[tested[test]]))
            left_out += map(str, part if leaves_both else ())
    return splits, sorted(left_out)


def _training_range(spectra, groups):
    """Return the lowest and highest value of each bin, and the share outside that is still usual.

    What is usual is measured on the training images themselves: for each, the share of its bins that lie outside the
    range of all other groups.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    order = np.argsort(group_of, kind="stable")
    starts = np.searchsorted(group_of[order], np.arange(len(names)))
    lows = np.minimum.reduceat(spectra[order], starts)  # (n_groups, n_bins)
    highs = np.maximum.reduceat(spectra[order], starts)
    low, next_low = np.partition(lows, 1, axis=0)[:2]
    next_high, high = np.partition(highs, -2, axis=0)[-2:]
    low_of_others = np.where(lows == low, next_low, low)[group_of]
    high_of_others = np.where(highs == high, next_high, high)[group_of]
    outside = np.mean((spectra < low_of_others) | (spectra > high_of_others), axis=1)
    return low, high, float(np.quantile(outside, RANGE_QUANTILE))


def _fingerprint(spectrum):
    """Return what two spectra share if they are of the same image, on whatever machine they were computed."""
    return np.round(spectrum, 6).tobytes()


def _percent(share):
    """Return a share as a whole number of per cent."""
    return f"{100 * share:.0f} %"
