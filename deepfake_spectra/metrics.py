"""What predictions are worth: metrics of one test, under any weighting of its rows.

The positive class is "fake" throughout: a score grows with the belief that an image is fake. scikit-learn is loaded
inside the function that uses it, so that `--help` of a script answers at once.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from deepfake_spectra.dataset import FAKE
from deepfake_spectra.roc import ROC_METRICS, falling, likelihood_ratio_costs, roc_metrics

SHARES = ("accuracy", "balanced_accuracy", "recall_real", "recall_fake")
METRICS = (*SHARES, *ROC_METRICS, "cllr")


class Prediction(NamedTuple):
    """What one fitted classifier said about the test rows of one split."""

    rows: np.ndarray  # (n_test,) row numbers
    labels: np.ndarray  # (n_test,) REAL or FAKE, the truth
    predicted: np.ndarray  # (n_test,) REAL or FAKE
    scores: np.ndarray  # (n_test,) float, larger means fake


def metric_values(prediction: Prediction, units: np.ndarray | None = None) -> dict[str, float]:
    """Return {metric: value} for all of METRICS; NaN where a metric is not defined.

    Parameters
    ----------
    prediction : Prediction
    units : (n_test,), optional
        What each test row belongs to; default each to itself. See `roc.likelihood_ratio_costs`.
    """
    units = prediction.rows if units is None else units
    values = weighted_values(prediction, units, [np.ones((1, len(units)))])
    return {metric: float(value[0]) for metric, value in values.items()}


def weighted_values(
    prediction: Prediction, units: np.ndarray, weightings: Iterable[np.ndarray]
) -> dict[str, np.ndarray]:
    """Return {metric: (n_weightings,) values} for all of METRICS.

    Parameters
    ----------
    prediction : Prediction
    units : (n_test,)
        What each test row belongs to.
    weightings : iterable of (n, n_test) float
        How often each test row counts; of many weightings, some at a time. The likelihood ratios behind Cllr stay
        those of all rows.
    """
    is_fake = prediction.labels == FAKE
    correct = prediction.predicted == prediction.labels
    costs = likelihood_ratio_costs(is_fake, prediction.scores, np.unique(units, return_inverse=True)[1])
    ranking, classes = falling(prediction.scores), [np.flatnonzero(side) for side in (~is_fake, is_fake)]
    values = []
    for weights in weightings:
        with np.errstate(invalid="ignore"):  # 0 / 0 where a class has no weight
            accuracy = weights @ correct / weights.sum(axis=1)
            recalls, mean_costs = zip(*(
                [of_class @ column[rows] / of_class.sum(axis=1) for column in (correct, costs)]
                for rows in classes
                for of_class in [weights[:, rows]]
            ))  # fmt: skip
        shares = dict(zip(SHARES, (accuracy, sum(recalls) / 2, *recalls)))
        values.append(shares | roc_metrics(is_fake, ranking, weights) | {"cllr": sum(mean_costs) / 2})
    return {metric: np.concatenate([some[metric] for some in values]) for metric in METRICS}


def roc_points(predictions: Sequence[Prediction]) -> tuple[np.ndarray, np.ndarray]:
    """Return the ROC curve of all splits' test rows together: (share of reals, share of fakes) called fake."""
    from sklearn.metrics import roc_curve

    labels, scores = (np.concatenate([getattr(p, name) for p in predictions]) for name in ("labels", "scores"))
    return roc_curve(labels == FAKE, scores)[:2]
