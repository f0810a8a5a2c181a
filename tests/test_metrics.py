"""Metrics that scikit-learn and slow references agree with."""

import numpy as np
import pytest
from datasets import make_prediction, random_prediction
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from deepfake_spectra.classification import result_rows
from deepfake_spectra.dataset import FAKE, REAL
from deepfake_spectra.metrics import METRICS, Prediction, metric_values, roc_points

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
    defined = [row for row in rows if row["mean"] is not None]
    assert [row["metric"] for row in rows if row not in defined] == ["recall_fake_at_1", "recall_fake_at_5", "cllr"]
    assert all(type(value) is float for row in defined for value in (row["mean"], *row["scores"]))
    assert result_rows(predictions[:1])[0]["std"] is None


def test_result_rows_tell_how_many_groups_each_test_held():
    predictions = [Prediction(np.array(rows), *[np.array([0, 1, 1])] * 3) for rows in ([0, 1, 2], [2, 3, 4])]
    rows = result_rows(predictions, np.array(["a", "a", "b", "c", "d"]))
    assert {(*row["n_test"], *row["n_test_groups"]) for row in rows} == {(3, 3, 2, 3)}


# --- recall at a rate of false alarms, and Cllr


def test_recall_at_a_rate_of_false_alarms_is_that_of_the_lowest_threshold_that_keeps_it():
    reals = np.arange(100.0)  # 95 and above: five of them
    prediction = make_prediction([REAL] * 100 + [FAKE] * 4, [*reals, 94.5, 94.0, 95.5, 98.5])
    values = metric_values(prediction)
    assert values["recall_fake_at_5"] == 3 / 4  # above 94, where a real and a fake are equal
    assert values["recall_fake_at_1"] == 1 / 4  # above 98


@pytest.mark.parametrize("n_reals, defined", [(19, ()), (20, ("recall_fake_at_5",)), (99, ("recall_fake_at_5",))])
def test_a_rate_of_false_alarms_needs_enough_reals(n_reals, defined):
    values = metric_values(make_prediction([REAL] * n_reals + [FAKE] * 9, np.arange(n_reals + 9)))
    for metric in ("recall_fake_at_1", "recall_fake_at_5"):
        assert np.isfinite(values[metric]) == (metric in defined)


def test_cllr_equals_a_slow_one_that_fits_without_each_row():
    prediction = random_prediction(40)
    costs = []
    for row in range(40):
        others = np.arange(40) != row
        reals, fakes = (prediction.scores[others & (prediction.labels == label)] for label in (REAL, FAKE))
        spread = np.sqrt((len(reals) * reals.var() + len(fakes) * fakes.var()) / (37))
        log_ratio = norm.logpdf(prediction.scores[row], fakes.mean(), spread)
        log_ratio -= norm.logpdf(prediction.scores[row], reals.mean(), spread)
        costs.append(np.log2(1 + np.exp(-log_ratio if prediction.labels[row] == FAKE else log_ratio)))
    costs = np.array(costs)
    expected = np.mean([costs[prediction.labels == label].mean() for label in (REAL, FAKE)])
    assert metric_values(prediction)["cllr"] == pytest.approx(expected, rel=1e-9)


def test_cllr_of_normal_scores_is_the_integral_over_their_densities():
    labels = np.arange(20_000) % 2
    scores = np.random.default_rng(0).normal(2.0 * labels)  # log-likelihood ratio 2 s - 2
    bits = quad(lambda s: norm.pdf(s) * np.log2(1 + np.exp(2 * s - 2)), -10, 10)[0]  # both classes' means are equal
    assert metric_values(make_prediction(labels, scores))["cllr"] == pytest.approx(bits, abs=0.01)


def test_a_score_that_tells_nothing_costs_one_bit_and_units_do_not_calibrate_themselves():
    labels = np.arange(40) % 2
    assert metric_values(make_prediction(labels, np.zeros(40)))["cllr"] == pytest.approx(1)
    scores = np.random.default_rng(0).normal(size=10)[np.arange(40) // 4]  # each photograph its own score
    alone, together = (metric_values(make_prediction(labels, scores), of) for of in (None, np.arange(40) // 4))
    assert together["cllr"] >= 1 and together["cllr"] != alone["cllr"]


def test_two_values_that_tell_the_classes_apart_have_no_likelihood_ratios():
    labels = np.arange(40) % 2
    assert np.isnan(metric_values(make_prediction(labels, labels - 0.5))["cllr"])


def test_too_few_rows_have_no_likelihood_ratios():
    assert np.isnan(metric_values(make_prediction([REAL] * 3 + [FAKE] * 9, np.arange(12)))["cllr"])
