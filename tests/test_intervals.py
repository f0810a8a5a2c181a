"""Intervals that equal slow references, and that hold the truth as often as they say."""

import tracemalloc

import numpy as np
import pytest
from datasets import make_prediction, random_prediction
from scipy.special import expit, logit
from scipy.stats import binomtest, t

from deepfake_spectra import intervals as module
from deepfake_spectra.classification import result_rows
from deepfake_spectra.dataset import FAKE, REAL
from deepfake_spectra.interval_coverage import Experiment, draw_experiment
from deepfake_spectra.intervals import intervals, paired_difference, wilson_interval
from deepfake_spectra.metrics import METRICS, SHARES, Prediction, metric_values
from deepfake_spectra.roc import ROC_METRICS


def splits_of(prediction, tests):
    """Return what was said of some rows, split by split."""
    return [Prediction(*(values[rows] for values in prediction)) for rows in tests]


def on_logit_scale(mean, variance, n_free):
    """Return the interval of a share from the variance of its estimate."""
    reach = t.ppf(0.975, n_free) * np.sqrt(variance) / (mean * (1 - mean))
    return tuple(expit(logit(mean) + np.array([-reach, reach])))


# --- independent rows


def test_wilson_interval_of_4_of_4_begins_at_51_per_cent():
    low, high = wilson_interval(1.0, 4)
    assert (round(low, 2), high) == (0.51, 1.0)


@pytest.mark.parametrize("right, n", [(0, 1), (1, 1), (0, 20), (3, 4), (17, 20), (500, 1000), (1000, 1000)])
def test_wilson_interval_equals_scipys(right, n):
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_same_test_ten_times_is_worth_one():
    prediction = make_prediction([0, 0, 0, 1, 1], [-1, -1, 1, 1, 1])
    limits = intervals([prediction] * 10)
    assert limits["accuracy"] == pytest.approx(wilson_interval(4 / 5, 5))
    assert limits["recall_real"] == pytest.approx(wilson_interval(2 / 3, 3))
    assert limits["recall_fake"] == pytest.approx(wilson_interval(1.0, 2))


def test_tests_of_other_rows_are_worth_all_of_them_and_overlapping_ones_less():
    prediction = random_prediction(90)
    apart = splits_of(prediction, [np.arange(30), np.arange(30, 60), np.arange(60, 90)])
    mean = np.mean([metric_values(split)["accuracy"] for split in apart])
    assert intervals(apart)["accuracy"] == pytest.approx(wilson_interval(mean, 90))
    third_shared = splits_of(prediction, [np.arange(30), np.arange(20, 50)])
    mean = np.mean([metric_values(split)["accuracy"] for split in third_shared])
    assert intervals(third_shared)["accuracy"] == pytest.approx(wilson_interval(mean, 2 * 30 / (1 + 1 / 3)))


def test_balanced_accuracy_of_independent_rows_has_the_interval_of_the_accuracy_where_classes_are_equal():
    labels = np.repeat([REAL, FAKE], 200)
    predicted = np.where(np.arange(400) % 10 == 0, 1 - labels, labels)  # 90 % of either class
    limits = intervals([Prediction(np.arange(400), labels, predicted, predicted.astype(float))])
    assert limits["balanced_accuracy"] == pytest.approx(limits["accuracy"], abs=0.003)


def test_balanced_accuracy_combines_the_recalls_limits_by_square_and_add():
    prediction = make_prediction([REAL] * 5 + [FAKE] * 20, [-1] * 4 + [1] + [1] * 12 + [-1] * 8)
    (real_low, real_high), (fake_low, fake_high) = wilson_interval(0.8, 5), wilson_interval(0.6, 20)
    low = 0.7 - np.sqrt((0.8 - real_low) ** 2 + (0.6 - fake_low) ** 2) / 2
    high = 0.7 + np.sqrt((real_high - 0.8) ** 2 + (fake_high - 0.6) ** 2) / 2
    assert intervals([prediction])["balanced_accuracy"] == pytest.approx((low, high))


def test_the_auc_of_one_test_has_the_interval_of_delongs_variance():
    prediction = random_prediction(150)
    reals, fakes = (prediction.scores[prediction.labels == label] for label in (REAL, FAKE))
    wins = np.heaviside(fakes[:, None] - reals, 0.5)
    variance = wins.mean(axis=1).var(ddof=1) / len(fakes) + wins.mean(axis=0).var(ddof=1) / len(reals)
    expected = on_logit_scale(wins.mean(), variance, 149)
    assert intervals([prediction])["roc_auc"] == pytest.approx(expected, abs=0.003)


def test_the_equal_error_rate_of_random_splits_has_the_interval_of_nadeau_and_bengio():
    everything = random_prediction(100)
    tests = [np.sort(np.random.default_rng(seed).permutation(100)[:20]) for seed in range(400)]
    splits = splits_of(everything, tests)
    rates = np.array([metric_values(split)["equal_error_rate"] for split in splits])
    variance = (1 / 400 + 20 / 80) * rates.var(ddof=1)
    expected = on_logit_scale(rates.mean(), variance, 399)
    assert intervals(splits)["equal_error_rate"] == pytest.approx(expected, abs=0.002)  # shares of rows vary


def test_a_perfect_auc_has_the_interval_of_no_error_in_the_smaller_class():
    prediction = make_prediction([REAL] * 30 + [FAKE] * 10, np.arange(40))
    n_free = 39
    assert intervals([prediction])["roc_auc"] == wilson_interval(1.0, 10, t.ppf(0.975, n_free))


def test_a_step_has_no_interval_by_leaving_out():
    prediction = random_prediction(200)
    assert metric_values(prediction)["recall_fake_at_5"] > 0
    assert np.isnan(intervals([prediction])["recall_fake_at_5"]).all()


def test_many_rows_take_no_memory_beyond_them():
    n = 50_000
    labels = np.arange(n) % 2
    prediction = make_prediction(labels, np.random.default_rng(0).normal(labels))
    tracemalloc.start()
    limits = intervals([prediction])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # of all pairs: 5 GB
    auc = metric_values(prediction)["roc_auc"]
    variance = (auc / (2 - auc) + 2 * auc**2 / (1 + auc) - 2 * auc**2) / (n / 2)  # Hanley and McNeil, of large classes
    assert np.ptp(limits["roc_auc"]) == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.25)


# --- groups


def slow_jackknife(splits, groups):
    """Return {metric: (mean, variance)} by evaluating the splits anew without each group."""

    def means(left_out):
        values = []
        for split in splits:
            kept = groups[split.rows] != left_out
            values.append(metric_values(Prediction(*(column[kept] for column in split)), groups[split.rows][kept]))
        return {metric: np.mean([value[metric] for value in values]) for metric in METRICS}

    names, whole = np.unique(groups), means(None)
    without = [means(name) for name in names]
    n = len(names)
    return {
        metric: (value, (n - 1) / n * sum((found[metric] - value) ** 2 for found in without))
        for metric, value in whole.items()
    }


def test_the_interval_over_groups_equals_a_slow_jackknife():
    everything = random_prediction(120)
    splits = splits_of(everything, [np.r_[0:72], np.r_[48:120]])
    groups = np.array([f"photograph {row // 6}" for row in range(120)])
    limits, expected = intervals(splits, groups), slow_jackknife(splits, groups)
    for metric in (*SHARES, *ROC_METRICS[:3]):
        assert limits[metric] == pytest.approx(on_logit_scale(*expected[metric], 19), abs=1e-9)


def test_without_an_error_in_groups_the_interval_is_wilsons_of_as_many_trials():
    prediction = make_prediction([REAL] * 30 + [FAKE] * 30, np.repeat([-1, 1], 30))
    groups = np.repeat([f"video {number}" for number in range(12)], 5)
    limits, quantile = intervals([prediction], groups), t.ppf(0.975, 11)
    for metric, n in (("accuracy", 12), ("recall_fake", 6), ("recall_real", 6), ("roc_auc", 6)):
        assert limits[metric] == pytest.approx(wilson_interval(1.0, n, quantile))
    assert limits["accuracy"][0] == pytest.approx(0.71, abs=0.005)


@pytest.mark.parametrize("gap", [3.0, 1e3, 1e9])
def test_classes_far_apart_have_intervals_without_a_warning(gap):
    labels = np.arange(60) % 2
    prediction = make_prediction(labels, gap * (labels - 0.5) + np.random.default_rng(0).normal(size=60))
    for groups in (None, np.arange(60) // 5):
        with np.errstate(all="raise", under="ignore"):
            limits = intervals([prediction], groups)
        assert np.isfinite(limits["roc_auc"]).all()
        assert np.isnan(limits["cllr"]).all() or limits["cllr"][0] <= limits["cllr"][1] < np.inf


def test_one_group_has_no_interval():
    prediction = make_prediction([0, 0, 1, 1], [-1, 1, 1, 1])
    assert np.isnan(list(intervals([prediction], np.array(list("aaaa"))).values())).all()


@pytest.mark.parametrize("n_groups", [5, 12])
def test_the_interval_over_few_groups_is_as_wide_as_students(n_groups):
    shares = np.linspace(0.4, 0.8, n_groups)  # right in each group of 50
    right = np.concatenate([np.arange(50) < 50 * share for share in shares])
    prediction = make_prediction([FAKE] * len(right), np.where(right, 1, -1))
    groups = np.repeat([f"video {number}" for number in range(n_groups)], 50)
    low, high = intervals([prediction], groups)["accuracy"]
    of_group = [right[groups == group].mean() for group in dict.fromkeys(groups)]
    expected = t.interval(0.95, n_groups - 1, np.mean(of_group), np.std(of_group, ddof=1) / np.sqrt(n_groups))
    assert high - low == pytest.approx(expected[1] - expected[0], rel=0.07)
    assert (low + high) / 2 == pytest.approx(np.mean(of_group), abs=0.02)


def test_rows_that_err_together_have_a_wider_interval_than_independent_ones():
    labels = np.repeat(np.arange(40) % 2, 10)
    photograph_is_right = np.repeat(np.random.default_rng(0).random(40) < 0.75, 10)
    prediction = make_prediction(labels, np.where(photograph_is_right, 1, -1) * (2 * labels - 1))
    groups = np.repeat([f"photograph {number}" for number in range(40)], 10)
    for metric in ("accuracy", "balanced_accuracy", "recall_fake", "roc_auc"):
        grouped, independent = (np.ptp(intervals([prediction], given)[metric]) for given in (groups, None))
        assert grouped > 2 * independent


def test_rows_are_matched_to_their_groups_whatever_their_order():
    prediction = random_prediction(60)
    groups = np.array([f"photograph {row // 6}" for row in range(60)])
    order = np.random.default_rng(1).permutation(60)
    shuffled = Prediction(*(values[order] for values in prediction))
    assert intervals([shuffled], groups)["accuracy"] == pytest.approx(intervals([prediction], groups)["accuracy"])


def test_a_thousand_groups_are_left_out_in_blocks(monkeypatch):
    labels = np.repeat(np.arange(1000) % 2, 3)
    prediction = make_prediction(labels, np.random.default_rng(0).normal(labels, 1.5))
    groups = np.repeat(np.arange(1000), 3)
    in_blocks = intervals([prediction], groups)["accuracy"]
    monkeypatch.setattr(module, "_MANY_BLOCKS", 1000)
    assert in_blocks == pytest.approx(intervals([prediction], groups)["accuracy"], abs=0.006)


# --- both


def test_the_mean_lies_within_its_interval():
    for predictions in ([random_prediction(60, seed) for seed in range(3)], [random_prediction(60)]):
        for groups in (None, np.arange(60) // 6):
            for row in result_rows(predictions, groups):
                assert row["low"] is None or row["low"] < row["mean"] < row["high"]


@pytest.mark.parametrize(
    "experiment", [Experiment(100, 5, 1.5), Experiment(16, 5, 2, group_size=8, correlation=0.2)], ids=["rows", "groups"]
)
def test_about_95_of_100_intervals_hold_the_truth(experiment):
    draws = np.array([draw_experiment(experiment, seed) for seed in range(150)])
    for metric in ("accuracy", "recall_real", "roc_auc", "equal_error_rate"):
        means, low, high = draws[:, METRICS.index(metric)].T
        covered = np.mean((low <= means.mean()) & (means.mean() <= high))
        assert 0.88 <= covered <= 0.999, metric  # three standard errors below 93 %, and not all


# --- differences


def test_a_difference_is_tested_by_the_corrected_variance():
    random = np.random.default_rng(0)
    first, second = random.normal(0.8, 0.02, 10), random.normal(0.78, 0.02, 10)
    found = paired_difference(first, second, 80, 20)
    error = np.std(first - second, ddof=1) * np.sqrt(1 / 10 + 20 / 80)
    assert found.mean == pytest.approx(np.mean(first - second))
    assert (found.low, found.high) == pytest.approx(t.interval(0.95, 9, found.mean, error))
    assert found.p_value == pytest.approx(2 * t.sf(abs(found.mean) / error, 9))
    uncorrected = paired_difference(first, second, 10**9, 1)
    assert found.high - found.low == pytest.approx(np.sqrt(3.5) * (uncorrected.high - uncorrected.low))


def test_equal_differences_tell_nothing_of_others():
    for second in (0.5, 0.25):
        found = paired_difference([0.5, 0.5], [second, second], 8, 2)
        assert found.mean == 0.5 - second and found.p_value == 1 and np.isnan([found.low, found.high]).all()
