"""Classifiers are cloned, see the training rows alone, score fakes higher, and stand beside what they have to beat."""

import numpy as np
import pytest
from datasets import EQUAL_HEADER, SOURCES, make_dataset, make_prediction
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from deepfake_spectra import classification
from deepfake_spectra.classification import (
    LOGISTIC_TOLERANCE,
    KMeansDetector,
    header_columns,
    predict_splits,
    score_baselines,
    score_classifiers,
    score_k_means,
    scores_by_source,
    standardised_weights,
)
from deepfake_spectra.dataset import FAKE, IMAGE_HEADER, REAL, Split
from deepfake_spectra.metrics import METRICS
from deepfake_spectra.splits import random_splits


def rows_with(rows, **keys):
    """Return the rows with these keys."""
    return [row for row in rows if all(row.get(key) == value for key, value in keys.items())]


def predictions_of(classifier, dataset, splits, n_threads=1):
    """Return what clones of a classifier say of the spectra."""
    return predict_splits(classifier, dataset.spectra, dataset.labels, splits, n_threads)


# --- fits


def test_of_many_rows_the_linear_classifiers_are_newtons_others_are_left_out_and_each_change_is_said(monkeypatch):
    monkeypatch.setattr(classification, "MOST_SVC_ROWS", 30)
    dataset = make_dataset(20, gap=1)
    few, many = (random_splits(dataset, n, 0.2, 3, seed=0) for n in (36, 80))
    asked = {"svm_linear": SVC(kernel="linear"), "svm_rbf": SVC(), "logistic_regression": LogisticRegression(C=2)}
    score_classifiers(dataset, few, asked)
    assert dataset.remarks == []
    rows = score_classifiers(dataset, many, asked)
    assert {row["classifier"] for row in rows} == {"svm_linear", "logistic_regression"}
    assert [remark.partition(": 64 rows to train on, more than 30")[0] for remark in dataset.remarks] == list(asked)
    score_classifiers(dataset, many, asked)
    assert len(dataset.remarks) == 3  # once
    exact = {"svm_linear": LinearSVC(dual=False, tol=1e-12, max_iter=10_000)}
    exact["logistic_regression"] = LogisticRegression(C=2, solver="newton-cholesky", tol=1e-12)
    for name, classifier in exact.items():
        [found] = rows_with(rows, classifier=name, metric="accuracy")
        for said, expected in zip(found["predictions"], predictions_of(classifier, dataset, many), strict=True):
            np.testing.assert_allclose(said.scores, expected.scores, atol=1e-6)
            np.testing.assert_array_equal(said.predicted, expected.predicted)


def test_the_last_bit_of_a_spectrum_does_not_move_a_logistic_regression():
    random = np.random.default_rng(0)
    spectra = 150 + 20 * random.normal(size=(300, 1)) + 5 * random.normal(size=(300, 200)).cumsum(axis=1)
    labels = np.arange(300) % 2
    first, second = (
        LogisticRegression(solver="liblinear", tol=LOGISTIC_TOLERANCE, max_iter=1000)
        .fit(moved[:200], labels[:200])
        .decision_function(moved[200:])
        for moved in (spectra, spectra * (1 + random.choice((-1, 1), spectra.shape) * 2.0**-52))
    )
    np.testing.assert_allclose(first, second, atol=1e-4)


@pytest.mark.parametrize(
    "classifier", [SVC(kernel="linear"), SVC(), LogisticRegression(), KMeansDetector(), DecisionTreeClassifier()]
)
def test_a_high_score_and_the_label_fake_go_together(classifier):
    dataset = make_dataset(20, gap=8)
    everything = np.arange(len(dataset))
    [prediction] = predictions_of(classifier, dataset, [Split(everything, everything)])
    assert prediction.predicted.tolist() == dataset.labels.tolist()
    assert prediction.scores[dataset.labels == FAKE].min() > prediction.scores[dataset.labels == REAL].max()


def test_each_split_is_predicted_by_a_fit_to_its_own_training_rows():
    dataset = make_dataset(20, gap=0.5)
    splits = random_splits(dataset, 80, 0.2, 3, 0)
    predictions = predictions_of(LogisticRegression(C=3), dataset, splits, 2)
    for split, prediction in zip(splits, predictions, strict=True):
        fitted = LogisticRegression(C=3).fit(dataset.spectra[split.train], dataset.labels[split.train])
        assert prediction.rows.tolist() == split.test.tolist()
        assert prediction.labels.tolist() == dataset.labels[split.test].tolist()
        assert prediction.predicted.tolist() == fitted.predict(dataset.spectra[split.test]).tolist()
        assert prediction.scores == pytest.approx(fitted.decision_function(dataset.spectra[split.test]))


def test_the_classifier_given_is_cloned_and_never_fitted_itself():
    dataset = make_dataset(10)
    svm = SVC(kernel="linear")
    untouched = dict(vars(svm))
    splits = random_splits(dataset, 40, 0.2, 2, 0)
    score_classifiers(dataset, splits, {"svm_linear": svm}, 1)
    standardised_weights(dataset, svm)
    assert vars(svm) == untouched


def test_shuffled_labels_score_at_chance():
    dataset = make_dataset(50, gap=3)
    for source in SOURCES:  # half of each source is called the other class
        dataset.labels[np.flatnonzero(dataset.sources == source)[::2]] ^= 1
    splits = random_splits(dataset, 200, 0.2, 10, 0)
    rows = score_classifiers(dataset, splits, {"logistic_regression": LogisticRegression()}, 1)
    for metric in ("accuracy", "roc_auc"):
        [row] = rows_with(rows, metric=metric)
        assert row["low"] < 0.5 < row["high"]


def test_a_fit_that_fails_ends_the_run():
    dataset = make_dataset(4)
    with pytest.raises(ValueError, match="class"):
        predictions_of(SVC(), dataset, [Split(np.arange(4), np.arange(4, 8))])  # reals alone to train on


@pytest.mark.filterwarnings("error")
def test_fits_that_stop_before_their_end_are_counted_and_scikit_learn_prints_nothing(capsys):
    dataset = make_dataset()
    splits = random_splits(dataset, len(dataset), 0.2, 3, 0)
    for max_iter, said in ((1, "fits: 3 of 3 fits stopped at max_iter = 1, before their end; raise it\n"), (1000, "")):
        classifier = LogisticRegression(solver="liblinear", max_iter=max_iter)
        predict_splits(classifier, dataset.spectra, dataset.labels, splits, n_threads=2)
        assert capsys.readouterr().out == said
        standardised_weights(dataset, classifier)


def test_threads_do_not_change_a_prediction():
    dataset = make_dataset(20, gap=0.5)
    splits = random_splits(dataset, 80, 0.2, 4, 0)
    one, many = (predictions_of(LogisticRegression(), dataset, splits, n) for n in (1, 4))
    assert all(np.array_equal(a, b) for first, second in zip(one, many) for a, b in zip(first, second))


@pytest.mark.parametrize("n_groups", [None, 5])
def test_rows_of_a_score_have_its_keys_and_where_images_share_groups_their_number(n_groups):
    dataset = make_dataset(10, n_groups=n_groups)
    splits = random_splits(dataset, 40, 0.2, 2, 0)
    classifiers = {"svm_linear": SVC(kernel="linear"), "svm_rbf": SVC()}
    rows = score_classifiers(dataset, splits, classifiers, 1, protocol=dataset.protocol, n_samples=40)
    assert [(row["classifier"], row["metric"]) for row in rows] == [
        (name, metric) for name in classifiers for metric in METRICS
    ]
    for row in rows:
        assert row["protocol"] == ("by_photograph" if n_groups else "random") and row["n_samples"] == 40
        assert row["n_test"] == [8, 8] and row["n_test_groups"] == ([1, 1] if n_groups else None)


def test_the_first_row_of_a_classifier_says_what_was_said_of_every_image_by_its_path():
    dataset = make_dataset(20, gap=0.5)
    splits = random_splits(dataset, 40, 0.2, 3, 0)
    classifiers = {"svm_linear": SVC(kernel="linear"), "logistic_regression": LogisticRegression()}
    rows = score_classifiers(dataset, splits, classifiers, 1)
    holders = [row for row in rows if "predictions" in row]
    assert [(row["classifier"], row["metric"]) for row in holders] == [(name, "accuracy") for name in classifiers]
    for row in holders:
        plain = predictions_of(classifiers[row["classifier"]], dataset, splits)
        for split, said, expected in zip(splits, row["predictions"], plain, strict=True):
            assert said.rows.tolist() == [dataset.paths[number] for number in split.test]
            assert all(np.array_equal(said[part], expected[part]) for part in (1, 2, 3))  # labels, predicted, scores
        assert [np.mean(said.predicted == said.labels) for said in row["predictions"]] == row["scores"]


def test_the_scores_of_a_source_are_its_own_over_all_splits_reals_first():
    dataset = make_dataset(8, sources={"gan": FAKE, "photos": REAL, "faces": REAL})
    paths = np.array(dataset.paths)
    tests = [np.arange(0, 24, 5), np.arange(1, 24, 5)[::-1]]
    said = [make_prediction(dataset.labels[rows], rows)._replace(rows=paths[rows]) for rows in tests]
    found = scores_by_source(dataset, said)
    assert list(found) == [("photos", REAL), ("faces", REAL), ("gan", FAKE)]
    assert [scores.tolist() for scores in found.values()] == [[10, 15, 11], [20, 21, 16], [0, 5, 6, 1]]


def test_weights_are_positive_where_more_power_speaks_for_fake_and_in_units_of_a_bins_spread():
    dataset = make_dataset(20, gap=0)
    dataset.spectra[:, 3] += 5.0 * dataset.labels
    dataset.spectra[:, 1] -= 5.0 * dataset.labels
    weights = standardised_weights(dataset, SVC(kernel="linear"))
    assert weights.argmax() == 3 and weights.argmin() == 1 and weights[1] < 0 < weights[3]
    coefficients = SVC(kernel="linear").fit(dataset.spectra, dataset.labels).coef_[0]
    assert weights == pytest.approx(coefficients * np.std(dataset.spectra, axis=0))


# --- k-means


@pytest.mark.parametrize("seed", range(4))
def test_k_means_names_its_clusters_by_the_training_labels(seed):
    dataset = make_dataset(20, gap=8)
    for labels in (dataset.labels, 1 - dataset.labels):
        detector = clone(KMeansDetector(seed)).fit(dataset.spectra[::2], labels[::2])
        assert detector.predict(dataset.spectra[1::2]).tolist() == labels[1::2].tolist()
        assert ((detector.decision_function(dataset.spectra) > 0) == (labels == FAKE)).all()


@pytest.mark.parametrize("gap", [0, 0.7, 8])
def test_k_means_on_all_rows_scores_the_better_of_its_two_namings(gap):
    dataset = make_dataset(20, gap=gap)
    splits = random_splits(dataset, 40, 0.25, 3, 0)
    [row] = rows_with(score_k_means(dataset, splits, 5, 1), protocol="all_rows", metric="accuracy")
    for split, score in zip(splits, row["scores"], strict=True):
        used = np.concatenate(split)
        clusters = KMeans(n_clusters=2, n_init=10, random_state=5).fit(dataset.spectra[used]).labels_
        agreement = np.mean(clusters == dataset.labels[used])
        assert score == pytest.approx(max(agreement, 1 - agreement))


def test_k_means_stands_on_all_rows_of_a_split_and_held_out():
    dataset = make_dataset(10)
    rows = score_k_means(dataset, random_splits(dataset, 40, 0.2, 2, 0), 0, 1, table="sample_sizes")
    n_test = {row["protocol"]: row["n_test"] for row in rows}
    assert n_test == {"all_rows": [40, 40], "held_out": [8, 8]}
    assert {(row["classifier"], row["table"]) for row in rows} == {("k_means", "sample_sizes")}


# --- what every classifier has to beat


def test_baselines_are_the_majority_class_and_where_there_are_headers_those_alone():
    dataset = make_dataset(10)
    splits = random_splits(dataset, 40, 0.2, 2, 0)
    rows = score_baselines(dataset, splits, 0, 1, table="sample_sizes")
    assert list(dict.fromkeys(row["classifier"] for row in rows)) == ["majority_class", "headers_only"]
    assert {row["table"] for row in rows} == {"sample_sizes"}
    dataset.headers = None
    assert {row["classifier"] for row in score_baselines(dataset, splits, 0, 1)} == {"majority_class"}


def test_the_majority_is_that_of_the_training_rows_and_knows_no_order():
    dataset = make_dataset(10)  # 20 reals, 20 fakes
    more_reals = Split(np.arange(30), np.arange(15, 40))  # 20 and 10 to train on, 5 and 20 to test
    rows = score_baselines(dataset, [more_reals], 0, 1)
    values = {row["metric"]: row["mean"] for row in rows_with(rows, classifier="majority_class")}
    assert (values["accuracy"], values["recall_real"], values["roc_auc"]) == (5 / 25, 1, 0.5)


def test_header_columns_are_numbers_and_a_column_for_each_text():
    headers = np.array([(64, 48, "PNG", 0, ""), (64, 48, "JPEG", 75, "4:2:0"), (32, 48, "JPEG", 90, "")], IMAGE_HEADER)
    assert header_columns(headers).tolist() == [
        [64, 48, 0, 1, 0, 1, 0],  # width, height, is JPEG, is PNG, quality, has no subsampling, 4:2:0
        [64, 48, 1, 0, 75, 0, 1],
        [32, 48, 1, 0, 90, 1, 0],
    ]


@pytest.mark.parametrize(
    "header, accuracy",
    [(EQUAL_HEADER, 0.5), ((64, 49, "PNG", 0, ""), 1), ((64, 48, "BMP", 0, ""), 1), ((64, 48, "PNG", 0, "4:2:0"), 1)],
)
def test_headers_see_what_differs_between_the_classes_and_no_pixel(header, accuracy):
    dataset = make_dataset(20, gap=8)
    dataset.headers[dataset.labels == FAKE] = header
    rows = score_baselines(dataset, random_splits(dataset, 80, 0.2, 2, 0), 0, 1)
    [row] = rows_with(rows, classifier="headers_only", metric="accuracy")
    assert row["scores"] == [accuracy] * 2


def test_a_progress_bar_stands_from_the_first_moment_and_says_what_is_fitted(monkeypatch):
    bars = []

    def note(items, what, total, **options):
        bars.append((what, total, options))
        return items

    monkeypatch.setattr(classification, "tqdm", note)
    dataset = make_dataset(10)
    splits = random_splits(dataset, 40, 0.2, 3, 0)
    keys = {"table": "alike", "condition": "jpeg\x1b 75", "protocol": "random", "n_samples": 40}
    score_classifiers(dataset, splits, {"svm_rbf": LogisticRegression()}, 1, **keys)
    [(what, total, options)] = bars
    assert (what, total) == ("svm_rbf, alike, jpeg\\x1b 75, random, 40", 3)
    assert options["disable"] is None and "delay" not in options  # a first fit may take half a minute
