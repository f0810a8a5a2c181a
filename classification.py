"""Classifiers, splits that do not leak, metrics with intervals: from spectra to tidy rows of results.

The positive class is "fake" throughout: a score grows with the belief that an image is fake. scikit-learn is loaded
inside the functions that use it, so that `--help` of a script answers at once.
"""
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from spectrum_dataset import FAKE, REAL, SpectrumDataset, in_threads

METRICS = (
    "accuracy", "balanced_accuracy", "recall_real", "recall_fake", "roc_auc", "average_precision", "equal_error_rate",
)  # fmt: skip

_N_BOOTSTRAP = 1000
_CONFIDENCE = 0.95


class Split(NamedTuple):
    """Row numbers of one split."""

    train: np.ndarray
    test: np.ndarray


class Prediction(NamedTuple):
    """What one fitted classifier said about the test rows of one split."""

    rows: np.ndarray  # (n_test,) row numbers
    labels: np.ndarray  # (n_test,) REAL or FAKE, the truth
    predicted: np.ndarray  # (n_test,) REAL or FAKE
    scores: np.ndarray  # (n_test,) float, larger means fake


def svm(kernel: str, C: float = 1.0, gamma: float | str = "scale"):
    """Return an unscaled support vector classifier, as the paper uses it."""
    from sklearn.svm import SVC

    return SVC(kernel=kernel, C=C, gamma=gamma)


def logistic_regression(max_iter: int = 1000, seed: int = 0):
    """Return the paper's logistic regression: liblinear, no scaling; `seed` orders its coordinate descent."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(solver="liblinear", max_iter=max_iter, random_state=seed)


def majority_class():
    """Return the classifier that always gives the most frequent training label."""
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="most_frequent")


def headers_only(seed: int = 0):
    """Return a decision tree, for `header_features`: what could be told without looking at a single pixel."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=seed)


class KMeansDetector:
    """k-means with two clusters, turned so that the cluster with more fakes among the training rows means fake.

    Fitted and scored on the same rows this is the paper's k-means, whose clusters are named by the better of the two
    ways; fitted on the training rows of a split it is a classifier like any other.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed

    def fit(self, spectra: np.ndarray, labels: np.ndarray) -> "KMeansDetector":
        """Find two clusters in the spectra (n, n_bins); the labels (n,) only name them."""
        from sklearn.cluster import KMeans

        self._k_means = KMeans(n_clusters=2, n_init=10, random_state=self.seed).fit(spectra)
        agreement = np.mean(self._k_means.labels_ == labels)
        self._fake_cluster = 1 if agreement >= 0.5 else 0
        return self

    def decision_function(self, spectra: np.ndarray) -> np.ndarray:
        """Return how much nearer each spectrum lies to the fake cluster's centre than to the other, (n,)."""
        distances = self._k_means.transform(spectra)
        return distances[:, 1 - self._fake_cluster] - distances[:, self._fake_cluster]

    def predict(self, spectra: np.ndarray) -> np.ndarray:
        """Return REAL or FAKE for each spectrum, (n,)."""
        return np.where(self._k_means.predict(spectra) == self._fake_cluster, FAKE, REAL)


def header_features(headers: np.ndarray) -> np.ndarray:
    """Return what the files' headers tell, as numbers for a decision tree.

    Parameters
    ----------
    headers : structured ndarray, (n_images,)
        Numeric fields are taken as they are, text fields become one 0/1 column for each value that occurs. A value
        that a format does not have (the JPEG quality of a PNG) is 0 or "", a category of its own.

    Returns
    -------
    ndarray of float64, (n_images, n_columns)
    """
    columns = []
    for name in headers.dtype.names:
        values = headers[name]
        columns += [values == value for value in np.unique(values)] if values.dtype.kind == "U" else [values]
    return np.column_stack(columns).astype(np.float64)


def held_out_rows(sources: Sequence, groups: Sequence, test_share: float, seed: int) -> np.ndarray:
    """Return which rows a split may test on: whole groups only, drawn alike from all sources.

    Parameters
    ----------
    sources, groups : (n_rows,) str
        Groups that have rows of the same sources form a stratum: images of their own (each a group) are stratified by
        source, photographs that stand in every source form one stratum.
    test_share : float
        Of the groups of each stratum; at least one of them, never all.
    seed : int

    Returns
    -------
    ndarray of bool, (n_rows,)
        The others are the rows to train on.

    Raises
    ------
    ValueError
        A stratum has only one group: it cannot stand on both sides.
    """
    names, group_numbers = np.unique(groups, return_inverse=True)
    source_numbers = np.unique(sources, return_inverse=True)[1]
    presence = np.zeros((len(names), source_numbers.max() + 1), dtype=bool)
    presence[group_numbers, source_numbers] = True
    strata = np.unique(presence, axis=0, return_inverse=True)[1].ravel()
    random = np.random.default_rng(seed)
    in_test = np.zeros(len(names), dtype=bool)
    for stratum in range(strata.max() + 1):
        members = random.permutation(np.flatnonzero(strata == stratum))
        if len(members) == 1:
            raise ValueError(f"{names[members[0]]} is the only group of its sources: it cannot be split")
        in_test[members[: np.clip(round(test_share * len(members)), 1, len(members) - 1)]] = True
    return in_test[group_numbers]


def random_splits(
    dataset: SpectrumDataset, n_samples: int, test_share: float, n_splits: int, seed: int
) -> list[Split]:
    """Return splits of `n_samples` rows, drawn anew each time, with equal numbers of every source on either side.

    No group stands on both sides. Where a source has too few rows on one side, all sources get fewer there.
    """
    splits = []
    for split_seed in range(seed, seed + n_splits):
        in_test = held_out_rows(dataset.sources, dataset.groups, test_share, split_seed)
        splits.append(equal_split(dataset.sources, ~in_test, in_test, n_samples, test_share, split_seed))
    return splits


def held_out_identities(
    labels: np.ndarray, identities: Sequence[set[str]], test_share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows may be trained and tested on so that no person stands on both sides.

    A fake shows two identities, the target's and the source's, and few sets fall into parts that share none: so whole
    identities are drawn for the test, and a fake whose two fall on different sides is left out.

    Parameters
    ----------
    labels : (n_rows,) REAL or FAKE
    identities : (n_rows,) sets of str, none empty
    test_share : float
        Of the identities. They are drawn a fake at a time, both of its identities together, so that fakes are left.
    seed : int

    Returns
    -------
    may_train, may_test : ndarray of bool, (n_rows,)
        Rows with neither are the ones left out.

    Raises
    ------
    ValueError
        No draw in 1,000 left both classes on both sides.
    """
    random = np.random.default_rng(seed)
    fakes = sorted({tuple(sorted(identities[row])) for row in np.flatnonzero(labels == FAKE)})
    n_wanted = max(2, round(test_share * len(set().union(*identities))))
    for _ in range(1000):
        tested = set()
        for number in random.permutation(len(fakes)):
            if len(tested) >= n_wanted:
                break
            tested |= set(fakes[number])
        may_test = np.array([own <= tested for own in identities])
        may_train = np.array([own.isdisjoint(tested) for own in identities])
        if all(np.any(side & (labels == label)) for side in (may_train, may_test) for label in (REAL, FAKE)):
            return may_train, may_test
    raise ValueError("no draw of identities leaves real and fake videos on both sides")


def equal_split(
    sources: np.ndarray, may_train: np.ndarray, may_test: np.ndarray, n_samples: int, test_share: float, seed: int
) -> Split:
    """Return a split of at most `n_samples` rows, equal numbers of every source on either side.

    Parameters
    ----------
    sources : (n_rows,) str
    may_train, may_test : (n_rows,) bool
    n_samples : int
        In total. Where a source has too few rows on one side, all sources get fewer there.
    test_share : float
    seed : int
    """
    names = np.unique(sources)
    n_each = n_samples // len(names)
    n_test = np.clip(round(test_share * n_each), 1, n_each - 1)
    n_train = n_each - n_test
    return Split(_equal_rows(sources, names, may_train, n_train, seed), _equal_rows(sources, names, may_test, n_test, seed))


def source_splits(
    dataset: SpectrumDataset,
    trained: Sequence[str],
    tested: Sequence[str],
    test_share: float,
    n_splits: int,
    seed: int,
) -> list[Split]:
    """Return splits that train on some sources and test on others, with equal numbers of each source.

    Where rows have groups, no group stands on both sides of a split, and there are `n_splits` of them; images that are
    independent make one split, of all rows.
    """
    n_rows = len(dataset)
    splits = []
    for split_seed in range(seed, seed + n_splits) if dataset.is_grouped else [seed]:
        train = test = np.ones(n_rows, dtype=bool)
        if dataset.is_grouped:
            test = held_out_rows(dataset.sources, dataset.groups, test_share, split_seed)
            train = ~test
        splits.append(
            Split(
                _equal_rows(dataset.sources, trained, train, n_rows, split_seed),
                _equal_rows(dataset.sources, tested, test, n_rows, split_seed),
            )
        )
    return splits


def predict_splits(
    make_classifier: Callable, features: np.ndarray, labels: np.ndarray, splits: Sequence[Split], n_threads: int = -1
) -> list[Prediction]:
    """Fit a fresh classifier on each split's training rows and ask it about the test rows; one core per split.

    Parameters
    ----------
    make_classifier : callable
        () -> an object with `fit`, `predict` and `decision_function` or `predict_proba`. A fit that fails ends the
        run: a dropped one would improve the average.
    features : (n_rows, n_columns) float
    labels : (n_rows,) REAL or FAKE
    splits : sequence of Split
    n_threads : int
    """

    def predict(split):
        classifier = make_classifier().fit(features[split.train], labels[split.train])
        test = features[split.test]
        if hasattr(classifier, "decision_function"):
            scores = classifier.decision_function(test)
        else:
            scores = classifier.predict_proba(test)[:, list(classifier.classes_).index(FAKE)]
        return Prediction(split.test, labels[split.test], classifier.predict(test), scores)

    predictions = in_threads(predict, splits, n_threads)
    return list(tqdm(predictions, "fits", len(splits), leave=False, unit="split", disable=None, delay=2))


def metric_values(prediction: Prediction) -> dict[str, float]:
    """Return {metric: value} for all of METRICS; NaN where a metric needs a class that is not there."""
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    correct = prediction.predicted == prediction.labels
    is_fake = prediction.labels == FAKE
    recall_real, recall_fake = (correct[side].mean() if side.any() else np.nan for side in (~is_fake, is_fake))
    values = {
        "accuracy": correct.mean(),
        "balanced_accuracy": (recall_real + recall_fake) / 2,
        "recall_real": recall_real,
        "recall_fake": recall_fake,
    }
    if is_fake.all() or not is_fake.any():
        return values | dict.fromkeys(METRICS[4:], np.nan)
    false_alarms, hits, _ = roc_curve(is_fake, prediction.scores, drop_intermediate=False)
    return values | {
        "roc_auc": roc_auc_score(is_fake, prediction.scores),
        "average_precision": average_precision_score(is_fake, prediction.scores),
        "equal_error_rate": _equal_error_rate(false_alarms, 1 - hits),
    }


def roc_points(predictions: Sequence[Prediction]) -> tuple[np.ndarray, np.ndarray]:
    """Return the ROC curve of all splits' test rows together: (share of reals, share of fakes) called fake."""
    from sklearn.metrics import roc_curve

    labels, scores = (np.concatenate([getattr(p, name) for p in predictions]) for name in ("labels", "scores"))
    return roc_curve(labels == FAKE, scores)[:2]


def result_rows(predictions: Sequence[Prediction], groups: np.ndarray | None = None, **keys) -> list[dict]:
    """Return one tidy row for each metric of a classifier over its splits.

    Parameters
    ----------
    predictions : sequence of Prediction
        One per split.
    groups : (n_rows,) str, optional
        What the rows belong to, if they are not independent of each other.
    **keys
        `table`, `protocol`, `n_samples`, `classifier` and whatever else tells the row from others.

    Returns
    -------
    list of dict
        `keys`, then `metric`, `mean` and `std` (over the splits, ddof = 1; None for one split), `low` and `high`
        (95 %, see `intervals`), `n_test`, `n_test_groups` (None without groups) and `scores` (one per split).
        Undefined numbers are None.
    """
    values = [metric_values(prediction) for prediction in predictions]
    n_test = [len(prediction.rows) for prediction in predictions]
    n_groups = None if groups is None else [len(np.unique(groups[prediction.rows])) for prediction in predictions]
    limits = intervals(predictions, groups)
    rows = []
    for metric in METRICS:
        scores = np.array([value[metric] for value in values])
        rows.append(
            keys
            | {
                "metric": metric,
                "mean": _number(scores.mean()),
                "std": _number(scores.std(ddof=1)) if len(scores) > 1 else None,
                "low": _number(limits[metric][0]),
                "high": _number(limits[metric][1]),
                "n_test": n_test,
                "n_test_groups": n_groups,
                "scores": [_number(score) for score in scores],
            }
        )
    return rows


def intervals(predictions: Sequence[Prediction], groups: np.ndarray | None = None) -> dict[str, tuple[float, float]]:
    """Return {metric: 95 % interval}: what other test images, or other groups, could have given.

    Accuracy and recalls on independent rows: Wilson's interval of the mean value and the size of **one** test set,
    since the splits test the same images again and again. Rows with groups, and the other metrics: percentiles of a
    bootstrap that draws groups (or rows) anew and takes the mean over the splits. Undefined, (NaN, NaN), are the
    average precision, the equal error rate, and a bootstrap whose draws all give the same: it knows no more than that
    no error occurred.
    """
    test_rows = np.unique(np.concatenate([prediction.rows for prediction in predictions]))
    names, group_of_row = np.unique(test_rows if groups is None else groups[test_rows], return_inverse=True)
    random = np.random.default_rng(0)
    draws = random.multinomial(len(names), np.full(len(names), 1 / len(names)), _N_BOOTSTRAP).astype(np.float64)
    resampled = [
        _weighted_metrics(prediction, draws[:, group_of_row[np.searchsorted(test_rows, prediction.rows)]])
        for prediction in predictions
    ]
    tail = (1 - _CONFIDENCE) / 2
    limits = dict.fromkeys(METRICS, (np.nan, np.nan))
    for metric in resampled[0]:
        values = np.ma.masked_invalid([split[metric] for split in resampled]).mean(axis=0).compressed()
        if len(values) and np.ptp(values) > 1e-12:
            limits[metric] = tuple(np.quantile(values, [tail, 1 - tail]))
    if groups is None:
        for metric, members in (("accuracy", (REAL, FAKE)), ("recall_real", (REAL,)), ("recall_fake", (FAKE,))):
            chosen = [np.isin(prediction.labels, members) for prediction in predictions]
            shares = [np.mean((p.predicted == p.labels)[rows]) for p, rows in zip(predictions, chosen) if rows.any()]
            if shares:
                limits[metric] = wilson_interval(np.mean(shares), np.mean(list(map(np.count_nonzero, chosen))))
    return limits


def wilson_interval(accuracy: float, n: float) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a proportion seen in n trials: 4 of 4 right gives (0.51, 1)."""
    z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
    centre = (accuracy + z**2 / (2 * n)) / (1 + z**2 / n)
    half_width = z * np.sqrt(accuracy * (1 - accuracy) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return max(0.0, centre - half_width), min(1.0, centre + half_width)


def compare_classifiers(
    dataset: SpectrumDataset,
    splits: Sequence[Split],
    classifiers: dict[str, Callable],
    protocol: str,
    seed: int,
    n_threads: int = -1,
    **keys,
) -> list[dict]:
    """Return the rows of one sample size: some classifiers, and beside them what they have to beat.

    Parameters
    ----------
    dataset : SpectrumDataset
    splits : sequence of Split
    classifiers : dict of str to callable
        Name -> () -> classifier, fitted to the spectra.
    protocol : str
        What kind of splits these are: "published", "by_photograph", ...
    seed : int
    n_threads : int
    **keys
        Further keys of the rows, as `n_samples`.

    Returns
    -------
    list of dict
        For each of `classifiers`; k-means as published (fitted and scored on all rows of a split) and "held_out"; the
        majority class; and, where there are headers, what a decision tree makes of nothing but them.
    """
    groups = dataset.groups if dataset.is_grouped else None

    def rows_of(name, make_classifier, features, splits, protocol):
        predictions = predict_splits(make_classifier, features, dataset.labels, splits, n_threads)
        return result_rows(predictions, groups, table="sample_sizes", protocol=protocol, classifier=name, **keys)

    rows = []
    for name, make_classifier in classifiers.items():
        rows += rows_of(name, make_classifier, dataset.spectra, splits, protocol)
    everything = [Split(rows_used, rows_used) for rows_used in map(np.concatenate, splits)]
    rows += rows_of("k_means", lambda: KMeansDetector(seed), dataset.spectra, everything, "published")
    rows += rows_of("k_means", lambda: KMeansDetector(seed), dataset.spectra, splits, "held_out")
    rows += rows_of("majority_class", majority_class, dataset.spectra, splits, protocol)
    if dataset.headers is not None:
        rows += rows_of("headers_only", lambda: headers_only(seed), header_features(dataset.headers), splits, protocol)
    return rows


def standardised_weights(dataset: SpectrumDataset, make_classifier: Callable) -> np.ndarray:
    """Return the weight of each bin in a linear classifier fitted to all rows, times the bin's spread, (n_bins,)."""
    return make_classifier().fit(dataset.spectra, dataset.labels).coef_.ravel() * dataset.spectra.std(axis=0)


def _equal_rows(sources, names, allowed, n_wanted, seed):
    """Return rows drawn from those allowed, the same number (`n_wanted` if there are as many) of each named source."""
    random = np.random.default_rng(seed)
    candidates = [random.permutation(np.flatnonzero(allowed & (sources == name))) for name in names]
    n_each = min(n_wanted, *map(len, candidates))
    return np.sort(np.concatenate([rows[:n_each] for rows in candidates]))


def _weighted_metrics(prediction, weights):
    """Return {metric: (n_draws,)} of one split, each row counted as often as `weights` (n_draws, n_test) says."""
    correct = prediction.predicted == prediction.labels
    real, fake = (np.flatnonzero(prediction.labels == label) for label in (REAL, FAKE))
    wins = np.heaviside(prediction.scores[fake, None] - prediction.scores[real], 0.5)  # fake above real; a tie is half
    with np.errstate(invalid="ignore"):  # 0 / 0 where a class was not drawn
        recall_real, recall_fake = (
            weights[:, rows] @ correct[rows] / weights[:, rows].sum(axis=1) for rows in (real, fake)
        )
        pairs = weights[:, fake].sum(axis=1) * weights[:, real].sum(axis=1)
        return {
            "accuracy": weights @ correct / weights.sum(axis=1),
            "balanced_accuracy": (recall_real + recall_fake) / 2,
            "recall_real": recall_real,
            "recall_fake": recall_fake,
            "roc_auc": ((weights[:, fake] @ wins) * weights[:, real]).sum(axis=1) / pairs,
        }


def _equal_error_rate(false_alarms, misses):
    """Return the rate at which false alarms and misses are equal, interpolated along the ROC curve."""
    crossing = np.flatnonzero(false_alarms >= misses)[0]  # never the first point: no alarm there, every fake missed
    gap = misses - false_alarms
    share = gap[crossing - 1] / (gap[crossing - 1] - gap[crossing])
    return false_alarms[crossing - 1] + share * (false_alarms[crossing] - false_alarms[crossing - 1])


def _number(value):
    """Return a float for JSON, None where it is undefined."""
    return float(value) if np.isfinite(value) else None
