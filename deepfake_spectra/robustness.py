"""A classifier that stays as it was trained, asked about test images in many states; and trained on fewer images."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from copy import deepcopy
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from deepfake_spectra.alterations import parse_steps
from deepfake_spectra.classification import dataset_rows, fit_title, number_or_none, result_rows
from deepfake_spectra.dataset import FAKE, REAL, SpectrumDataset, Split
from deepfake_spectra.errors import UsageError
from deepfake_spectra.intervals import student_interval
from deepfake_spectra.metrics import Prediction
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.video_votes import judge_videos

AS_THEY_ARE = "as they are"
METRICS = ("accuracy", "balanced_accuracy", "recall_real", "recall_fake", "roc_auc")  # of so many states and trainings


class Trial(NamedTuple):
    """A classifier, fitted once for each split, and what it said of the test images as they are."""

    splits: Sequence[Split]
    fitted: Sequence[object]
    before: Sequence[Prediction]
    keys: dict  # of its rows


def expand(panel: str) -> dict[str, str]:
    """Return {what tells it from the others: alteration} of several written as one: "scale {0.5,2} area".

    Raises
    ------
    UsageError
        One of them is unknown, or two are the same.
    """
    found = re.fullmatch(r"([^{}]*)\{([^{}]*)\}([^{}]*)", panel)
    before, values, after = found.groups() if found else ("", panel, "")
    steps_of = {value: f"{before}{value}{after}" for value in values.split(",")}
    if len(steps_of) < values.count(",") + 1:
        raise UsageError(f"{panel!r}: names an alteration twice; name it once")
    for steps in steps_of.values():
        parse_steps(steps)
    return steps_of


def fit_trial(
    dataset: SpectrumDataset,
    splits: Sequence[Split],
    estimator: object,
    states: Sequence[np.ndarray],
    n_threads: int = -1,
    **keys,
) -> Trial:
    """Return a classifier fitted to the training images of each split.

    Parameters
    ----------
    dataset : SpectrumDataset
    splits : sequence of Split
    estimator : scikit-learn classifier
        With `fit`, `predict` and `decision_function`; copied for each split.
    states : sequence of (n_rows, n_bins) float
        Spectra in which the training images come; the first are those of the images as they are.
    n_threads : int
    **keys
        `table`, `classifier` and whatever else the rows are to have; `clusters` as in `classification.result_rows`.
    """

    def fit(split):
        spectra = np.concatenate([state[split.train] for state in states])
        labels = np.tile(dataset.labels[split.train], len(states))
        known = np.isfinite(spectra[:, 0])
        return deepcopy(estimator).fit(spectra[known], labels[known])

    with closing(in_threads(fit, splits, n_threads)) as fits:
        title = fit_title(**keys)
        fitted = list(tqdm(fits, title, len(splits), leave=False, unit="split", disable=None))
    return Trial(splits, fitted, _asked(splits, fitted, dataset.labels, states[0]), keys)


def trial_rows(trial: Trial, dataset: SpectrumDataset, condition: str, spectra: np.ndarray) -> list[dict]:
    """Return the rows of results of the test images in one state.

    Parameters
    ----------
    trial : Trial
    dataset : SpectrumDataset
        That it was fitted to.
    condition : str
        What the rows call the state.
    spectra : (n_rows, n_bins) float
        From `image_spectra.load_altered`.

    Returns
    -------
    list of dict
        See `classification.dataset_rows`, of METRICS only; then `shift_real` and `shift_fake`, by how much the
        mean score of a class has moved, in units of the pooled standard deviation of the scores as they are (above 0:
        towards fake). Its interval is Student's, over the images of one test, or over all groups, or clusters, that
        were tested.
    """
    after = _asked(trial.splits, trial.fitted, dataset.labels, spectra)
    rows = dataset_rows(after, dataset, condition=condition, **trial.keys)
    rows = [row for row in rows if row["metric"] in METRICS]
    unit_of_row = trial.keys.get("clusters")
    if unit_of_row is None:
        unit_of_row = dataset.kept_together if dataset.is_grouped else dataset.equal_images
    for label, metric in ((REAL, "shift_real"), (FAKE, "shift_fake")):
        shift = _shift(trial.before, after, label, unit_of_row, dataset.is_grouped)
        rows.append(rows[0] | {"metric": metric} | shift)
        del rows[-1]["predictions"]
    return rows


def learning_splits(sources: np.ndarray, splits: Sequence[Split], sizes: Sequence[int]) -> Iterator[tuple]:
    """Yield (number of images trained on, splits): the same tests, and training sides narrowed to equal draws.

    Parameters
    ----------
    sources : (n_rows,) str
    splits : sequence of Split
        With equal numbers of each source.
    sizes : sequence of int
        Images to train on in total; at least one of each source, and well below all, which come last.
    """
    names = np.unique(sources)
    most = min(len(split.train) for split in splits) // len(names)
    n_each_of = {max(1, size // len(names)) for size in sizes}
    for n_each in sorted({n_each for n_each in n_each_of if 1.2 * n_each < most} | {most}):
        narrowed = []
        for number, split in enumerate(splits):
            drawn = np.random.default_rng(number).permutation(split.train)
            first = [drawn[sources[drawn] == name][:n_each] for name in names]
            narrowed.append(Split(np.sort(np.concatenate(first)), split.test))
        yield n_each * len(names), narrowed


def present(splits: Sequence[Split], spectra: np.ndarray) -> list[Split]:
    """Return splits without the rows that spectra from `image_spectra.load_altered` lack."""
    return [Split(*(side[np.isfinite(spectra[side, 0])] for side in split)) for split in splits]


def frame_count_rows(
    predictions: Sequence[Prediction],
    dataset: SpectrumDataset,
    counts: Sequence[int],
    clusters: np.ndarray | None = None,
    **keys,
) -> list[dict]:
    """Return the rows of videos judged by the mean score of so many of their frames, the first in the order of rows.

    A data set's rows are in the order of a draw. Counts that no video has are left out. `clusters` (n_frames,) as in
    `classification.result_rows`.
    """
    if clusters is not None:
        clusters = clusters[np.unique(dataset.groups, return_index=True)[1]]  # of each video
    most = max(np.unique(dataset.groups[said.rows], return_counts=True)[1].max() for said in predictions)
    rows = []
    for count in (count for count in counts if count <= most):
        videos = []
        for said in predictions:
            chosen = _first_of_each(dataset.groups[said.rows], count)
            of_frames = Prediction(*(column[chosen] for column in said))
            videos.append(judge_videos(of_frames, dataset.groups, "mean score", 0.5))
        rows += result_rows(videos, clusters=clusters, condition=str(count), **keys)
    return rows


def _asked(splits, fitted, labels, spectra):
    """Return what fitted classifiers say of the test images that there are."""
    predictions = []
    for (_, rows), classifier in zip(present(splits, spectra), fitted, strict=True):
        said = classifier.predict(spectra[rows]), classifier.decision_function(spectra[rows])
        predictions.append(Prediction(rows, labels[rows], *said))
    return predictions


def _shift(before, after, label, unit_of_row, are_groups):
    """Return mean, spread and interval of how far the scores of one class have moved."""
    of_unit, means = defaultdict(list), []
    for first, then in zip(before, after, strict=True):
        score_of_row = dict(zip(first.rows.tolist(), first.scores))
        rows = then.rows[then.labels == label]
        moved = then.scores[then.labels == label] - [score_of_row[row] for row in rows.tolist()]
        moved = moved / _pooled_std(first)
        means.append(moved.mean() if len(moved) else np.nan)
        for unit, value in zip(unit_of_row[rows].tolist(), moved):
            of_unit[unit].append(value)
    mean, std = np.mean(means), np.std(means, ddof=1) if len(means) > 1 else np.nan
    per_unit = np.array([np.mean(values) for values in of_unit.values()])
    n_units = len(per_unit)
    if not are_groups:
        n_units = np.mean([len(np.unique(unit_of_row[said.rows[said.labels == label]])) for said in after])
    error = per_unit.std(ddof=1) / np.sqrt(n_units) if n_units > 1 else np.nan
    low, high = student_interval(mean, error, n_units - 1)
    values = {"mean": mean, "std": std, "low": low, "high": high}
    return {name: number_or_none(value) for name, value in values.items()} | {
        "scores": [number_or_none(value) for value in means]
    }


def _pooled_std(said):
    """Return the standard deviation of scores about the mean of their class; NaN where that cannot be told."""
    from_mean = np.concatenate(
        [
            said.scores[said.labels == label] - said.scores[said.labels == label].mean()
            for label in np.unique(said.labels)
        ]
    )
    degrees = len(from_mean) - len(np.unique(said.labels))
    variance = np.sum(from_mean**2) / degrees if degrees > 0 else 0
    return np.sqrt(variance) if variance > 0 else np.nan


def _first_of_each(groups, count):
    """Return which of some rows are among the first `count` of their group, (n_rows,) bool."""
    seen = defaultdict(int)
    chosen = np.zeros(len(groups), dtype=bool)
    for row, group in enumerate(groups.tolist()):
        chosen[row] = seen[group] < count
        seen[group] += 1
    return chosen
