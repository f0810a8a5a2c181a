"""How far a number can be trusted: 95 % intervals of metrics over splits, and of the difference of two classifiers.

How often they hold the truth is simulated by `python -m deepfake_spectra.interval_coverage`; docs/intervals.md has
the table.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from deepfake_spectra.dataset import FAKE, REAL
from deepfake_spectra.metrics import METRICS, SHARES, Prediction, weighted_values
from deepfake_spectra.roc import FALSE_ALARM_RATES

_UPPER = (1 + 0.95) / 2
_UNDEFINED = (np.nan, np.nan)
_MANY_BLOCKS = 100  # are left out one at a time, where units are more than twice as many
_LEAST_SPLITS = 5  # whose spread says anything
_MOST_SHARED = 0.5  # of the rows of two tests: the spread of nearly the same tests says nothing, either
_MOST_WEIGHTS = 2**18  # held at a time
_MOST_EXPONENT = 300  # of an interval's factor: nearly the largest number
_SMOOTH = ("roc_auc", "average_precision")  # which the jackknife suits best


class Difference(NamedTuple):
    """By how much one classifier is better than another on the same splits."""

    mean: float
    low: float  # 95 % interval
    high: float
    p_value: float  # two-sided, of no difference


def intervals(
    predictions: Sequence[Prediction], groups: np.ndarray | None = None, equal: np.ndarray | None = None
) -> dict[str, tuple[float, float]]:
    """Return {metric: 95 % interval}: what other images, or other groups, could have given, split alike.

    **Rows with groups.** The groups are left out one at a time: jackknife on the logit scale (Cllr: logarithm) with
    Student's t of G - 1, for G groups; more than 200 in 100 blocks. Where that changes nothing, as no error is seen:
    Wilson's interval with that t, and n = G for the accuracy, the groups of its class for a recall, those of the
    smaller class for what needs both.

    **Independent rows.** The splits test the same rows again and again: J tests of n rows, of which two share the
    part r, are worth n' = J n / (1 + (J - 1) r) rows. Accuracy and recalls: Wilson's interval of the mean with n';
    the balanced accuracy combines those of the recalls by Newcombe's square-and-add method ("Interval Estimation for
    the Difference Between Independent Proportions", 1998). The others, on the scales above: the variance of one test
    times n / n'. That of one test is what the splits vary by, over 1 - r, with t of J - 1: for random splits the
    correction of Nadeau and Bengio ("Inference for the Generalization Error", 2003). For AUC and average precision it
    is at least the jackknife's within a test, with the t of that. Where there are less than five splits, or tests of
    nearly the same rows, it is the jackknife's; a recall at a rate of false alarms, which moves in steps, has no
    interval there.

    Parameters
    ----------
    predictions : sequence of Prediction
        One per split.
    groups : (n_rows,) str, optional
        What the rows belong to, if they are not independent of each other.
    equal : (n_rows,) int, optional
        Of independent rows: the same number for copies of one image, which count once.

    Returns
    -------
    dict of str to (float, float)
        (NaN, NaN) where the metric is not defined in some split, or nothing can be left out.
    """
    if groups is not None:
        return _of_groups(predictions, [groups[prediction.rows] for prediction in predictions])
    units = [prediction.rows if equal is None else equal[prediction.rows] for prediction in predictions]
    return _of_shares(predictions, units) | _of_ranks(predictions, units)


def wilson_interval(share: float, n: float, quantile: float | None = None) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a share seen in n trials: 4 of 4 right gives (0.51, 1).

    `quantile`, of Student's t, stands in for the normal distribution's 1.96.
    """
    z = quantile or NormalDist().inv_cdf(_UPPER)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half_width = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = max(0.0, centre - half_width), min(1.0, centre + half_width)
    return low if share > 0 else 0.0, high if share < 1 else 1.0


def paired_difference(first: Sequence[float], second: Sequence[float], n_train: int, n_test: int) -> Difference:
    """Return how much the first of two classifiers is better, from the scores of both on the same random splits.

    The corrected resampled t test of Nadeau and Bengio (2003): the variance of the mean over J splits is
    1 / J + n_test / n_train times that of the single differences, with t of J - 1.

    Parameters
    ----------
    first, second : (n_splits,) float
        At least two.
    n_train, n_test : int
        Rows, or groups, of each split.

    Returns
    -------
    Difference
        Where all differences are equal, they tell nothing of others: no interval (NaN), and p = 1.
    """
    from scipy.special import stdtr

    differences = np.subtract(first, second)
    n_splits, mean = len(differences), float(differences.mean())
    error = float(np.sqrt((1 / n_splits + n_test / n_train) * differences.var(ddof=1)))
    if error < 1e-12:
        return Difference(mean, np.nan, np.nan, 1.0)
    p_value = float(2 * stdtr(n_splits - 1, -abs(mean) / error))
    return Difference(mean, *student_interval(mean, error, n_splits - 1), p_value)


def student_interval(mean: float, error: float, n_free: float) -> tuple[float, float]:
    """Return Student's interval of a mean, from its standard error and the degrees of freedom of that."""
    reach = _t_quantile(n_free) * error
    return mean - reach, mean + reach


def _of_groups(predictions, groups):
    """Return the intervals of all metrics by leaving out one group, or one block of many groups, at a time."""
    labels = np.concatenate([prediction.labels for prediction in predictions])
    block_of_row, n_blocks = _blocks(np.concatenate(groups), labels)
    if n_blocks < 2:
        return dict.fromkeys(METRICS, _UNDEFINED)
    in_splits = np.split(block_of_row, np.cumsum([len(of_rows) for of_rows in groups])[:-1])
    scores, variances = _jackknife(predictions, groups, in_splits, n_blocks)
    between, quantile = _between(scores, groups), _t_quantile(n_blocks - 1)
    n_real, n_fake = (len(np.unique(np.concatenate(groups)[labels == label])) for label in (REAL, FAKE))
    n_of = {"accuracy": len(np.unique(np.concatenate(groups))), "recall_real": n_real, "recall_fake": n_fake}
    limits = {}
    for metric, of_metric in scores.items():
        variance = np.fmax(variances[metric], between[metric])
        limits[metric] = _limits(metric, of_metric.mean(), variance, quantile, n_of.get(metric, min(n_real, n_fake)))
    return limits


def _of_shares(predictions, units):
    """Return the intervals of the shares of independent rows that are right, by Wilson and Newcombe."""
    limits, centres = dict.fromkeys(SHARES, _UNDEFINED), {}
    for metric, members in (("accuracy", (REAL, FAKE)), ("recall_real", (REAL,)), ("recall_fake", (FAKE,))):
        chosen = [np.isin(prediction.labels, members) for prediction in predictions]
        if all(rows.any() for rows in chosen):
            right = [np.mean((p.predicted == p.labels)[rows]) for p, rows in zip(predictions, chosen)]
            centres[metric] = np.mean(right)
            n_effective, _ = _effective_rows([of_rows[rows] for of_rows, rows in zip(units, chosen)])
            limits[metric] = wilson_interval(centres[metric], n_effective)
    if len(centres) == 3:
        recalls = ("recall_real", "recall_fake")
        below, above = (np.hypot(*(centres[metric] - limits[metric][end] for metric in recalls)) / 2 for end in (0, 1))
        centre = np.mean([centres[metric] for metric in recalls])
        limits["balanced_accuracy"] = (max(0.0, centre - below), min(1.0, centre + above))
    return limits


def _of_ranks(predictions, units):
    """Return the intervals of what the scores of independent rows are worth, whatever the threshold."""
    n_effective, _ = _effective_rows(units)
    n_of_class = [
        _effective_rows([of_rows[p.labels == label] for of_rows, p in zip(units, predictions)])[0]
        for label in (REAL, FAKE)
    ]
    found, n_blocks = [], 2 * _MANY_BLOCKS
    for prediction, of_rows in zip(predictions, units):
        block_of_row, n_of_test = _blocks(of_rows, prediction.labels)
        found.append(_jackknife([prediction], [of_rows], [block_of_row], n_of_test))
        n_blocks = min(n_blocks, n_of_test)
    scores = {metric: np.concatenate([of_split[metric] for of_split, _ in found]) for metric in METRICS}
    between = _between(scores, units)
    repeats = np.mean([len(np.unique(of_rows)) for of_rows in units]) / n_effective
    limits = {}
    for metric in METRICS[len(SHARES) :]:
        within = repeats * np.mean([variances[metric] for _, variances in found])
        variance, quantile = np.fmax(within, between[metric]), _t_quantile(n_blocks - 1)
        if metric not in _SMOOTH and np.isfinite(between[metric]):
            variance, quantile = between[metric], _t_quantile(len(predictions) - 1)
        elif metric in FALSE_ALARM_RATES:
            variance = np.nan
        limits[metric] = _limits(metric, scores[metric].mean(), variance, quantile, min(n_of_class))
    return limits


def _between(scores, units):
    """Return {metric: variance of the mean over splits} from what the splits vary by; NaN where that says nothing."""
    n_effective, shared = _effective_rows(units)
    if len(units) < _LEAST_SPLITS or not 0 < shared <= _MOST_SHARED:
        return dict.fromkeys(scores, np.nan)
    repeats = np.mean([len(np.unique(of_rows)) for of_rows in units]) / n_effective
    return {metric: repeats * of_metric.var(ddof=1) / (1 - shared) for metric, of_metric in scores.items()}


def _effective_rows(units):
    """Return how many rows several tests of the same rows are worth, and which share of them two tests have in common.

    `units` holds for each test what its rows are, (n_test,); copies within a test count once.
    """
    tested = np.concatenate([np.unique(of_rows) for of_rows in units])
    if not len(tested):
        return 0, 1.0
    n_tests = np.unique(tested, return_counts=True)[1]
    n_effective = len(tested) ** 2 / (n_tests**2).sum()
    return n_effective, (len(tested) / n_effective - 1) / (len(units) - 1) if len(units) > 1 else 1.0


def _blocks(units, labels):
    """Return the block that each row's unit is dealt to, (n,) from 0, and their number: few units make one each.

    Classes are dealt evenly, in an order that is random but always the same.
    """
    names, first, unit_of_row = np.unique(units, return_index=True, return_inverse=True)
    order = np.lexsort((np.random.default_rng(0).permutation(len(names)), labels[first]))
    n_blocks = len(names) if len(names) <= 2 * _MANY_BLOCKS else _MANY_BLOCKS
    block_of_unit = np.empty(len(names), dtype=int)
    block_of_unit[order] = np.arange(len(names)) % n_blocks
    return block_of_unit[unit_of_row], n_blocks


def _jackknife(predictions, units, blocks, n_blocks):
    """Return {metric: (n_splits,) values} and {metric: variance of their mean}, leaving out one block at a time.

    `units` and `blocks` hold for each split what its rows belong to. A split where a metric is not defined without a
    block is passed over there.
    """
    everything = [
        weighted_values(prediction, of_rows, [np.ones((1, len(of_rows)))])
        for prediction, of_rows in zip(predictions, units)
    ]
    without = {
        metric: np.repeat([values[metric] for values in everything], n_blocks, axis=1) for metric in METRICS
    }  # (n_splits, n_blocks)
    scores = {metric: values[:, 0].copy() for metric, values in without.items()}
    for split, (prediction, of_rows, block_of_row) in enumerate(zip(predictions, units, blocks)):
        present, n_at_once = np.unique(block_of_row), max(1, _MOST_WEIGHTS // len(of_rows))
        weightings = (
            (block_of_row != present[start : start + n_at_once, None]).astype(np.float64)
            for start in range(0, len(present), n_at_once)
        )
        for metric, values in weighted_values(prediction, of_rows, weightings).items():
            without[metric][split, present] = values
    variances = {}
    for metric, values in without.items():
        is_defined = np.isfinite(values)
        sums, n_splits = np.where(is_defined, values, 0).sum(axis=0), is_defined.sum(axis=0)
        changes = sums[n_splits > 0] / n_splits[n_splits > 0] - scores[metric].mean()
        variances[metric] = (n_blocks - 1) / n_blocks * (changes**2).sum() if len(changes) > 1 else np.nan
    return scores, variances


def _limits(metric, mean, variance, quantile, n):
    """Return the interval of a mean; where nothing varies, of a share that was seen in n trials."""
    from scipy.special import expit, logit

    if not (np.isfinite(mean) and np.isfinite(variance)):
        return _UNDEFINED
    reach = quantile * np.sqrt(variance)
    if metric == "cllr":
        factor = np.exp(min(reach / mean, _MOST_EXPONENT)) if mean > 0 else np.nan
        return mean / factor, mean * factor
    if reach < 1e-9 or not 0 < mean < 1:
        return wilson_interval(min(max(mean, 0.0), 1.0), n, quantile)
    ends = logit(mean) + np.array([-1, 1]) * reach / (mean * (1 - mean))
    return tuple(expit(ends))


def _t_quantile(n_free):
    """Return the quantile of Student's t that 95 % intervals reach to."""
    from scipy.special import stdtrit

    return float(stdtrit(max(n_free, 1), _UPPER))
