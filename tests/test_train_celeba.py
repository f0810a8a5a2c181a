"""The CelebA experiment: the published numbers from the published features, and controls that have nothing to find."""

import csv
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import real_data
from outputs import results_of, rows_where, table_lines
from pictures import by_opencv, picture, write_source
from safetensors import safe_open
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import train_celeba
from deepfake_spectra.alterations import alter
from deepfake_spectra.controls import half_altered
from deepfake_spectra.dataset import (
    BUILT_IN_SAMPLE,
    FAKE,
    IMAGES,
    PUBLISHED_FEATURES,
    REAL,
    Feature,
    ImageFolder,
    SpectrumDataset,
)  # fmt: skip
from deepfake_spectra.image_files import read_gray
from deepfake_spectra.image_spectra import load_spectra
from deepfake_spectra.metrics import METRICS
from deepfake_spectra.opencv import cv2
from deepfake_spectra.results import ROW_KEYS
from deepfake_spectra.sample.build import photograph_of
from deepfake_spectra.settings import read_settings
from deepfake_spectra.splits import random_splits
from radial_spectrum import log_power_plane, normalise_by_first, radial_spectrum, resample_spectrum

CLASSIFIERS = ("svm_linear", "svm_rbf", "svm_poly", "logistic_regression")
CONVENTIONS = ("published", "published_2019", "centred")
OTHER_CENTRE = "reals, centre of 2019"
FAST = ("--n-splits", 1, "--fakes-altered", "blur 2", "--both-altered")
FIGURES = ("centres", "control", "spectrum")
OUTPUTS = ["accuracy.csv", "accuracy.md", "files.txt", "judge.safetensors", "results.json", "scores.csv.gz"]
OUTPUTS += [f"{name}.{ending}" for name in FIGURES for ending in ("png", "pdf")]

# PAPER.md, per cent at 2000 images: the linear SVM, RBF, polynomial, logistic regression, k-means
PAPER = ("100", "", "", "100", "96")
NOTEBOOK = ("99.95", "100", "98.55", "99.75", "")
PAPER_SOURCES = {"img_align_celeba": REAL, "dataset_celebA": FAKE}
PAPER_FEATURE = Feature("published", "none", "float64", "", n_bins=80, normalise=True)


def run_script(clone, *flags):
    """Run the script of a copy of the repository, as a user does; return what it printed."""
    command = [sys.executable, clone / "train_celeba.py", *map(str, flags)]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def accuracies(results, table):
    """Return {condition: {classifier: mean accuracy}} of a table, of the sample sizes at 48 images by splits."""
    found = {}
    for row in rows_where(results, table=table, metric="accuracy"):
        if row["protocol"] != "all_rows" and (table != "sample_sizes" or row["n_samples"] == 48):
            found.setdefault(row["condition"], {})[row["classifier"]] = row["mean"]
    return found


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Return a folder of 24 images of each of the default sources; the fakes are smaller, and a little smoother."""
    folder = tmp_path_factory.mktemp("data") / "celeba"
    write_source(folder / "img_align_celeba", 24, (54, 44))
    write_source(folder / "dataset_celebA", 24, (40, 40), first_seed=100, blur=1.2)
    return folder


# --- the paper's values


def test_the_constants_are_the_papers():
    assert train_celeba.PAPER_SOURCES == PAPER_SOURCES and train_celeba.PAPER_FEATURE == PAPER_FEATURE
    settings = vars(read_settings("train_celeba", []))
    assert settings | {
        "sample_sizes": (2000,), "test_share": 0.2, "n_splits": 10, "svm_c": 1.0, "rbf_c": 6.37, "rbf_gamma": 0.86,
        "poly_gamma": "auto", "logistic_max_iter": 1000, "convention": "published", "precision": "float64",
        "n_bins": 80, "data_dir": None, "published_features": None, "released_features": None,
        "real_sources": ("img_align_celeba",),
        "fake_sources": ("dataset_celebA",), "fakes_altered": ("crop 104x128", "resize 178x218", "jpeg 50", "blur 0.5"),
        "both_altered": ("crop 128x128", "crop 128x128 + jpeg 75", "crop 128x128 + jpeg 50"),
    } == settings  # fmt: skip


EDITED = ("--svm-c", 3, "--rbf-c", 5, "--rbf-gamma", 0.25, "--poly-gamma", "scale", "--logistic-max-iter", 77)


@pytest.mark.parametrize(
    "flags, C, rbf_c, rbf_gamma, poly_gamma, max_iter",
    [((), 1.0, 6.37, 0.86, "auto", 1000), (EDITED, 3.0, 5.0, 0.25, "scale", 77)],
)
def test_the_classifiers_are_the_papers_and_follow_their_settings(
    train, few, monkeypatch, flags, C, rbf_c, rbf_gamma, poly_gamma, max_iter
):
    given, score_classifiers = [], train_celeba.score_classifiers

    def note(dataset, splits, classifiers, *arguments, **keys):
        given.append(classifiers)
        return score_classifiers(dataset, splits, classifiers, *arguments, **keys)

    monkeypatch.setattr(train_celeba, "score_classifiers", note)
    train("--data-dir", few, "--sample-sizes", 48, *FAST, *flags)
    stumps = [classifiers["tenth_value"] for classifiers in given if "tenth_value" in classifiers]
    assert [stump.max_depth for stump in stumps] == [1] * 3  # one threshold
    given = [classifiers for classifiers in given if "tenth_value" not in classifiers]
    assert len(given) == 5 + 3  # the table, untouched, altered, the reals, as they are; three conventions
    for classifiers in given:
        linear, rbf, poly, logistic = classifiers.values()
        assert tuple(classifiers) == CLASSIFIERS and all(isinstance(svm, SVC) for svm in (linear, rbf, poly))
        assert (linear.kernel, linear.C) == ("linear", C)
        assert (rbf.kernel, rbf.C, rbf.gamma) == ("rbf", rbf_c, rbf_gamma)
        assert (poly.kernel, poly.C, poly.gamma, poly.degree, poly.coef0) == ("poly", C, poly_gamma, 3, 0)
        assert isinstance(logistic, LogisticRegression) and (logistic.solver, logistic.C) == ("liblinear", 1.0)
        assert (logistic.max_iter, logistic.tol, logistic.fit_intercept) == (max_iter, 1e-10, True)


def make_dataset(spectra, labels, sources=None, groups=None, **changes):
    """Return a data set of spectra, of the paper's sources and each image its own group, unless told otherwise."""
    sources = np.array(list(PAPER_SOURCES))[labels] if sources is None else np.array(sources)
    paths = [str(row) for row in range(len(labels))]
    groups = np.array(paths if groups is None else groups)
    return SpectrumDataset(spectra, labels, sources, groups, paths, **{"feature": PAPER_FEATURE} | changes)


ONE_EACH = (np.zeros((2, 3)), np.array([REAL, FAKE]))


@pytest.mark.parametrize(
    "dataset, stand",
    [
        (make_dataset(*ONE_EACH, origin=IMAGES), True),
        (make_dataset(*ONE_EACH, ["real", "fake"], origin=PUBLISHED_FEATURES), True),
        (make_dataset(*ONE_EACH, feature=replace(PAPER_FEATURE, convention="published_2019")), True),
        (make_dataset(*ONE_EACH, origin=BUILT_IN_SAMPLE), False),
        (make_dataset(*ONE_EACH, ["img_align_celeba", "other_gan"]), False),
        (make_dataset(np.zeros((2, 3)), np.array([FAKE, REAL]), list(PAPER_SOURCES)), False),
        (make_dataset(*ONE_EACH, feature=replace(PAPER_FEATURE, n_bins=300)), False),
        (make_dataset(*ONE_EACH, feature=replace(PAPER_FEATURE, normalise=False)), False),
        (make_dataset(*ONE_EACH, feature=replace(PAPER_FEATURE, convention="centred")), False),
        (make_dataset(*ONE_EACH, feature=replace(PAPER_FEATURE, alteration="jpeg 75")), False),
    ],
    ids="images features 2019 sample source class bins normalise convention alteration".split(),
)
def test_published_numbers_stand_beside_the_papers_data_only(dataset, stand):
    columns = [(name, dataset.protocol) for name in CLASSIFIERS] + [("k_means", "all_rows"), ("k_means", "held_out")]
    keys = {"table": "sample_sizes", "n_samples": 2000, "metric": "accuracy"}
    rows = [
        keys | {"classifier": name, "protocol": protocol, "mean": 0.9, "std": None, "low": None, "n_test": [400]}
        for name, protocol in columns
    ]
    [(caption, table)] = train_celeba.make_tables(dataset, rows, 10)
    head, *lines = table_lines(table, "|")
    names = ["SVM, linear", "SVM, RBF", "SVM, polynomial", "logistic regression", "k-means, all rows"]
    if stand:
        assert head == ["samples", "by", "tested", *names, "k-means, held out"]
        assert lines == [
            ["2000", "here", "400", *["90.0"] * 6],
            ["2000", "paper", "", *PAPER, ""],
            ["2000", "authors' notebook", "", *NOTEBOOK, ""],
        ]
    else:
        assert lines == [["2000", "400", *["90.0"] * 6]]


def test_the_authors_features_give_the_published_numbers(train, tmp_path):
    released = real_data("published_features") / "celeba_low_1000.pkl"
    printed = train("--published-features", released, "--output-dir", tmp_path)
    results = results_of(tmp_path / "published_features", "celeba")
    found = {
        (row["classifier"], row["protocol"]): row["mean"]
        for row in rows_where(results, table="sample_sizes", n_samples=2000, metric="accuracy")
    }
    for classifier, protocol, expected, tolerance in (
        ("svm_linear", "random", 0.9995, 0.001),
        ("svm_rbf", "random", 1, 0.0005),
        ("svm_poly", "random", 0.987, 0.004),
        ("logistic_regression", "random", 0.997, 0.002),
        ("k_means", "all_rows", 0.964, 0.0005),
        ("k_means", "held_out", 0.964, 0.01),
        ("majority_class", "random", 0.5, 0),
    ):
        assert abs(found.pop((classifier, protocol)) - expected) <= tolerance
    assert not found  # nothing else was measured
    lines = table_lines(printed, "Table 1.")
    assert [line[:3] for line in lines[1:]] == [
        ["2000", "here", "400"], ["2000", "paper", ""], ["2000", "authors' notebook", ""]
    ]  # fmt: skip


def test_features_run_without_an_image(train, drawn, tmp_path):
    spectra = np.random.default_rng(0).normal(1, 0.01, (60, 80))
    spectra[:30, 40:] -= 0.1  # rows called 1, which are the fakes
    features = {"data": spectra, "label": np.repeat([1.0, 0.0], 30)}
    (tmp_path / "features.pkl").write_bytes(pickle.dumps(features, protocol=2))
    flags = ("--sample-sizes", 40, "--n-splits", 2, "--output-dir", tmp_path / "plots")
    printed = train("--published-features", tmp_path / "features.pkl", *flags)
    folder = tmp_path / "plots/published_features"
    assert "# CelebA experiment, 60 images on the authors' features\n" in printed
    assert "60 spectra of 80 values: fake 30, real 30." in printed and "headers" not in printed
    assert "centres_figure" not in drawn and "Where the rings stand" not in printed
    assert "controls left out: they need images, the authors' features have none" in printed
    results = results_of(folder, "celeba")
    assert {row["table"] for row in results["rows"]} == {"sample_sizes"}
    assert rows_where(results, classifier="svm_linear", metric="recall_fake")[0]["scores"] == [1, 1]
    assert drawn["spectrum_figure"][2][40:].max() < 0 and "control_figure" not in drawn
    assert "celeba_control.png" not in printed and "celeba_centres.png" not in printed
    assert not list(tmp_path.rglob("*.safetensors"))


# --- a run on images of two sizes


@pytest.fixture(scope="module")
def first_run(clone, few, tmp_path_factory):
    """Return the output folder of a run, and what it printed."""
    folder = tmp_path_factory.mktemp("first_run")
    flags = ("--sample-sizes", 48, 30, "--n-splits", 2, "--test-share", 0.25, "--fakes-altered", "blur 2", "jpeg 40")
    flags += ("--both-altered", "crop 30x30 + jpeg 75", "--output-dir", folder)
    return folder, run_script(clone, "--data-dir", few, *flags)


def test_a_run_writes_its_files_and_says_so(first_run):
    folder, printed = first_run
    found = sorted(path.name for path in folder.iterdir())
    assert found == sorted(f"celeba_{name}" for name in OUTPUTS)
    [said] = [line for line in printed.splitlines() if line.startswith("written into ")]
    assert sorted(said.rpartition(": ")[2].split(", ")) == [
        name for name in found if not name.endswith((".pdf", ".safetensors"))
    ]
    for name in FIGURES:
        assert cv2.imread(str(folder / f"celeba_{name}.png")).shape[1] == 2160  # two columns at 300 dpi
    text = (folder / "celeba_accuracy.md").read_text(encoding="utf-8")
    assert text.startswith("# CelebA experiment, 48 images\n") and text in printed
    assert re.findall(r"^(Control \d|Table \d)\.", text, re.MULTILINE) == ["Control 1", "Control 2", "Table 1"]
    lines = table_lines(text, "Where the rings stand")
    assert lines[0][:3] == ["convention", "images", "tested"]
    assert lines[0][-1] == "one threshold on the 10th value"
    assert [line[:3] for line in lines[1:]] == [[convention, "48", "12"] for convention in CONVENTIONS]


def test_rows_are_those_of_the_table_of_two_controls_and_of_three_centres(first_run):
    results = results_of(first_run[0], "celeba")
    rows = results["rows"]
    assert results["built_in_sample"] is False and all(list(row) == list(ROW_KEYS) for row in rows)
    measured = {
        (row["table"], row["condition"], row["n_samples"], row["n_test"][0], row["classifier"], row["protocol"])
        for row in rows
    }
    every = [(name, "random") for name in CLASSIFIERS]
    table = [*every, ("k_means", "held_out"), ("majority_class", "random"), ("headers_only", "random")]
    expected = set()
    for size, n_test in ((48, 12), (30, 8)):
        expected |= {("sample_sizes", None, size, n_test, *column) for column in table}
        expected |= {("sample_sizes", None, size, size, "k_means", "all_rows")}
    for name, n, n_test, conditions in (
        ("control", 24, 6, ("untouched", "blur 2", "jpeg 40", OTHER_CENTRE)),
        ("alike", 48, 12, ("as they are", "crop 30x30 + jpeg 75")),
    ):
        expected |= {(name, condition, n, n_test, *column) for condition in conditions for column in every}
    columns = [*every, ("k_means", "held_out"), ("tenth_value", "random")]
    for convention in CONVENTIONS:
        expected |= {("centre", convention, 48, 12, *column) for column in columns}
        expected |= {("centre", convention, 48, 48, "k_means", "all_rows")}
    assert measured == expected and len(rows) == len(METRICS) * len(expected)
    assert {len(row["n_test"]) for row in rows} == {2}
    with (first_run[0] / "celeba_accuracy.csv").open(newline="", encoding="utf-8") as file:
        lines = [(line["condition"], line["metric"], line["mean"]) for line in csv.DictReader(file)]
    assert lines == [
        (row["condition"] or "", row["metric"], "" if row["mean"] is None else str(row["mean"])) for row in rows
    ]


def test_a_run_finds_the_size_and_the_blur_and_nothing_where_there_is_nothing(first_run):
    results = results_of(first_run[0], "celeba")
    table, control, alike = (accuracies(results, name) for name in ("sample_sizes", "control", "alike"))
    assert table[None]["headers_only"] == 1 and "24 of 44x54, 24 of 40x40: sizes differ" in first_run[1]
    assert "headers alone (size, format, JPEG quality, as far as known; no pixel) score 100 % at 48" in first_run[1]
    assert min(control["blur 2"].values()) > 0.9 and 0.1 < np.mean(list(control["untouched"].values())) < 0.9
    assert alike["as they are"] == {name: table[None][name] for name in CLASSIFIERS}
    head, *lines = table_lines(first_run[1], "Control 1. Fakes against fakes")
    assert head[:3] == ["condition", "images", "tested"]
    assert [line[:3] for line in lines] == [
        [name, "24", "6"] for name in ("untouched", "blur 2", "jpeg 40", OTHER_CENTRE)
    ]
    lines = table_lines(first_run[1], "Control 2. Reals against fakes")[1:]
    assert [line[:3] for line in lines] == [[name, "48", "12"] for name in ("as they are", "crop 30x30 + jpeg 75")]


def test_another_process_and_the_cache_give_the_same_numbers(train, few, first_run, tmp_path):
    flags = ("--sample-sizes", 48, 30, "--n-splits", 2, "--test-share", 0.25, "--fakes-altered", "blur 2", "jpeg 40")
    flags += ("--both-altered", "crop 30x30 + jpeg 75", "--n-threads", 1, "--output-dir", tmp_path)
    for computed in 24, 0:
        printed = train("--data-dir", few, *flags)
        n_computed = [int(n) for n in re.findall(r"^spectra.*: .* (\d+) computed", printed, re.MULTILINE)]
        assert n_computed == (
            [48] * 6 if computed else [0] * 6
        )  # three centres and three alterations, each loaded once
        assert results_of(tmp_path, "celeba")["rows"] == results_of(first_run[0], "celeba")["rows"]


def test_a_sample_size_gives_the_same_numbers_alone_and_beside_others(train, few, tmp_path):
    found = []
    for sizes in ((8,), (48, 8)):
        flags = ("--sample-sizes", *sizes, "--n-splits", 2, "--fakes-altered", "--both-altered")
        train("--data-dir", few, *flags, "--output-dir", tmp_path)
        found.append(rows_where(results_of(tmp_path, "celeba"), table="sample_sizes", n_samples=8))
    assert found[0] == found[1] and len(found[0]) > 20


def test_the_figures_are_of_the_svm_and_of_the_controls(train, drawn, few, tmp_path):
    printed = train("--data-dir", few, "--sample-sizes", 48, "--svm-c", 30, *FAST, "--output-dir", tmp_path)
    path, dataset, weights, classifier, title = drawn["spectrum_figure"]
    assert (path, classifier, title) == (tmp_path / "celeba_spectrum.png", "Linear SVM", "CelebA experiment, 48 images")
    assert dataset.feature == PAPER_FEATURE and set(dataset.sources[dataset.labels == FAKE]) == {"dataset_celebA"}
    fitted = SVC(kernel="linear", C=30).fit(dataset.spectra, dataset.labels)
    np.testing.assert_allclose(weights, fitted.coef_[0] * dataset.spectra.std(axis=0))
    assert weights[40:].mean() < 0  # smooth speaks for fake
    path, rows, tables, title = drawn["control_figure"]
    assert path == tmp_path / "celeba_control.png" and title == "CelebA experiment, 48 images"
    assert list(tables) == ["control", "alike"]
    assert [row["scores"] for row in rows] == [row["scores"] for row in results_of(tmp_path, "celeba")["rows"]]
    file = tmp_path / "celeba_judge.safetensors"
    assert printed.splitlines()[-1] == f"judge: {file}; ask it: python detect_fakes.py --judge {file} FILE"
    with safe_open(file, "numpy") as kept:
        np.testing.assert_array_equal(kept.get_tensor("spectra"), dataset.spectra)
        description = kept.metadata()["description"]
    assert '"classifier": {"kernel": "linear", "C": 30.0}' in description and '"normalise": true' in description


def test_feature_and_seed_are_those_of_the_settings_in_the_controls_too(train, few, monkeypatch):
    asked, seeds = [], set()

    def note_feature(images, feature, *arguments, **keys):
        asked.append(feature)
        seeds.add(("draw", keys["seed"]))
        return load_spectra(images, feature, *arguments, **keys)

    def note_seed(dataset, n_samples, test_share, n_splits, seed):
        seeds.add(("splits", seed))
        return random_splits(dataset, n_samples, test_share, n_splits, seed)

    monkeypatch.setattr(train_celeba, "load_spectra", note_feature)
    monkeypatch.setattr(train_celeba, "random_splits", note_seed)
    flags = ("--convention", "centred", "--precision", "float32", "--n-bins", 20, "--both-altered", "crop 30x30")
    train("--data-dir", few, "--sample-sizes", 48, *FAST[:-1], *flags, "--seed", 5)
    states = [
        ("centred", ""),
        ("published", ""),
        ("published_2019", ""),
        ("centred", "blur 2"),
        ("centred", "crop 30x30"),
    ]
    assert seeds == {("draw", 5), ("splits", 5)} and asked == [
        Feature(convention, "none", "float32", alteration, n_bins=20, normalise=True)
        for convention, alteration in states
    ]


def test_a_further_classifier_is_one_line(call, drawn, few, tmp_path, monkeypatch):
    source = Path(train_celeba.__file__).read_text(encoding="utf-8")
    before, mark, behind = source.partition("    classifiers = {\n")
    forest = '__import__("sklearn.ensemble").ensemble.RandomForestClassifier(5, random_state=0)'
    line = f'        "random_forest": {forest},\n'
    (tmp_path / "celeba_with_forest.py").write_text(before + mark + line + behind, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    flags = ("--sample-sizes", 48, *FAST, "--n-threads", 1, "--output-dir", tmp_path)
    done = call("celeba_with_forest", "--data-dir", few, *flags)
    assert (done.status, done.err) == (0, "")
    for heading in "Table 1.", "Control 1.", "Control 2.", "Where the rings stand":
        assert "random_forest" in table_lines(done.out, heading)[0]
    results = results_of(tmp_path, "celeba")
    assert accuracies(results, "sample_sizes")[None]["random_forest"] > 0.8
    assert accuracies(results, "control")["blur 2"]["random_forest"] > 0.8


# --- the sample


def test_the_sample_is_called_one_and_split_by_photograph_in_every_table(train, tmp_path):
    flags = ("--n-splits", 3, "--fakes-altered", "blur 0.5", "--both-altered", "crop 128x128 + jpeg 75")
    printed = train(*flags, "--output-dir", tmp_path / "plots")
    folder = tmp_path / "plots/built_in_sample"
    assert printed.startswith("data/celeba is not there: running on the built-in sample")
    text = (folder / "celeba_accuracy.md").read_text(encoding="utf-8")
    assert text.startswith("# CelebA experiment, 292 images on the built-in sample: no reproduction of the paper\n")
    assert "paper |" not in text and "notebook" not in text and text in printed
    assert list((tmp_path / "plots").iterdir()) == [folder]  # a real result is never overwritten
    assert (folder / "celeba_judge.safetensors").exists()

    results = results_of(folder, "celeba")
    assert results["built_in_sample"] is True
    fitted = [row for row in results["rows"] if row["classifier"] in CLASSIFIERS]
    assert {row["protocol"] for row in fitted} == {"by_photograph"}
    assert all(max(row["n_test_groups"]) == 2 for row in fitted)  # photographs, not crops
    assert printed.count("no photograph on both sides") == 4
    assert not list(tmp_path.rglob("celeba_centres*"))  # its images are square
    untouched = accuracies(results, "control")["untouched"]
    assert 0.3 < np.mean(list(untouched.values())) < 0.65

    lines = (folder / "celeba_files.txt").read_text(encoding="utf-8").splitlines()
    paths = [line.partition("  ")[2] for line in lines]
    labels = np.array([REAL if path.startswith("photographs") else FAKE for path in paths])
    sources, photographs = [path.split("/")[0] for path in paths], list(map(photograph_of, paths))
    dataset = make_dataset(np.arange(2.0 * len(paths)).reshape(-1, 2), labels, sources, photographs)
    fakes = dataset.of_sources(dataset.sources_of(FAKE))
    control = half_altered(fakes, fakes)
    for split in random_splits(control, len(control), 0.2, 5, 0):
        assert set(control.groups[split.train]).isdisjoint(control.groups[split.test])


# --- the controls


@pytest.fixture
def load(few, tmp_path):
    """Return a function that gives the data set of a feature."""
    return partial(load_spectra, ImageFolder(few, PAPER_SOURCES, tmp_path / "cache"), n_samples=48)


def control_of(load, alteration):
    """Return the control of the fakes in which every second one is altered."""
    settings = read_settings("train_celeba", ["--fakes-altered", alteration, "--both-altered"])
    given = train_celeba.controls(load(PAPER_FEATURE), {}, load, settings)
    return next(control for table, condition, control in given if condition == alteration)


@pytest.mark.parametrize("alteration", ["crop 30x40", "resize 44x54", "jpeg 50", "blur 0.5", "crop 30x30 + jpeg 75"])
def test_every_second_fake_is_altered_as_the_condition_says(few, load, alteration):
    control = control_of(load, alteration)
    assert len(control) == 24 and all(path.startswith("dataset_celebA/") for path in control.paths)
    for row, path in enumerate(control.paths):
        gray = read_gray(few / path).gray
        expected = radial_spectrum(alter(gray, alteration) if row % 2 else gray)
        expected = normalise_by_first(resample_spectrum(expected, 80))
        np.testing.assert_allclose(control.spectra[row], expected, rtol=1e-12)
        assert control.labels[row] == (FAKE if row % 2 else REAL)
        assert control.sources[row] == ("altered" if row % 2 else "untouched")


def test_a_fake_of_which_an_alteration_leaves_nothing_is_left_out_and_named(few, tmp_path, train):
    shutil.copytree(few, tmp_path / "faces")
    blank_inside = picture(0, (40, 40))
    blank_inside[12:28, 12:28] = 7
    (tmp_path / "faces/dataset_celebA/005.png").write_bytes(by_opencv(blank_inside))
    load = partial(load_spectra, ImageFolder(tmp_path / "faces", PAPER_SOURCES, tmp_path / "cache"), max_unreadable=0.1)
    control = control_of(load, "crop 16x16")
    assert len(control) == 23 and "dataset_celebA/005.png" not in control.paths
    for row, path in enumerate(control.paths):  # the others' spectra are still their own
        gray = read_gray(tmp_path / "faces" / path).gray
        expected = radial_spectrum(alter(gray, "crop 16x16") if row % 2 else gray)
        np.testing.assert_allclose(control.spectra[row], normalise_by_first(resample_spectrum(expected, 80)))
    flags = ("--data-dir", tmp_path / "faces", "--sample-sizes", 48, "--max-unreadable", 0.1)
    printed = train(*flags, "--n-splits", 1, "--fakes-altered", "crop 16x16", "--both-altered")
    assert "Note: 1 files skipped: dataset_celebA/005.png (blank: every pixel is 7 once altered or cropped)" in printed
    assert [line[:2] for line in table_lines(printed, "Control 1.")[1:]] == [
        ["untouched", "24"], ["crop 16x16", "23"], [OTHER_CENTRE, "24"]
    ]  # fmt: skip


def test_both_controls_are_given_what_their_conditions_say(load):
    dataset = load(PAPER_FEATURE)
    settings = read_settings("train_celeba", ["--fakes-altered", "blur 1", "--both-altered", "crop 30x30 + jpeg 40"])
    by_centre = {"published_2019": load(replace(PAPER_FEATURE, convention="published_2019"))}
    controls = train_celeba.controls(dataset, by_centre, load, settings)
    given = {(table, condition): images for table, condition, images in controls}
    assert list(given) == [
        ("control", "untouched"), ("control", "blur 1"), ("control", OTHER_CENTRE),
        ("alike", "as they are"), ("alike", "crop 30x30 + jpeg 40"),
    ]  # fmt: skip
    fakes = dataset.spectra[dataset.labels == FAKE]
    np.testing.assert_array_equal(given["control", "untouched"].spectra, fakes)
    assert (given["control", "blur 1"].spectra != fakes).any(axis=1).tolist() == [False, True] * 12
    of_reals = given["control", OTHER_CENTRE]
    other = load(replace(PAPER_FEATURE, convention="published_2019"))
    is_real = dataset.labels == REAL
    expected = np.where(np.arange(24)[:, None] % 2, other.spectra[is_real], dataset.spectra[is_real])
    np.testing.assert_array_equal(of_reals.spectra, expected)
    assert (
        all(path.startswith("img_align_celeba/") for path in of_reals.paths) and (of_reals.labels == FAKE).sum() == 12
    )
    assert given["alike", "as they are"] is dataset
    alike = given["alike", "crop 30x30 + jpeg 40"]
    expected = load(replace(PAPER_FEATURE, alteration="crop 30x30 + jpeg 40"))
    np.testing.assert_array_equal(alike.spectra, expected.spectra)
    assert alike.counts() == {"img_align_celeba": 24, "dataset_celebA": 24} and alike.paths == dataset.paths


def test_controls_need_four_fakes(train, few, tmp_path):
    for n_fakes, said in ((4, False), (3, True)):
        printed = train("--data-dir", few, "--sample-sizes", 2 * n_fakes, *FAST, "--output-dir", tmp_path)
        assert ("controls left out: found 3 fakes, need 4" in printed) == said == ("Control 1." not in printed)
        assert ("celeba_control.png" in printed) != said
        assert bool(rows_where(results_of(tmp_path, "celeba"), table="control")) != said


# --- where the rings stand


def centre_rows(results, **keys):
    """Return {(classifier, protocol): row of accuracy} of one convention."""
    rows = rows_where(results, table="centre", metric="accuracy", **keys)
    return {(row["classifier"], row["protocol"]): row for row in rows}


def test_each_convention_is_measured_on_its_own_spectra(first_run, few):
    results = results_of(first_run[0], "celeba")
    paths = [line.split("  ")[1] for line in (first_run[0] / "celeba_files.txt").read_text().splitlines()]
    labels = np.array([FAKE if path.startswith("dataset") else REAL for path in paths])
    for convention in CONVENTIONS:
        spectra = [radial_spectrum(read_gray(few / path).gray, convention) for path in paths]
        spectra = normalise_by_first(np.array([resample_spectrum(spectrum, 80) for spectrum in spectra]))
        dataset = make_dataset(spectra, labels, groups=paths)
        rows = centre_rows(results, condition=convention)
        for name, estimator, columns in (
            ("svm_linear", SVC(kernel="linear"), spectra),
            ("tenth_value", DecisionTreeClassifier(max_depth=1), spectra[:, [9]]),
        ):
            expected = [
                estimator.fit(columns[split.train], labels[split.train]).score(columns[split.test], labels[split.test])
                for split in random_splits(dataset, 48, 0.25, 2, 0)
            ]
            assert rows[name, "random"]["scores"] == pytest.approx(expected), (convention, name)
    of_table = accuracies(results, "sample_sizes")[None]["svm_linear"]
    assert centre_rows(results, condition="published")["svm_linear", "random"]["mean"] == of_table


def test_on_squares_the_centre_of_2019_is_the_right_one(train, drawn, tmp_path):
    write_source(tmp_path / "faces/img_align_celeba", 12, (44, 44))
    write_source(tmp_path / "faces/dataset_celebA", 12, (40, 40), first_seed=100, blur=1.2)
    (tmp_path / "plots").mkdir()
    for ending in "png", "pdf":
        (tmp_path / f"plots/celeba_centres.{ending}").write_bytes(
            b"Software\0deepfake-spectra /Creator (deepfake-spectra)"
        )
    flags = ("--sample-sizes", 24, *FAST, "--n-splits", 3, "--output-dir", tmp_path / "plots")
    printed = train("--data-dir", tmp_path / "faces", *flags)
    results = results_of(tmp_path / "plots", "celeba")
    rows = {convention: rows_where(results, table="centre", condition=convention) for convention in CONVENTIONS}
    assert rows["published"] == [row | {"condition": "published"} for row in rows["published_2019"]]
    assert rows["published"] != [row | {"condition": "published"} for row in rows["centred"]]
    assert "centres_figure" not in drawn and "celeba_centres" not in printed
    assert not list((tmp_path / "plots").glob("celeba_centres*"))


def test_on_images_more_than_twice_as_wide_as_high_there_is_no_centre_of_2019(train, drawn, tmp_path):
    write_source(tmp_path / "faces/img_align_celeba", 6, (40, 81))
    write_source(tmp_path / "faces/dataset_celebA", 6, (40, 40), first_seed=100)
    train("--data-dir", tmp_path / "faces", "--sample-sizes", 12, *FAST, "--output-dir", tmp_path)
    rows = rows_where(results_of(tmp_path, "celeba"), table="centre")
    assert {row["condition"] for row in rows} == {"published", "centred"} and "centres_figure" not in drawn
    controls = rows_where(results_of(tmp_path, "celeba"), table="control")
    assert {row["condition"] for row in controls} == {"untouched", "blur 2"}


@pytest.mark.parametrize("flags", [(), ("--convention", "centred")])
def test_the_centres_are_drawn_with_their_own_curves_and_the_released_one(train, drawn, few, tmp_path, flags):
    spectra = np.random.default_rng(0).normal(0.5, 0.01, (20, 80))
    spectra[:, 0] = 1
    released = {"data": spectra, "label": np.repeat([1.0, 0.0], 10)}  # fakes are called 1
    (tmp_path / "released.pkl").write_bytes(pickle.dumps(released, protocol=2))
    flags += ("--released-features", tmp_path / "released.pkl", "--output-dir", tmp_path)
    train("--data-dir", few, "--sample-sizes", 48, *FAST, *flags)
    path, plane, curves, centres, title = drawn["centres_figure"]
    reals = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in sorted((few / "img_align_celeba").iterdir())]
    assert plane == pytest.approx(np.mean([log_power_plane(gray) for gray in reals], axis=0))
    assert centres == {"right centre (published)": (21.5, 26.5), "the authors' of 2019": (21.5, 21.5)}
    assert list(curves) == [*centres, "released by the authors"]
    for name, convention in zip(centres, CONVENTIONS):
        rows = [normalise_by_first(resample_spectrum(radial_spectrum(gray, convention), 80)) for gray in reals]
        assert curves[name] == pytest.approx(np.mean(rows, axis=0))
    assert curves["released by the authors"] == pytest.approx(spectra[10:].mean(axis=0))
    assert path == tmp_path / "celeba_centres.png"
    assert title == "24 photographs, rings around two centres"


# --- what is wrong is said in one sentence


@pytest.mark.parametrize(
    "flags, status, words",
    [
        (("--fakes-altered", "sharpen 3"), 2, "unknown alteration 'sharpen 3'"),
        (("--both-altered", "jpeg 0"), 2, "unknown alteration 'jpeg 0'"),
        (("--fakes-altered", "crop 2x2"), 1, "too small once altered or cropped"),
        (("--data-dir", "gone"), 2, "gone: no such folder"),
        (("--fake-sources", "mine"), 2, "no source 'mine' there; found dataset_celebA, img_align_celeba"),
        (("--sample-sizes", 3), 1, "sample size 3 left out: 2 sources, need 2 images of each source, 4 in total"),
        (("--rbf-gamma", 0), 2, "RBF_GAMMA is 0.0: expected 1e-06 to 1000000"),
        (("--poly-gamma", "3"), 2, "invalid choice"),
    ],
)
def test_a_wrong_call_ends_in_one_sentence(call, few, tmp_path, flags, status, words):
    flags = ("--data-dir", few, "--sample-sizes", 8, "--n-splits", 1, "--output-dir", tmp_path / "plots", *flags)
    done = call("train_celeba", *flags)
    assert (done.status, done.err.count("\n")) == (status, 1) and words in done.err
    assert not (tmp_path / "plots").exists()
    if words.startswith("unknown alteration"):
        assert done.out == ""  # before it has cost anything


def test_features_of_another_experiment_are_refused(call, tmp_path):
    path = tmp_path / "test_1000.pkl"
    path.write_bytes(pickle.dumps({"data": np.eye(4, 300), "label": np.array([1.0, 1, 0, 0])}, protocol=2))
    done = call("train_celeba", "--published-features", path, "--output-dir", tmp_path / "plots")
    assert done.status == 2 and "300 values a spectrum, expected N_BINS = 80; it is of another" in done.err
    done = call("train_celeba", "--published-features", path, "--data-dir", tmp_path)
    assert done.status == 2 and "found both DATA_DIR and PUBLISHED_FEATURES: name one of them" in done.err
    done = call("train_celeba", "--published-features", path, "--released-features", path)
    assert done.status == 2 and "found both RELEASED_FEATURES and PUBLISHED_FEATURES: name one of" in done.err
    assert not (tmp_path / "plots").exists()
