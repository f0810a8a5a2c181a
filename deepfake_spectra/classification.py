"""The paper's classifiers, and those that they have to beat: from spectra and splits to predictions.

scikit-learn is loaded inside the functions that use it, so that `--help` of a script answers at once.
"""

from collections.abc import Callable, Sequence

import numpy as np
from tqdm import tqdm

from deepfake_spectra.metrics import Prediction, result_rows
from deepfake_spectra.image_spectra import FAKE, REAL, SpectrumDataset
from deepfake_spectra.splits import Split
from deepfake_spectra.parallel import in_threads


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
    keys = {"table": "sample_sizes", **keys}
    everything = [Split(used, used) for used in map(np.concatenate, splits)]
    k_means = {"k_means": lambda: KMeansDetector(seed)}
    rows = score_classifiers(dataset, splits, classifiers, n_threads, protocol=protocol, **keys)
    rows += score_classifiers(dataset, everything, k_means, n_threads, protocol="published", **keys)
    rows += score_classifiers(dataset, splits, k_means, n_threads, protocol="held_out", **keys)
    return rows + score_baselines(dataset, splits, seed, n_threads, protocol=protocol, **keys)


def score_baselines(
    dataset: SpectrumDataset, splits: Sequence[Split], seed: int, n_threads: int = -1, **keys
) -> list[dict]:
    """Return the rows of the majority class, and of a decision tree on nothing but the headers if there are any."""
    rows = score_classifiers(dataset, splits, {"majority_class": majority_class}, n_threads, **keys)
    if dataset.headers is None:
        return rows
    columns = header_features(dataset.headers)
    return rows + score_classifiers(
        dataset, splits, {"headers_only": lambda: headers_only(seed)}, n_threads, columns, **keys
    )


def score_classifiers(
    dataset: SpectrumDataset,
    splits: Sequence[Split],
    classifiers: dict[str, Callable],
    n_threads: int = -1,
    columns: np.ndarray | None = None,
    **keys,
) -> list[dict]:
    """Return the rows of classifiers over some splits.

    Parameters
    ----------
    dataset : SpectrumDataset
    splits : sequence of Split
    classifiers : dict of str to callable
        Name -> () -> classifier.
    n_threads : int
    columns : (n_rows, n_columns) float, optional
        What they are fitted to; default the spectra.
    **keys
        Further keys of the rows: `table`, `protocol`, `n_samples`, ...

    Returns
    -------
    list of dict
        See `metrics.result_rows`; where images share groups, those are what the intervals are over.
    """
    columns = dataset.spectra if columns is None else columns
    groups = dataset.groups if dataset.is_grouped else None
    rows = []
    for name, make_classifier in classifiers.items():
        predictions = predict_splits(make_classifier, columns, dataset.labels, splits, n_threads)
        rows += result_rows(predictions, groups, classifier=name, **keys)
    return rows


def standardised_weights(dataset: SpectrumDataset, make_classifier: Callable) -> np.ndarray:
    """Return the weight of each bin in a linear classifier fitted to all rows, times the bin's spread, (n_bins,)."""
    return make_classifier().fit(dataset.spectra, dataset.labels).coef_.ravel() * dataset.spectra.std(axis=0)
