"""The comparison of features as a user runs it, its test of differences, and that no tuning sees a row of the test."""

import gzip

import numpy as np
import pytest
from datasets import make_dataset
from outputs import results_of, rows_where
from pictures import write_source

import compare_features
from compare_features import contenders, holm, make_classifiers, make_columns
from deepfake_spectra import other_features
from deepfake_spectra.classification import predict_splits
from deepfake_spectra.dataset import Split
from deepfake_spectra.intervals import paired_difference
from deepfake_spectra.settings import read_settings
from deepfake_spectra.splits import random_splits

FEATURES = [
    "radial", "rings of 8", "sectors", "residual", "cross-difference", "radial + residual", "radial + cross-difference",
]  # fmt: skip
OUTPUTS = ["accuracy.csv", "accuracy.md", "differences.pdf", "differences.png", "files.txt", "results.json"]
OUTPUTS += ["scores.csv.gz"]


# --- what was laid down


def test_the_settings_are_those_laid_down():
    settings = read_settings("compare_features", [])
    assert (settings.n_samples, settings.n_splits, settings.test_share) == (600, 20, 0.2)
    assert settings.both_altered == ("jpeg 75", "jpeg 50", "jpeg 90") and settings.svm_c == 1
    classifiers = make_classifiers(settings.svm_c, settings.seed)
    logistic, svm, rbf = classifiers.values()
    assert (svm.kernel, svm.C) == ("linear", 1)
    assert [name for name, _ in logistic.estimator.steps] == ["standardscaler", "logisticregression"]
    assert logistic.param_grid["logisticregression__C"].tolist() == pytest.approx([1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10])
    assert rbf.param_grid == {"svc__C": (1, 10, 100)} and logistic.cv.n_splits == rbf.cv.n_splits == 5


def test_every_feature_meets_one_classifier_and_the_papers_feature_all():
    columns = make_columns(np.ones((3, 722)), {name: np.ones((3, 700)) for name in FEATURES[2:5]})
    assert list(columns) == FEATURES and columns["rings of 8"].shape == (3, 91)
    assert columns["radial + residual"].shape == (3, 1422)
    assert list(contenders(columns, make_classifiers(1, 0))) == [
        *((name, "logistic_tuned") for name in FEATURES), ("radial", "svm_linear"), ("radial", "svm_rbf_tuned")
    ]  # fmt: skip


# --- the test of differences


def test_holms_correction_multiplies_by_the_number_that_is_left_and_never_falls():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.4]).tolist() == [0.9, 0.8] and holm([]).size == 0


@pytest.mark.parametrize("name", ["logistic_tuned", "svm_rbf_tuned"])
def test_tuning_sees_no_row_of_the_test(name):
    dataset = make_dataset(gap=0.7)
    [split] = random_splits(dataset, len(dataset), 0.2, 1, 0)
    turned, spoilt = dataset.labels.copy(), dataset.spectra.copy()
    turned[split.test] = 1 - turned[split.test]
    spoilt[split.test] *= 1000
    classifier = make_classifiers(1, 0)[name]
    [said] = predict_splits(classifier, dataset.spectra, dataset.labels, [split], 1)
    [of_turned] = predict_splits(classifier, dataset.spectra, turned, [split], 1)
    assert np.array_equal(said.scores, of_turned.scores)
    spoilt = np.vstack([spoilt, dataset.spectra[split.test]])  # scaled by training rows alone
    rows = np.arange(len(dataset), len(spoilt))
    labels = np.concatenate([dataset.labels, dataset.labels[split.test]])
    [of_spoilt] = predict_splits(classifier, spoilt, labels, [Split(split.train, rows)], 1)
    assert np.array_equal(said.scores, of_spoilt.scores)


# --- as a user runs it


@pytest.fixture
def compare(call, tmp_path):
    """Return a function that runs the script on two of four sources of 20 images each; fakes are a little sharper."""
    for number, (source, blur) in enumerate({"a b": 1.5, "ä": 1.5, "gan": 1.4, "other": 1.4}.items()):
        write_source(tmp_path / "data" / source, 20, first_seed=100 * number, blur=blur)
    folders = ("--data-dir", tmp_path / "data", "--output-dir", tmp_path / "plots")
    two = ("--real-sources", "a b", "--fake-sources", "gan", "--both-altered", "", "--n-splits", 2, "--n-threads", 1)
    return lambda *flags: call("compare_features", *folders, *two, *flags)


def test_the_files_hold_what_was_compared(compare, tmp_path):
    done = compare("--real-sources", "a b", "ä", "--fake-sources", "gan", "other", "--both-altered", "", "jpeg 50")
    assert done.status == 0, done.err
    plots = tmp_path / "plots"
    assert sorted(path.name for path in plots.iterdir()) == [f"features_{name}" for name in OUTPUTS]
    results = results_of(plots, "features")
    names = [f"{name}, logistic_tuned" for name in FEATURES] + ["radial, svm_linear", "radial, svm_rbf_tuned"]
    gained = rows_where(results, metric="balanced_accuracy_gained")
    assert [(row["condition"], row["classifier"]) for row in gained] == [
        (condition, name) for condition in ("", "jpeg 50") for name in names[1:]
    ]
    p_values = [row["mean"] for row in rows_where(results, metric="p_value")]
    assert holm(p_values) == pytest.approx([row["mean"] for row in rows_where(results, metric="p_holm")])
    for row, p in zip(gained, p_values):
        of_condition = {"table": "alike", "metric": "balanced_accuracy", "condition": row["condition"]}
        scores = {found["classifier"]: found["scores"] for found in rows_where(results, **of_condition)}
        assert list(scores) == names
        expected = paired_difference(scores[row["classifier"]], scores[names[0]], 64, 16)
        limits = (row["low"], row["high"]) if np.isfinite(expected.low) else (np.nan, np.nan)
        assert (row["mean"], *limits, p) == pytest.approx(tuple(expected), nan_ok=True)
    transfers = rows_where(results, table="transfer", metric="balanced_accuracy", condition="jpeg 50")
    assert len(transfers) == 4 * 9
    assert all(set(row["train_sources"]).isdisjoint(row["test_sources"]) for row in transfers)
    text = (plots / "features_accuracy.md").read_text(encoding="utf-8")
    assert "Table 3. Transfer" in text and "for all 16 comparisons" in text and "| jpeg 50     | sectors" in text
    with gzip.open(plots / "features_scores.csv.gz", "rt", encoding="utf-8") as file:
        lines = [line.split(",") for line in file if line.startswith("alike,random,jpeg 50")]
    tested = {}
    for line in lines:
        tested.setdefault((line[6], line[7]), []).append(line[8:10])
    assert len(tested) == 9 and len({str(rows) for rows in tested.values()}) == 1  # the same images, split by split


def test_a_second_run_computes_no_feature_again_and_gives_the_same(compare, tmp_path, drawn, monkeypatch):
    compare()
    first = (tmp_path / "plots/features_accuracy.csv").read_bytes()
    monkeypatch.setattr(other_features, "FEATURES", dict.fromkeys(other_features.FEATURES))  # none can be called
    assert compare().status == 0
    assert (tmp_path / "plots/features_accuracy.csv").read_bytes() == first


def test_one_source_of_each_class_leaves_the_transfer_out(compare, tmp_path, drawn):
    done = compare()
    assert done.status == 0 and "Transfer" not in done.out
    path, rows, *_ = drawn["differences_figure"]
    assert path == tmp_path / "plots/features_differences.png" and not [r for r in rows if r["table"] == "transfer"]


@pytest.mark.parametrize(
    "flags, status, words",
    [
        (("--both-altered",), 2, "at least one of BOTH_ALTERED"),
        (("--n-splits", 1), 2, "N_SPLITS of at least 2"),
        (("--both-altered", "jpeg 0"), 2, "unknown alteration 'jpeg 0'"),
        (("--n-samples", 8), 1, "splits train on 6, need 10 to tune by; raise N_SAMPLES"),
        (("--n-samples", 0), 2, "N_SAMPLES is 0: expected 4 to"),
        (("--fake-sources", "gone"), 2, "no source 'gone' there"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(compare, flags, status, words):
    done = compare(*flags)
    assert (done.status, done.err.count("\n")) == (status, 1) and words in done.err


def test_images_of_two_sizes_end_in_one_sentence_unless_given_one(compare, tmp_path, drawn):
    write_source(tmp_path / "data/gan", 2, (60, 70))
    done = compare()
    assert done.status == 1 and "not of one size" in done.err
    assert compare("--both-altered", "crop 40x40").status == 0


def test_the_sample_is_said_to_be_one(call, tmp_path, drawn):
    flags = ("--n-splits", 2, "--n-threads", 1, "--both-altered", "crop 32x32", "--output-dir", tmp_path / "plots")
    done = call("compare_features", *flags)
    assert done.status == 0 and "running on the built-in sample" in done.out.splitlines()[0]
    results = results_of(tmp_path / "plots/built_in_sample", "features")
    assert results["built_in_sample"]
    assert {row["protocol"] for row in rows_where(results, table="alike")} == {"by_photograph"}
    assert compare_features.REFERENCE == ("radial", "logistic_tuned")
