"""Metrics that scikit-learn and a slow reference agree with, and intervals that mean what they say."""

import numpy as np
import pytest
from datasets import make_prediction, random_prediction
from scipy.optimize import brentq
from scipy.stats import binomtest, norm, t
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from deepfake_spectra import metrics
from deepfake_spectra.dataset import FAKE, REAL
from deepfake_spectra.metrics import (
    METRICS,
    Prediction,
    intervals,
    metric_values,
    result_rows,
    roc_points,
    wilson_interval,
)

# --- metrics


@pytest.mark.parametrize("n", [4, 11, 300])
def test_metrics_equal_those_of_scikit_learn(n):
    prediction = random_prediction(n)
    values = metric_values(prediction)
    truth = prediction.labels, prediction.predicted
    expected = {
        "accuracy": accuracy_score(*truth),
        "balanced_accuracy": balanced_accuracy_score(*truth),
        "recall_real": recall_score(*truth, pos_label=REAL),
        "recall_fake": recall_score(*truth, pos_label=FAKE),
        "roc_auc": roc_auc_score(prediction.labels, prediction.scores),
        "average_precision": average_precision_score(prediction.labels, prediction.scores),
    }
    assert tuple(values) == METRICS
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_metrics_of_a_test_known_by_hand():
    values = metric_values(make_prediction([REAL, REAL, REAL, FAKE, FAKE], [-3, -1, 2, -2, 1]))
    expected = {
        "accuracy": 3 / 5, "recall_real": 2 / 3, "recall_fake": 1 / 2, "balanced_accuracy": 7 / 12,
        "roc_auc": 3 / 6,  # of the pairs of a fake and a real, those that stand in the right order
    }  # fmt: skip
    assert {name: values[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    "scores, rate",
    [
        ([-4, -3, -2, -1, 1, 2, 3, 4], 0),
        ([4, 3, 2, 1, -1, -2, -3, -4], 1),
        ([0, 1, 2, 3, 2.5, 3.5, 4.5, 5.5], 0.25),  # between 2.5 and 3: one false alarm of 4, one miss of 4
        ([5] * 8, 0.5),
    ],
)
def test_equal_error_rate_of_curves_known_by_hand(scores, rate):
    assert metric_values(make_prediction([REAL] * 4 + [FAKE] * 4, scores))["equal_error_rate"] == pytest.approx(rate)


@pytest.mark.parametrize("n", [7, 50, 301])
def test_equal_error_rate_is_where_the_roc_curve_meets_the_diagonal(n):
    prediction = random_prediction(n, seed=n)
    false_alarms, hits, _ = roc_curve(prediction.labels, prediction.scores)
    expected = brentq(lambda rate: np.interp(rate, false_alarms, hits) - (1 - rate), 0, 1)
    assert metric_values(prediction)["equal_error_rate"] == pytest.approx(expected, abs=1e-9)


def test_the_roc_curve_pools_the_splits_and_fakes_are_what_it_finds():
    first, second = make_prediction([REAL, FAKE], [-1, 2]), make_prediction([REAL, REAL, FAKE], [0, 3, 1])
    false_alarms, hits = roc_points([first, second])  # from the highest score: a real, both fakes, two reals
    assert false_alarms.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1])
    assert hits.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("label, defined", [(REAL, "recall_real"), (FAKE, "recall_fake")])
def test_a_test_of_one_class_leaves_undefined_what_needs_both(label, defined):
    rows = {row["metric"]: row for row in result_rows([make_prediction([label] * 3, [1, -1, 1])], table="videos")}
    assert [name for name in METRICS if rows[name]["mean"] is not None] == ["accuracy", defined]
    assert rows["roc_auc"] | {"scores": [None], "mean": None, "std": None, "low": None, "high": None} == rows["roc_auc"]


def test_result_rows_hold_mean_spread_and_every_split():
    all_scores = [-1, -1, 1, 1], [-1, -1, 1, -1], [1, 1, -1, -1]
    predictions = [make_prediction([0, 0, 1, 1], scores) for scores in all_scores]
    rows = result_rows(predictions, table="transfer", classifier="svm_linear")
    assert [row["metric"] for row in rows] == list(METRICS)
    accuracy = rows[0]
    assert (accuracy["table"], accuracy["classifier"]) == ("transfer", "svm_linear")
    assert accuracy["scores"] == [1, 0.75, 0] and accuracy["mean"] == pytest.approx(1.75 / 3)
    assert accuracy["std"] == pytest.approx(np.std([1, 0.75, 0], ddof=1))
    assert accuracy["n_test"] == [4, 4, 4] and accuracy["n_test_groups"] is None
    assert all(type(value) is float for row in rows for value in (row["mean"], *row["scores"]))
    assert result_rows(predictions[:1])[0]["std"] is None


def test_result_rows_tell_how_many_groups_each_test_held():
    predictions = [Prediction(np.array(rows), *[np.array([0, 1, 1])] * 3) for rows in ([0, 1, 2], [2, 3, 4])]
    rows = result_rows(predictions, np.array(["a", "a", "b", "c", "d"]))
    assert {(*row["n_test"], *row["n_test_groups"]) for row in rows} == {(3, 3, 2, 3)}


# --- intervals


def test_wilson_interval_of_4_of_4_begins_at_51_per_cent():
    low, high = wilson_interval(1.0, 4)
    assert (round(low, 2), high) == (0.51, 1.0)


@pytest.mark.parametrize("right, n", [(0, 1), (1, 1), (0, 20), (3, 4), (17, 20), (500, 1000), (1000, 1000)])
def test_wilson_interval_equals_scipys(right, n):
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_accuracy_has_the_wilson_interval_of_one_test_set_however_many_splits():
    prediction = make_prediction([0, 0, 0, 1, 1], [-1, -1, 1, 1, 1])
    limits = intervals([prediction] * 10)
    assert limits["accuracy"] == pytest.approx(wilson_interval(4 / 5, 5))
    assert limits["recall_real"] == pytest.approx(wilson_interval(2 / 3, 3))
    assert limits["recall_fake"] == pytest.approx(wilson_interval(1.0, 2))


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


def test_without_an_error_a_bootstrap_is_undefined():
    prediction = make_prediction([0, 0, 1, 1], [-1, -1, 1, 1])
    assert np.isnan(intervals([prediction])["roc_auc"]).all()
    assert np.isnan(list(intervals([prediction], np.array(list("aabb"))).values())).all()


def test_the_bootstrap_equals_a_slow_one_that_repeats_rows(monkeypatch):
    monkeypatch.setattr(metrics, "_N_BOOTSTRAP", 50)
    everything = random_prediction(60)
    splits = [Prediction(*(values[rows] for values in everything)) for rows in (np.r_[0:36], np.r_[24:60])]
    groups = np.array([f"photograph {row // 6}" for row in range(60)])
    draws = np.random.default_rng(0).multinomial(10, np.full(10, 1 / 10), 50)  # the same
    drawn = {metric: [] for metric in ("accuracy", "recall_real", "recall_fake", "roc_auc")}
    for times in draws:
        sums = {metric: np.zeros(2) for metric in drawn}
        for split in splits:
            repeated = Prediction(*(np.repeat(values, times[split.rows // 6]) for values in split))
            n_real, n_fake = np.bincount(repeated.labels, minlength=2)
            values, numbers = metric_values(repeated), (n_real + n_fake, n_real, n_fake, n_real * n_fake)
            for metric, n in zip(drawn, numbers):
                sums[metric] += (values[metric] * n, n)
        for metric, (numerator, denominator) in sums.items():
            drawn[metric].append(numerator / denominator)
    drawn["balanced_accuracy"] = np.add(drawn["recall_real"], drawn["recall_fake"]) / 2
    limits = intervals(splits, groups)
    for metric, values in drawn.items():
        stretch = t.ppf(0.975, 9) / norm.ppf(0.975) * np.sqrt(10 / 9)
        expected = np.mean(values) + stretch * (np.quantile(values, [0.025, 0.975]) - np.mean(values))
        assert limits[metric] == pytest.approx(tuple(expected.clip(0, 1)), abs=1e-9)


@pytest.mark.parametrize("n_groups", [5, 12])
def test_the_interval_over_few_groups_is_as_wide_as_students(n_groups):
    shares = np.linspace(0.4, 0.8, n_groups)  # right in each group of 50
    right = np.concatenate([np.arange(50) < 50 * share for share in shares])
    prediction = make_prediction([FAKE] * len(right), np.where(right, 1, -1))
    groups = np.repeat([f"video {number}" for number in range(n_groups)], 50)
    low, high = intervals([prediction], groups)["accuracy"]
    of_group = [right[groups == group].mean() for group in dict.fromkeys(groups)]
    expected = t.interval(0.95, n_groups - 1, np.mean(of_group), np.std(of_group, ddof=1) / np.sqrt(n_groups))
    assert high - low == pytest.approx(expected[1] - expected[0], rel=0.07)  # unwidened: 37 and 15 % too narrow
    assert (low + high) / 2 == pytest.approx(np.mean(of_group), abs=0.02)


def test_the_bootstrap_interval_of_independent_rows_is_as_wide_as_wilsons():
    prediction = random_prediction(400)
    own_groups = np.array([f"row {row}" for row in range(400)])
    bootstrap, wilson = intervals([prediction], own_groups)["accuracy"], intervals([prediction])["accuracy"]
    assert bootstrap == pytest.approx(wilson, abs=0.01) and bootstrap != wilson


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


def test_the_mean_lies_within_its_interval():
    predictions = [random_prediction(60, seed) for seed in range(3)]
    for row in result_rows(predictions):
        assert row["low"] is None or row["low"] < row["mean"] < row["high"]
