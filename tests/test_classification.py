"""Splits that do not leak, metrics that scikit-learn agrees with, and intervals that mean what they say."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from deepfake_spectra.classification import (
    KMeansDetector,
    compare_classifiers,
    header_features,
    headers_only,
    logistic_regression,
    majority_class,
    predict_splits,
    standardised_weights,
    svm,
)
from deepfake_spectra.image_files import IMAGE_HEADER
from deepfake_spectra.metrics import METRICS, Prediction, _weighted_parts, intervals, metric_values, result_rows, wilson_interval
from deepfake_spectra.image_spectra import FAKE, REAL, SpectrumDataset
from deepfake_spectra.splits import Split, equal_split, held_out_identities, held_out_rows, random_splits, source_splits

SOURCES = {"real_a": REAL, "real_b": REAL, "fake_a": FAKE, "fake_b": FAKE}
EQUAL_HEADER = (64, 48, "PNG", 0, "")


def make_dataset(n_per_source=20, gap=2.0, n_groups=None, seed=0):
    """Return noise of 5 values, that of fakes shifted by `gap`; with `n_groups`, image i belongs to photograph i % n."""
    sources = np.repeat(list(SOURCES), n_per_source)
    labels = np.array([SOURCES[source] for source in sources])
    spectra = np.random.default_rng(seed).normal(size=(len(labels), 5)) + gap * labels[:, None]
    numbers = np.tile(np.arange(n_per_source), len(SOURCES))
    paths = [f"{source}/{number}.png" for source, number in zip(sources, numbers)]
    groups = np.array([f"photograph {number % n_groups}" for number in numbers] if n_groups else paths)
    headers = np.array([EQUAL_HEADER] * len(labels), dtype=IMAGE_HEADER)
    return SpectrumDataset(spectra, labels, sources, groups, paths, headers)


def make_prediction(labels, scores, rows=None):
    """Return what a classifier said whose threshold is 0."""
    labels, scores = np.array(labels), np.array(scores, dtype=float)
    rows = np.arange(len(labels)) if rows is None else rows
    return Prediction(rows, labels, np.where(scores > 0, FAKE, REAL), scores)


def random_prediction(n, seed=0):
    """Return one that is right more often than not, with ties among its scores."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(n) % 2)
    return make_prediction(labels, np.round(random.normal(labels - 0.5, 1), 1))


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
    assert accuracy["scores"] == [1, 0.75, 0] and accuracy["n_test"] == [4, 4, 4]
    assert accuracy["mean"] == pytest.approx(1.75 / 3) and accuracy["std"] == pytest.approx(
        np.std([1, 0.75, 0], ddof=1)
    )
    assert (accuracy["table"], accuracy["classifier"]) == ("transfer", "svm_linear")
    assert all(type(value) is float for row in rows for value in (row["mean"], *row["scores"]))
    assert result_rows(predictions[:1])[0]["std"] is None


# --- intervals


def test_wilson_interval_of_4_of_4_begins_at_51_per_cent():
    low, high = wilson_interval(1.0, 4)
    assert (round(low, 2), high) == (0.51, 1.0)


@pytest.mark.parametrize("right, n", [(0, 1), (1, 1), (0, 20), (3, 4), (17, 20), (500, 1000), (1000, 1000)])
def test_wilson_interval_equals_scipys(right, n):
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_accuracy_has_the_wilson_interval_of_one_test_set_however_many_splits():
    prediction = make_prediction([0, 0, 1, 1], [-1, -1, 1, 1])
    assert intervals([prediction] * 10)["accuracy"] == wilson_interval(1.0, 4)
    assert intervals([prediction] * 10)["recall_fake"] == wilson_interval(1.0, 2)


def test_without_an_error_a_bootstrap_is_undefined():
    limits = intervals([make_prediction([0, 0, 1, 1], [-1, -1, 1, 1])])
    assert np.isnan(limits["roc_auc"]).all()
    assert limits["balanced_accuracy"] == pytest.approx((0.53, 1), abs=0.01)  # that needs no bootstrap


@pytest.mark.parametrize("n", [6, 41])
def test_weights_of_one_give_the_plain_metrics(n):
    prediction = random_prediction(n)
    weighted = {name: np.divide(*part) for name, part in _weighted_parts(prediction, np.ones((1, n))).items()}
    values = metric_values(prediction)
    assert {name: float(value[0]) for name, value in weighted.items()} == pytest.approx(
        {name: values[name] for name in weighted}
    )
    assert set(weighted) == set(METRICS) - {"balanced_accuracy", "average_precision", "equal_error_rate"}


def test_whole_weights_equal_repeated_rows():
    prediction = random_prediction(40)
    draws = np.random.default_rng(1).integers(0, 4, (20, 40))
    weighted = {name: np.divide(*part) for name, part in _weighted_parts(prediction, draws.astype(float)).items()}
    for number, weights in enumerate(draws):
        repeated_rows = (np.repeat(values, weights) for values in (prediction.labels, prediction.scores))
        repeated = metric_values(make_prediction(*repeated_rows))
        for name in weighted:
            assert weighted[name][number] == pytest.approx(repeated[name])


def test_the_bootstrap_interval_of_independent_rows_is_as_wide_as_wilsons():
    prediction = random_prediction(400)
    own_groups = np.array([f"row {row}" for row in range(400)])
    bootstrap, wilson = intervals([prediction], own_groups)["accuracy"], intervals([prediction])["accuracy"]
    assert bootstrap == pytest.approx(wilson, abs=0.01) and bootstrap != wilson


def test_rows_that_err_together_have_a_wider_interval_than_independent_ones():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(40) % 2, 10)
    scores = np.where(np.repeat(random.random(40) < 0.75, 10), 1, -1) * (
        2 * labels - 1
    )  # a photograph is right or wrong
    groups = np.repeat([f"photograph {number}" for number in range(40)], 10)
    prediction = make_prediction(labels, scores)
    for metric in ("accuracy", "balanced_accuracy", "recall_fake", "roc_auc"):
        grouped, independent = (np.ptp(intervals([prediction], given)[metric]) for given in (groups, None))
        assert grouped > 2 * independent


def test_the_mean_lies_within_its_interval():
    predictions = [random_prediction(60, seed) for seed in range(3)]
    for row in result_rows(predictions):
        assert row["low"] is None or row["low"] < row["mean"] < row["high"]


# --- splits


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("seed", range(3))
def test_held_out_rows_take_their_share_of_every_source_and_never_all(share, seed):
    dataset = make_dataset(20)
    held_out = held_out_rows(dataset.sources, dataset.groups, share, seed)
    expected = min(max(round(share * 20), 1), 19)
    assert [held_out[dataset.sources == source].sum() for source in SOURCES] == [expected] * 4


@pytest.mark.parametrize("seed", range(5))
def test_no_group_stands_on_both_sides(seed):
    dataset = make_dataset(24, n_groups=8)
    held_out = held_out_rows(dataset.sources, dataset.groups, 0.25, seed)
    assert not set(dataset.groups[held_out]) & set(dataset.groups[~held_out])
    assert len(set(dataset.groups[held_out])) == 2 and set(dataset.sources[held_out]) == set(SOURCES)
    for split in random_splits(dataset, 60, 0.25, 3, seed):
        assert not set(dataset.groups[split.train]) & set(dataset.groups[split.test])


def test_groups_of_the_same_sources_form_a_stratum():
    sources = np.array(["a"] * 10 + ["b"] * 10 + ["a", "b"] * 10)
    groups = np.array([f"own {row}" for row in range(20)] + [f"shared {row // 2}" for row in range(20)])
    held_out = held_out_rows(sources, groups, 0.3, 0)
    assert [held_out[part].sum() for part in (slice(10), slice(10, 20), slice(20, 40))] == [3, 3, 6]


def test_the_only_group_of_its_sources_cannot_be_split():
    with pytest.raises(ValueError, match="video 1 is the only group"):
        held_out_rows(["a", "a", "b", "b"], ["video 1", "video 1", "video 2", "video 3"], 0.2, 0)


@pytest.mark.parametrize(
    "n_samples, share, n_train, n_test",
    [(80, 0.2, 16, 4), (40, 0.2, 8, 2), (8, 0.2, 1, 1), (8, 0.9, 1, 1), (43, 0.5, 5, 5)],
)
def test_random_splits_have_equal_numbers_of_every_source(n_samples, share, n_train, n_test):
    dataset = make_dataset(20)
    splits = random_splits(dataset, n_samples, share, 4, seed=0)
    assert len(splits) == 4
    for split in splits:
        for rows, n in ((split.train, n_train), (split.test, n_test)):
            assert len(set(rows)) == len(rows)
            assert [np.count_nonzero(dataset.sources[rows] == source) for source in SOURCES] == [n] * 4
        assert not set(split.train) & set(split.test)


def test_splits_differ_and_are_the_same_for_a_seed():
    dataset = make_dataset(20)
    first, again, other = (random_splits(dataset, 40, 0.2, 3, seed) for seed in (0, 0, 7))
    assert all(np.array_equal(a, b) for one, two in zip(first, again) for a, b in zip(one, two))
    assert len({tuple(split.test) for split in first + other}) == 6


def test_independent_images_make_one_transfer_of_all_rows():
    dataset = make_dataset(20)
    [split] = source_splits(dataset, ["real_a", "fake_a"], ["real_b", "fake_b"], 0.2, 10, 0)
    assert split.train.tolist() == np.flatnonzero(np.isin(dataset.sources, ["real_a", "fake_a"])).tolist()
    assert split.test.tolist() == np.flatnonzero(np.isin(dataset.sources, ["real_b", "fake_b"])).tolist()


def test_grouped_images_make_transfers_without_a_group_on_both_sides():
    dataset = make_dataset(20, n_groups=5)
    splits = source_splits(dataset, ["real_a", "fake_a"], ["real_b", "fake_b"], 0.2, 4, 0)
    assert len(splits) == 4
    for split in splits:
        assert not set(dataset.groups[split.train]) & set(dataset.groups[split.test])
        assert dataset.sources[split.train].tolist() == ["real_a"] * 16 + ["fake_a"] * 16
        assert dataset.sources[split.test].tolist() == ["real_b"] * 4 + ["fake_b"] * 4


def test_a_transfer_has_as_many_of_each_source_as_the_scarcest_has():
    dataset = make_dataset(20).of_sources(["real_a", "fake_a"])
    kept = np.r_[0:20, 20:27]
    arrays = (getattr(dataset, name)[kept] for name in ("spectra", "labels", "sources", "groups"))
    dataset = SpectrumDataset(*arrays, paths=[], headers=None)
    [split] = source_splits(dataset, ["real_a", "fake_a"], ["real_a", "fake_a"], 0.2, 1, 0)
    assert dataset.labels[split.train].tolist() == [REAL] * 7 + [FAKE] * 7


# --- classifiers


@pytest.mark.parametrize(
    "make", [lambda: svm("linear"), lambda: svm("rbf"), logistic_regression, KMeansDetector, headers_only]
)
def test_a_high_score_and_the_label_fake_go_together(make):
    dataset = make_dataset(20, gap=8)
    everything = np.arange(len(dataset))
    [prediction] = predict_splits(make, dataset.spectra, dataset.labels, [Split(everything, everything)])
    assert prediction.predicted.tolist() == dataset.labels.tolist()
    assert prediction.scores[dataset.labels == FAKE].min() > prediction.scores[dataset.labels == REAL].max()


@pytest.mark.parametrize("seed", range(4))
def test_k_means_names_its_clusters_by_the_training_labels(seed):
    dataset = make_dataset(20, gap=8)
    for labels in (dataset.labels, 1 - dataset.labels):
        detector = KMeansDetector(seed).fit(dataset.spectra[::2], labels[::2])
        assert detector.predict(dataset.spectra[1::2]).tolist() == labels[1::2].tolist()
        assert ((detector.decision_function(dataset.spectra) > 0) == (labels == FAKE)).all()


def test_shuffled_labels_score_at_chance():
    dataset = make_dataset(50, gap=3)
    for source in SOURCES:  # half of each source is called the other class
        dataset.labels[np.flatnonzero(dataset.sources == source)[::2]] ^= 1
    splits = random_splits(dataset, 200, 0.2, 10, 0)
    rows = compare_classifiers(dataset, splits, {"logistic_regression": logistic_regression}, "published", 0)
    for row in rows:
        if row["metric"] in ("accuracy", "roc_auc") and row["classifier"] in ("logistic_regression", "headers_only"):
            assert row["low"] is None or row["low"] < 0.5 < row["high"]


def test_a_fit_that_fails_ends_the_run():
    dataset = make_dataset(4)
    with pytest.raises(ValueError, match="class"):
        predict_splits(lambda: svm("linear"), dataset.spectra, dataset.labels, [Split(np.arange(4), np.arange(4, 8))])


def test_threads_do_not_change_a_prediction():
    dataset = make_dataset(20, gap=0.5)
    splits = random_splits(dataset, 80, 0.2, 4, 0)
    one, many = (predict_splits(logistic_regression, dataset.spectra, dataset.labels, splits, n) for n in (1, 4))
    assert all(np.array_equal(a, b) for first, second in zip(one, many) for a, b in zip(first, second))


def test_a_comparison_holds_the_classifiers_and_what_they_have_to_beat():
    dataset = make_dataset(10)
    splits = random_splits(dataset, 40, 0.2, 2, 0)
    rows = compare_classifiers(dataset, splits, {"svm_linear": lambda: svm("linear")}, "by_photograph", 0, n_samples=40)
    found = {(row["classifier"], row["protocol"]): row for row in rows if row["metric"] == "accuracy"}
    assert list(found) == [
        ("svm_linear", "by_photograph"), ("k_means", "published"), ("k_means", "held_out"),
        ("majority_class", "by_photograph"), ("headers_only", "by_photograph"),
    ]  # fmt: skip
    assert all(row["table"] == "sample_sizes" and row["n_samples"] == 40 for row in rows)
    assert found["k_means", "published"]["n_test"] == [40, 40] and found["k_means", "held_out"]["n_test"] == [8, 8]
    assert found["majority_class", "by_photograph"]["scores"] == [0.5, 0.5]
    without = SpectrumDataset(**vars(dataset) | {"headers": None})
    assert "headers_only" not in {row["classifier"] for row in compare_classifiers(without, splits, {}, "published", 0)}


def test_weights_are_positive_where_more_power_speaks_for_fake():
    dataset = make_dataset(20, gap=0)
    dataset.spectra[:, 3] += 5.0 * dataset.labels
    dataset.spectra[:, 1] -= 5.0 * dataset.labels
    weights = standardised_weights(dataset, lambda: svm("linear"))
    assert weights.argmax() == 3 and weights.argmin() == 1 and weights.shape == (5,)


# --- headers


def test_header_features_are_numbers_and_a_column_for_each_text():
    headers = np.array([(64, 48, "PNG", 0, ""), (64, 48, "JPEG", 75, "4:2:0"), (32, 48, "JPEG", 90, "")], IMAGE_HEADER)
    assert header_features(headers).tolist() == [
        [64, 48, 0, 1, 0, 1, 0],  # width, height, is JPEG, is PNG, quality, has no subsampling, 4:2:0
        [64, 48, 1, 0, 75, 0, 1],
        [32, 48, 1, 0, 90, 1, 0],
    ]


@pytest.mark.parametrize(
    "header, accuracy",
    [(EQUAL_HEADER, 0.5), ((64, 49, "PNG", 0, ""), 1), ((64, 48, "BMP", 0, ""), 1), ((64, 48, "PNG", 0, "4:2:0"), 1)],
)
def test_headers_see_what_differs_between_the_classes_and_nothing_else(header, accuracy):
    dataset = make_dataset(20, gap=8)
    dataset.headers[dataset.labels == FAKE] = header
    rows = compare_classifiers(dataset, random_splits(dataset, 80, 0.2, 3, 0), {}, "published", 0)
    [row] = [row for row in rows if row["classifier"] == "headers_only" and row["metric"] == "accuracy"]
    assert row["scores"] == [accuracy] * 3


def test_the_majority_class_is_half_right_on_equal_classes_and_knows_no_order():
    dataset = make_dataset(10)
    everything = np.arange(len(dataset))
    [prediction] = predict_splits(majority_class, dataset.spectra, dataset.labels, [Split(everything, everything)])
    values = metric_values(prediction)
    assert (values["accuracy"], values["roc_auc"]) == (0.5, 0.5)


# --- splits by identity


def ring_of_fakes(n_people, steps=(1,), n_rows=3):
    """Return labels and identities: each person's real rows, and fakes of each with the persons so many steps on."""
    shown = [{str(person)} for person in range(n_people)]
    shown += [{str(person), str((person + step) % n_people)} for person in range(n_people) for step in steps]
    identities = [people for people in shown for _ in range(n_rows)]
    return np.array([FAKE if len(people) == 2 else REAL for people in identities]), identities


@pytest.mark.parametrize("n_people, steps", [(4, (1,)), (6, (1,)), (28, (1, 5, 9)), (40, (1, -1))])
@pytest.mark.parametrize("seed", range(5))
def test_nobody_stands_on_both_sides_of_a_split_by_identity(n_people, steps, seed):
    labels, identities = ring_of_fakes(n_people, steps)
    may_train, may_test = held_out_identities(labels, identities, 0.2, seed)
    trained, tested = (
        set().union(*(identities[row] for row in np.flatnonzero(side))) for side in (may_train, may_test)
    )
    assert trained.isdisjoint(tested) and len(trained | tested) == n_people
    assert max(2, round(0.2 * n_people)) <= len(tested) <= max(2, round(0.2 * n_people)) + 1
    assert set(labels[may_train]) == set(labels[may_test]) == {REAL, FAKE}
    left_out = [identities[row] for row in np.flatnonzero(~may_train & ~may_test)]
    assert left_out and all(len(people & tested) == len(people & trained) == 1 for people in left_out)


def test_a_split_by_identity_is_the_same_for_a_seed_and_another_for_another():
    labels, identities = ring_of_fakes(28)
    tests = [held_out_identities(labels, identities, 0.2, seed)[1].tolist() for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize("n_people, steps", [(2, (1,)), (3, (1,)), (3, (1, 2))])
def test_where_everybody_is_linked_to_everybody_no_split_by_identity_is_found(n_people, steps):
    labels, identities = ring_of_fakes(n_people, steps)
    with pytest.raises(ValueError, match="no draw of identities"):
        held_out_identities(labels, identities, 0.2, 0)


@pytest.mark.parametrize(
    "n_samples, share, n_train, n_test", [(20, 0.2, 8, 2), (4, 0.2, 1, 1), (10**6, 0.2, 20, 10), (24, 0.9, 1, 10)]
)
def test_an_equal_split_takes_as_many_of_each_source_as_the_scarcest_has(n_samples, share, n_train, n_test):
    sources = np.repeat(["real", "fake"], [90, 30])
    may_test = np.arange(120) % 3 == 0  # 30 and 10 of them
    split = equal_split(sources, ~may_test, may_test, n_samples, share, 0)
    for side, allowed, n_each in ((split.train, ~may_test, n_train), (split.test, may_test, n_test)):
        assert allowed[side].all() and len(set(side)) == len(side)
        assert np.count_nonzero(sources[side] == "real") == np.count_nonzero(sources[side] == "fake") == n_each


def test_balanced_accuracy_of_independent_rows_has_the_interval_of_the_accuracy_where_classes_are_equal():
    labels = np.repeat([REAL, FAKE], 200)
    predicted = np.where(np.arange(400) % 10 == 0, 1 - labels, labels)  # 90 % of either class
    limits = intervals([Prediction(np.arange(400), labels, predicted, predicted.astype(float))])
    assert limits["balanced_accuracy"] == pytest.approx(limits["accuracy"], abs=0.003)
