"""What scores are worth whatever the threshold: metrics of the ROC curve, and the cost of log-likelihood ratios.

Arrays in, numbers out, under several weightings of the rows at once: an interval asks what the same metric would be
without some of them.
"""

import numpy as np

FALSE_ALARM_RATES = {"recall_fake_at_1": 0.01, "recall_fake_at_5": 0.05}
ROC_METRICS = ("roc_auc", "average_precision", "equal_error_rate", *FALSE_ALARM_RATES)


def falling(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order in which scores (n,) fall, and where in it each of their values is seen last."""
    order = np.argsort(-scores, kind="stable")
    return order, np.flatnonzero(np.diff(scores[order], append=-np.inf))


def roc_metrics(
    is_fake: np.ndarray, ranking: tuple[np.ndarray, np.ndarray], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Return {metric: value under each weighting} for ROC_METRICS.

    Parameters
    ----------
    is_fake : (n,) bool
    ranking : (order, last_of_ties)
        From `falling`, of scores that are larger for what is more likely fake.
    weights : (n_weightings, n) float
        How often each row counts.

    Returns
    -------
    dict of str to ndarray, (n_weightings,)
        `roc_auc`: the share of pairs of a fake and a real in which the fake has the higher score, a tie being a half.
        `average_precision`: the sum of precision times gain in recall over all thresholds. `equal_error_rate`: where
        false alarms and misses are equal, interpolated along the curve. `recall_fake_at_1`, `_at_5`: the share of fakes
        found at the lowest threshold that at most 1 % or 5 % of the reals reach; NaN where one real is more than that.
        All are NaN where a class has no weight.
    """
    order, last_of_ties = ranking
    called = [(weights * side)[:, order].cumsum(axis=1)[:, last_of_ties] for side in (is_fake, ~is_fake)]
    fakes, reals = (np.pad(counts, ((0, 0), (1, 0))) for counts in called)  # before the first, nothing is called fake
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN without a class
        hits, false_alarms = fakes / fakes[:, -1:], reals / reals[:, -1:]
        precision = fakes[:, 1:] / (fakes + reals)[:, 1:]
    gain = np.diff(hits)
    values = {
        "roc_auc": ((hits[:, 1:] + hits[:, :-1]) / 2 * np.diff(false_alarms)).sum(axis=1),
        "average_precision": (gain * np.nan_to_num(precision)).sum(axis=1),
        "equal_error_rate": _equal_error_rates(false_alarms, 1 - hits),
    }
    values["average_precision"][~np.isfinite(values["roc_auc"])] = np.nan
    for name, rate in FALSE_ALARM_RATES.items():
        found = np.where(false_alarms <= rate + 1e-12, hits, 0).max(axis=1)
        values[name] = np.where(rate * reals[:, -1] >= 1 - 1e-12, found, np.nan)
    return values


def likelihood_ratio_costs(is_fake: np.ndarray, scores: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return what each row adds to Cllr, the cost of its log-likelihood ratio in bits, (n,); all NaN if it has none.

    Cllr is half the sum of the mean cost of the reals and that of the fakes (Bruemmer, du Preez, "Application-
    independent evaluation of speaker detection", 2006): 0 for certainty that is right, 1 for a score that tells
    nothing, more for one that misleads. Scores are no likelihood ratios; each row's becomes one by two normal
    distributions of one variance, fitted to the rows of the *other* units.

    Parameters
    ----------
    is_fake : (n,) bool
    scores : (n,) float
    units : (n,) int, from 0
        What rows belong to, as images of one photograph.

    Returns
    -------
    ndarray of float64, (n,)
        All NaN if less than three rows of a class are left without a row's own unit, or scores vary between the classes
        and not within them.
    """
    scores = (scores - scores.mean()) / (scores.std() or 1)  # no cancellation below
    n_left, sums, squares = (
        np.array([(total := np.bincount(units, side * values)).sum() - total[units] for side in (~is_fake, is_fake)])
        for values in (np.ones(len(scores)), scores, scores**2)
    )
    if n_left.min() < 3:
        return np.full(len(scores), np.nan)
    means = sums / n_left
    variance = (squares - n_left * means**2).sum(axis=0) / (n_left.sum(axis=0) - 2)
    is_spread = variance > 1e-12
    if (~is_spread & (np.abs(means[1] - means[0]) > 1e-6)).any():
        return np.full(len(scores), np.nan)
    slope = np.divide(means[1] - means[0], variance, out=np.zeros(len(scores)), where=is_spread)
    log_ratios = slope * (scores - means.mean(axis=0))
    return np.logaddexp(0, np.where(is_fake, -log_ratios, log_ratios)) / np.log(2)


def _equal_error_rates(false_alarms, misses):
    """Return the rates at which false alarms and misses are equal, interpolated along the curves (n_curves, n)."""
    gap = misses - false_alarms
    curve, crossing = np.arange(len(gap)), np.argmax(gap <= 0, axis=1)  # never the first point, where misses are 1
    before, after = gap[curve, crossing - 1], gap[curve, crossing]
    share = before / (before - after)
    start, end = false_alarms[curve, crossing - 1], false_alarms[curve, crossing]
    return start + share * (end - start)
