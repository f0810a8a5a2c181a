"""From spectra, splits and scikit-learn estimators to predictions and tidy rows of results.

scikit-learn is loaded inside the functions that use it, so that `--help` of a script answers at once.
"""

import warnings
from collections.abc import Sequence
from inspect import signature

import numpy as np
from tqdm import tqdm

from deepfake_spectra.dataset import FAKE, REAL, SpectrumDataset, Split
from deepfake_spectra.files import printable
from deepfake_spectra.intervals import intervals
from deepfake_spectra.metrics import METRICS, Prediction, metric_values
from deepfake_spectra.parallel import in_threads

# Of liblinear. By its default, 1e-4, it stops so early on unscaled spectra that the last bit of a sum, which depends on
# the processor, decides some verdicts; down here it stands still, for twice the time.
LOGISTIC_TOLERANCE = 1e-10
MOST_SVC_ROWS = 4000  # beyond, the time of a fit grows faster than the square of the rows; see docs/scale.md


class KMeansDetector:
    """k-means with two clusters, turned so that its clusters agree best with the training labels.

    Fitted and scored on the same rows this is the paper's k-means, whose clusters are named by the better of the two
    ways; fitted on the training rows of a split it is a classifier like any other.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed

    def __sklearn_clone__(self) -> "KMeansDetector":
        """Return an unfitted copy, as scikit-learn's `clone` asks for."""
        return KMeansDetector(self.seed)

    def fit(self, spectra: np.ndarray, labels: np.ndarray) -> "KMeansDetector":
        """Find two clusters in the spectra (n, n_bins); the labels (n,) only name them."""
        from sklearn.cluster import KMeans

        # of many rows two copies less: the spectra of a split are one already, and the tolerance would need another
        sparing = {"copy_x": False, "tol": 0} if len(spectra) > MOST_SVC_ROWS else {}
        self._k_means = KMeans(n_clusters=2, n_init=10, random_state=self.seed, **sparing).fit(spectra)
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


def logistic_regression(max_iter: int, seed: int) -> object:
    """Return the paper's logistic regression, unfitted: scikit-learn's by liblinear, to LOGISTIC_TOLERANCE."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(solver="liblinear", tol=LOGISTIC_TOLERANCE, max_iter=max_iter, random_state=seed)


def result_rows(
    predictions: Sequence[Prediction],
    groups: np.ndarray | None = None,
    equal: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    **keys,
) -> list[dict]:
    """Return one tidy row for each metric of a classifier over its splits.

    Parameters
    ----------
    predictions : sequence of Prediction
        One per split.
    groups : (n_rows,) str, optional
        What the rows belong to, if they are not independent of each other.
    equal : (n_rows,) int, optional
        Of independent rows: the same number for copies of one image, which an interval counts once.
    clusters : (n_rows,), optional
        What the groups belong to, if they are not independent, either: people, of videos.
    **keys
        `table`, `protocol`, `n_samples`, `classifier` and whatever else tells the row from others.

    Returns
    -------
    list of dict
        `keys`, then `metric`, `mean` and `std` (over the splits, ddof = 1; None for one split), `low` and `high`
        (95 %, see `intervals.intervals`), `n_test`, `n_test_fake` (the fakes among them), `n_test_groups` (None without
        groups) and `scores` (one per split). Undefined numbers are None.
    """
    clusters = groups if clusters is None else clusters
    units = equal if clusters is None else clusters
    values = [metric_values(said, None if units is None else units[said.rows]) for said in predictions]
    n_test = [len(prediction.rows) for prediction in predictions]
    n_fake = [int(np.count_nonzero(prediction.labels == FAKE)) for prediction in predictions]
    n_groups = None if groups is None else [len(np.unique(groups[prediction.rows])) for prediction in predictions]
    limits = intervals(predictions, clusters, equal)
    rows = []
    for metric in METRICS:
        scores = np.array([value[metric] for value in values])
        rows.append(
            keys
            | {
                "metric": metric,
                "mean": number_or_none(scores.mean()),
                "std": number_or_none(scores.std(ddof=1)) if len(scores) > 1 else None,
                "low": number_or_none(limits[metric][0]),
                "high": number_or_none(limits[metric][1]),
                "n_test": n_test,
                "n_test_fake": n_fake,
                "n_test_groups": n_groups,
                "scores": [number_or_none(score) for score in scores],
            }
        )
    return rows


def dataset_rows(
    predictions: Sequence[Prediction], dataset: SpectrumDataset, clusters: np.ndarray | None = None, **keys
) -> list[dict]:
    """Return `result_rows` of predictions for rows of a data set: where images share groups, intervals are over those.

    The first row has `predictions`, too: a `Prediction` for each split, whose `rows` are paths.
    """
    units = {"groups": dataset.kept_together} if dataset.is_grouped else {"equal": dataset.equal_images}
    paths = np.array(dataset.paths, dtype=object)  # whose selections copy no text
    rows = result_rows(predictions, **units, clusters=clusters, **keys)
    rows[0]["predictions"] = [said._replace(rows=paths[said.rows]) for said in predictions]
    return rows


def score_classifiers(
    dataset: SpectrumDataset,
    splits: Sequence[Split],
    classifiers: dict[str, object],
    n_threads: int = -1,
    columns: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    **keys,
) -> list[dict]:
    """Return the rows of classifiers over some splits.

    Parameters
    ----------
    dataset : SpectrumDataset
    splits : sequence of Split
    classifiers : dict of str to estimator
        Name -> a scikit-learn classifier, or what has its methods; cloned for each split.
    n_threads : int
    columns : (n_rows, n_columns) float, optional
        What they are fitted to; default the spectra.
    clusters : (n_rows,), optional
        What the groups belong to, see `result_rows`.
    **keys
        Further keys of the rows: `table`, `protocol`, `n_samples`, ...

    Returns
    -------
    list of dict
        Of each classifier what `dataset_rows` returns.
    """
    columns = dataset.spectra if columns is None else columns
    classifiers, sentences = for_many_rows(classifiers, splits)
    dataset.remarks += [sentence for sentence in sentences if sentence not in dataset.remarks]
    rows = []
    for name, classifier in classifiers.items():
        what = fit_title(name, **keys)
        predictions = predict_splits(classifier, columns, dataset.labels, splits, n_threads, what)
        rows += dataset_rows(predictions, dataset, clusters, classifier=name, **keys)
    return rows


def score_k_means(
    dataset: SpectrumDataset, splits: Sequence[Split], seed: int, n_threads: int = -1, **keys
) -> list[dict]:
    """Return the rows of k-means as the paper has it, fitted and scored on all rows of a split, and held out."""
    k_means = {"k_means": KMeansDetector(seed)}
    everything = [Split(used, used) for used in map(np.concatenate, splits)]
    rows = score_classifiers(dataset, everything, k_means, n_threads, protocol="all_rows", **keys)
    return rows + score_classifiers(dataset, splits, k_means, n_threads, protocol="held_out", **keys)


def score_baselines(
    dataset: SpectrumDataset, splits: Sequence[Split], seed: int, n_threads: int = -1, **keys
) -> list[dict]:
    """Return the rows of what every classifier has to beat.

    That is the majority class of the training rows; and, where there are headers, a decision tree that sees nothing but
    them: what could be told without looking at a single pixel.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.tree import DecisionTreeClassifier

    majority = {"majority_class": DummyClassifier(strategy="most_frequent")}
    rows = score_classifiers(dataset, splits, majority, n_threads, np.zeros((len(dataset), 1)), **keys)
    if dataset.headers is None:
        return rows
    tree = {"headers_only": DecisionTreeClassifier(random_state=seed)}
    return rows + score_classifiers(dataset, splits, tree, n_threads, header_columns(dataset.headers), **keys)


def for_many_rows(classifiers: dict[str, object], splits: Sequence[Split]) -> tuple[dict[str, object], list[str]]:
    """Return the classifiers that can be fitted to the training rows of some splits, and a sentence for each change.

    Up to MOST_SVC_ROWS rows these are the classifiers that are given. Beyond, `newton` has the linear ones, and an SVC
    of another kernel is left out.
    """
    n_rows = max(len(split.train) for split in splits)
    if n_rows <= MOST_SVC_ROWS:
        return classifiers, []
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    from deepfake_spectra.newton import NewtonLogisticRegression, NewtonSVM

    fitting, sentences = {}, []
    for name, classifier in classifiers.items():
        many = f"{name}: {n_rows:,} rows to train on, more than {MOST_SVC_ROWS:,}"
        if isinstance(classifier, SVC) and classifier.kernel == "linear":
            fitting[name] = NewtonSVM(C=classifier.C)
            sentences.append(
                f"{many}: squared hinge loss in place of the hinge, of which a fit takes more than n^2 time"
            )
        elif isinstance(classifier, SVC):
            sentences.append(f"{many}: left out, since a fit with that kernel takes more than n^2 time")
        elif isinstance(classifier, LogisticRegression):
            fitting[name] = NewtonLogisticRegression(C=classifier.C)
            sentences.append(
                f"{many}: by Newton steps, the intercept not penalised, in place of liblinear's copy of all rows"
            )
        else:
            fitting[name] = classifier
    return fitting, sentences


def predict_splits(
    classifier: object,
    columns: np.ndarray,
    labels: np.ndarray,
    splits: Sequence[Split],
    n_threads: int = -1,
    what: str = "fits",
) -> list[Prediction]:
    """Fit a clone of a classifier on each split's training rows and ask it about the test rows.

    One core per split; of many rows, whose copies would add up, one split after the other.

    Parameters
    ----------
    classifier : estimator
        With `fit`, `predict` and `decision_function` or `predict_proba`. A fit that fails ends the run: a dropped one
        would improve the average.
    columns : (n_rows, n_columns) float
    labels : (n_rows,) REAL or FAKE
    splits : sequence of Split
    n_threads : int
    what : str
        What the progress bar says, and the sentence on fits that stopped before their end.
    """
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning

    stopped_early = []

    takes_rows = "rows" in signature(classifier.fit).parameters  # and copies none

    def predict(split):
        if takes_rows:
            fitted = clone(classifier).fit(columns, labels, split.train)
            scores = fitted.decision_function(columns, split.test)
            return Prediction(split.test, labels[split.test], np.where(scores > 0, FAKE, REAL), scores)
        fitted = clone(classifier).fit(columns[split.train], labels[split.train])
        most_steps = getattr(fitted, "max_iter", -1)
        stopped_early.append(0 < most_steps <= np.max(getattr(fitted, "n_iter_", 0)))
        test = columns[split.test]
        if hasattr(fitted, "decision_function"):
            scores = fitted.decision_function(test)
        else:
            scores = fitted.predict_proba(test)[:, list(fitted.classes_).index(FAKE)] - 0.5  # above 0: fake
        return Prediction(split.test, labels[split.test], fitted.predict(test), scores)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the sentence below says it
        has_many_rows = max(len(split.train) for split in splits) > MOST_SVC_ROWS
        predictions = in_threads(predict, splits, 1 if has_many_rows else n_threads)
        predictions = list(tqdm(predictions, what, len(splits), leave=False, unit="split", disable=None))
    if any(stopped_early):
        n_stopped = f"{sum(stopped_early)} of {len(splits)} fits"
        print(f"{what}: {n_stopped} stopped at max_iter = {classifier.max_iter}, before their end; raise it")
    return predictions


def fit_title(classifier: str, **keys) -> str:
    """Return what is fitted, from the keys of its rows, for a progress bar: "svm_rbf, videos, by_video, 400"."""
    said = (keys.get(name) for name in ("table", "condition", "protocol", "n_samples"))
    return printable(", ".join([classifier, *(str(value) for value in said if value)]))


def scores_by_source(dataset: SpectrumDataset, predictions: Sequence[Prediction]) -> dict[tuple[str, int], np.ndarray]:
    """Return {(source, label): held-out scores of its images over all splits}, reals first.

    Parameters
    ----------
    dataset : SpectrumDataset
    predictions : sequence of Prediction
        Whose rows are paths, as `score_classifiers` gives them.
    """
    source_of = dict(zip(dataset.paths, dataset.sources))
    paths, scores = (np.concatenate([getattr(said, name) for said in predictions]) for name in ("rows", "scores"))
    sources = np.array([source_of[path] for path in paths])
    return {
        (source, label): scores[sources == source] for label in (REAL, FAKE) for source in dataset.sources_of(label)
    }


def header_columns(headers: np.ndarray) -> np.ndarray:
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


def standardised_weights(dataset: SpectrumDataset, classifier: object) -> np.ndarray:
    """Return the weight of each bin in a linear classifier fitted to all rows, times the bin's spread, (n_bins,)."""
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils import gen_batches

    everything = np.arange(len(dataset))
    [classifier] = for_many_rows({"linear": classifier}, [Split(everything, everything)])[0].values()
    scaler = StandardScaler()
    for rows in gen_batches(len(dataset), 4096):  # all at once would be copied
        scaler.partial_fit(dataset.spectra[rows])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `predict_splits` has said it
        weights = clone(classifier).fit(dataset.spectra, dataset.labels).coef_.ravel()
    return weights * np.sqrt(scaler.var_)


def number_or_none(value: float) -> float | None:
    """Return a float for JSON, None where it is undefined."""
    return float(value) if np.isfinite(value) else None
