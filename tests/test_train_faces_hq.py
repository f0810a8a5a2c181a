"""The Faces-HQ experiment as a user runs it: what it writes, what it says, and how it ends when something is wrong."""

import csv
import gzip
import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import linux_only, real_data
from outputs import results_of, rows_where, table_lines
from pictures import by_opencv, picture, write_source
from safetensors import safe_open
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

import train_faces_hq
from deepfake_spectra import missing_spectra, plane_plots, plots, splits
from deepfake_spectra.alterations import alter
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, FAKE, IMAGES, PUBLISHED_FEATURES, REAL, Feature, SpectrumDataset
from deepfake_spectra.metrics import METRICS
from deepfake_spectra.opencv import cv2
from deepfake_spectra.plane_plots import pipeline_figure
from deepfake_spectra.plots import crops_figure
from deepfake_spectra.results import ROW_KEYS
from deepfake_spectra.sample.build import PHOTOGRAPHS, photograph_of
from deepfake_spectra.settings import read_settings
from radial_spectrum import log_power_plane, radial_spectrum, spectrum_radii

NAMED = ("--real-sources", "real_a", "real_b", "--fake-sources", "fake_a", "fake_b")
FAST = ("--n-splits", 1, "--both-altered", "jpeg 75")
PLAIN = ("--n-splits", 1, "--both-altered")
FEW = (*NAMED, "--sample-sizes", 40, *FAST)
NOISE = {"real_a": 1.0, "real_b": 2.7, "fake_a": 4.5, "fake_b": 12.0}  # grey levels; high frequencies stand at 0 2 3 5
FIGURES = ("control", "planes", "scores", "sizes", "sources", "spectrum")
PANELS = {"as they are": "as they are", "every image: jpeg 75": "jpeg 75"}  # title: condition
OUTPUTS = ["accuracy.csv", "accuracy.md", "files.txt", "judge.safetensors", "results.json", "scores.csv.gz"]
OUTPUTS += [f"{name}.{ending}" for name in FIGURES for ending in ("png", "pdf")]

# PAPER.md, per cent: number of images, linear SVM, logistic regression, k-means
PAPER_TABLE = ((4000, 100, 100, 82), (1000, 100, 100, 82), (100, 100, 100, 81), (20, 100, 100, 75))
FIRST = ("--sample-sizes", 1000, 40, 21, "--n-splits", 2, "--test-share", 0.3, "--both-altered", "jpeg 50", "jpeg 90")
STATES = ("as they are", "jpeg 50", "jpeg 90")  # of that run
PAPER_SOURCES = {
    "celebA-HQ_10K": REAL, "Flickr-Faces-HQ_10K": REAL, "100KFake_10K": FAKE, "thispersondoesntexists_10K": FAKE,
}  # fmt: skip


def run_script(clone, *flags):
    """Run the script of a copy of the repository, as a user does; return what it printed."""
    command = [sys.executable, clone / "train_faces_hq.py", *map(str, flags)]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, encoding="utf-8", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def accuracy_of(results, **keys):
    """Return the mean of the one row of accuracy with these keys."""
    [row] = rows_where(results, metric="accuracy", **keys)
    return row["mean"]


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Return a folder of 12 images of each of two real and two fake sources, all alike but for their noise."""
    folder = tmp_path_factory.mktemp("data") / "faces"
    for number, (source, level) in enumerate(NOISE.items()):
        (folder / source).mkdir(parents=True)
        for image in range(12):
            seed = 100 * number + image
            noise = np.random.default_rng(seed).normal(0, level, (64, 64))
            pixels = np.clip(picture(seed, (64, 64), 2.0) + noise, 0, 255).round().astype(np.uint8)
            (folder / source / f"{image:02}.png").write_bytes(by_opencv(pixels))
    return folder


# --- the paper's values


def test_the_constants_are_the_papers():
    assert train_faces_hq.FACES_HQ_SOURCES == PAPER_SOURCES
    assert train_faces_hq.PAPER_FEATURE == Feature("published", "none", "float64", "", n_bins=722, normalise=False)
    names = ("svm_linear", "logistic_regression", "k_means")
    assert train_faces_hq.PAPER_ACCURACY == {"paper": {n: dict(zip(names, found)) for n, *found in PAPER_TABLE}}
    settings = vars(read_settings("train_faces_hq", []))
    assert settings | {
        "sample_sizes": (4000, 1000, 100, 20), "test_share": 0.2, "n_splits": 10, "svm_c": 1.0,
        "logistic_max_iter": 1000, "convention": "published", "precision": "float64", "n_bins": None, "data_dir": None,
        "both_altered": ("jpeg 75", "jpeg 50", "jpeg 90"),
        "real_sources": ("celebA-HQ_10K", "Flickr-Faces-HQ_10K"), "published_features": None,
        "fake_sources": ("100KFake_10K", "thispersondoesntexists_10K"),
    } == settings  # fmt: skip


@pytest.mark.parametrize("flags, C, max_iter", [((), 1.0, 1000), (("--svm-c", 3, "--logistic-max-iter", 77), 3.0, 77)])
def test_the_classifiers_are_the_papers_and_follow_their_settings(train, faces, monkeypatch, flags, C, max_iter):
    given, score_classifiers = [], train_faces_hq.score_classifiers

    def note(dataset, splits, classifiers, *arguments, **keys):
        given.append(classifiers)
        return score_classifiers(dataset, splits, classifiers, *arguments, **keys)

    monkeypatch.setattr(train_faces_hq, "score_classifiers", note)
    train("--data-dir", faces, *FEW, *flags)
    # table 1 at one size; both states with four transfers each; halves of four sources, pairs of two classes
    assert len(given) == 1 + 2 * 5 + 2 * 4 + 2 * 2
    for classifiers in given:
        svm, logistic = classifiers.values()
        assert list(classifiers) == ["svm_linear", "logistic_regression"]
        assert isinstance(svm, SVC) and (svm.kernel, svm.C) == ("linear", C)
        assert isinstance(logistic, LogisticRegression) and (logistic.solver, logistic.C) == ("liblinear", 1.0)
        assert (logistic.max_iter, logistic.tol, logistic.fit_intercept) == (max_iter, 1e-10, True)


def made_dataset(origin=IMAGES, labels_of=PAPER_SOURCES, **changes):
    """Return a data set of two rows a source, of the paper's feature unless changed."""
    names = [name for name in labels_of for _ in range(2)]
    labels = np.array([labels_of[name] for name in names])
    feature = replace(train_faces_hq.PAPER_FEATURE, **changes)
    return SpectrumDataset(
        np.zeros((len(names), 3)), labels, np.array(names), np.array(list(map(str, range(8)))), names, feature,
        origin=origin,
    )  # fmt: skip


def measured(size, classifier="svm_linear", protocol="random"):
    """Return a row of accuracy as ours."""
    keys = {"table": "sample_sizes", "n_samples": size, "classifier": classifier, "protocol": protocol}
    return keys | {"metric": "accuracy", "mean": 0.5, "std": None, "low": None, "n_test": [4]}


def test_the_papers_numbers_stand_below_ours_size_by_size():
    columns = (("svm_linear", "random"), ("logistic_regression", "random"), ("k_means", "all_rows"))
    columns += (("k_means", "held_out"), ("headers_only", "random"))
    rows = [measured(size, *column) for size, *_ in PAPER_TABLE for column in columns]
    [(caption, table)] = train_faces_hq.make_tables(made_dataset(), rows, 10)
    head, *lines = table_lines(table, "")
    assert head == [
        "samples", "by", "tested", "SVM, linear", "logistic regression", "k-means, all rows", "k-means, held out",
        "headers only",
    ]  # fmt: skip
    expected = []
    for size, *percents in PAPER_TABLE:
        expected += [[str(size), "here", "4", *["50.0"] * 5], [str(size), "paper", "", *map(str, percents), "", ""]]
    assert lines == expected and caption.startswith("Accuracy in %") and "over 10 random splits" in caption


@pytest.mark.parametrize(
    "dataset",
    [
        made_dataset(n_bins=721),
        made_dataset(convention="centred"),
        made_dataset(alteration="jpeg 75"),
        made_dataset(precision="float32"),
        made_dataset(BUILT_IN_SAMPLE),
        made_dataset(PUBLISHED_FEATURES, n_bins=80),  # of CelebA
        made_dataset(labels_of=PAPER_SOURCES | {"100KFake_10K": REAL}),
        made_dataset(labels_of={name: label for name, label in PAPER_SOURCES.items() if name != "100KFake_10K"}),
        made_dataset(labels_of={"real_a": REAL, "real_b": REAL, "fake_a": FAKE, "fake_b": FAKE}),
    ],
    ids="bins convention alteration precision sample celeba class three other".split(),
)
def test_the_papers_numbers_stand_beside_nothing_else(dataset):
    [(_, table)] = train_faces_hq.make_tables(dataset, [measured(20, protocol=dataset.protocol)], 10)
    assert "50.0" in table and "paper" not in table


# --- a run on images


@pytest.fixture(scope="module")
def first_run(clone, faces, tmp_path_factory):
    """Return the output folder of a run, and what it printed."""
    folder = tmp_path_factory.mktemp("first_run")
    return folder, run_script(clone, "--data-dir", faces, *NAMED, *FIRST, "--output-dir", folder)


def test_a_run_writes_its_files_and_says_so(first_run):
    folder, printed = first_run
    found = sorted(path.name for path in folder.iterdir())
    assert found == sorted(f"faces_hq_{name}" for name in OUTPUTS)
    [said] = [line for line in printed.splitlines() if line.startswith("written into ")]
    others = [name for name in found if not name.endswith((".pdf", ".safetensors"))]
    assert sorted(said.rpartition(": ")[2].split(", ")) == others
    text = (folder / "faces_hq_accuracy.md").read_text(encoding="utf-8")
    assert text.startswith("# Faces-HQ experiment, 48 images\n") and text in printed and "| paper" not in text
    assert "48 spectra of 43 values: real_a 12, real_b 12, fake_a 12, fake_b 12." in text
    captions = [line[:8] for line in text.splitlines() if line.startswith("Table")]
    assert captions == [f"Table {number}." for number in range(1, 6)]
    for name in FIGURES:
        assert cv2.imread(str(folder / f"faces_hq_{name}.png")).std() > 10
        assert (folder / f"faces_hq_{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_results_say_what_was_measured_and_how(first_run, faces, clone):
    results = results_of(first_run[0], "faces_hq")
    assert (results["experiment"], results["built_in_sample"], results["commit"]) == ("faces_hq", False, None)
    settings = results["settings"]
    assert settings["SAMPLE_SIZES"] == [1000, 40, 21] and settings["TEST_SHARE"] == 0.3 and settings["N_BINS"] is None
    assert Path(clone, settings["DATA_DIR"]).resolve() == faces.resolve()
    assert settings["REAL_SOURCES"] == ["real_a", "real_b"]
    for row in results["rows"]:
        assert list(row) == list(ROW_KEYS)
        assert row["low"] is None or 0 <= row["low"] <= row["mean"] <= row["high"] + 1e-9
        assert row["low"] is None or row["metric"] == "cllr" or row["high"] <= 1
        n_splits = {"transfer": 1, "curve_end": None}.get(row["table"], 2)
        assert row["n_test"] is n_splits or len(row["scores"]) == len(row["n_test"]) == n_splits


def test_table_1_holds_every_classifier_at_the_sizes_that_fit(first_run):
    results = results_of(first_run[0], "faces_hq")
    found = {
        (row["classifier"], row["protocol"], row["n_samples"]): row["n_test"]
        for row in rows_where(results, table="sample_sizes", metric="accuracy")
    }
    split = (
        ("svm_linear", "random"),
        ("logistic_regression", "random"),
        ("k_means", "held_out"),
    )
    split += ("majority_class", "random"), ("headers_only", "random")  # fmt: skip
    expected = {(*column, size): [n_test] * 2 for size, n_test in ((48, 16), (40, 12), (20, 8)) for column in split}
    assert found == expected | {("k_means", "all_rows", size): [size] * 2 for size in (48, 40, 20)}
    assert accuracy_of(results, table="sample_sizes", classifier="svm_linear", n_samples=48) == 1
    assert accuracy_of(results, classifier="headers_only", n_samples=48) == 0.5 and "headers alone" not in first_run[1]
    assert "sample size 1000 became 48: real_a has 12 images" in first_run[1]
    assert "sample size 21 became 20: equal numbers of 4 sources" in first_run[1]
    assert first_run[1].index("sample size 1000 became") < first_run[1].index("spectra: ")  # said before the work


def test_a_sample_size_gives_the_same_numbers_alone_and_beside_others(train, faces, tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "SMALLEST_POOL", 24)
    found = []
    for sizes in ((8,), (48, 20, 8), (8, 32)):
        flags = ("--sample-sizes", *sizes, "--n-splits", 3, "--both-altered", "--output-dir", tmp_path)
        printed = train("--data-dir", faces, *NAMED, *flags)
        rows = rows_where(results_of(tmp_path, "faces_hq"), table="sample_sizes", n_samples=8)
        found.append(rows)
        is_alone = len(sizes) == 1  # 8 images are drawn from 24
        assert ("24 spectra" in printed and "draws each split from 24 images; the other" in printed) == is_alone
    assert found[0] == found[1] == found[2] and len(found[0]) > 20


def test_sizes_that_cannot_be_are_said_before_an_image_is_read(call, faces, monkeypatch, drawn):
    monkeypatch.setattr(missing_spectra, "measure_features", None)
    ended = call("train_faces_hq", "--data-dir", faces, *NAMED, "--sample-sizes", 7, 3)
    assert (ended.status, ended.out) == (1, "") and "sample size 7 left out" in ended.err


def test_table_2_alters_all_images_alike_and_as_they_are_is_the_largest_size_of_table_1(first_run):
    results = results_of(first_run[0], "faces_hq")
    columns = [("svm_linear", "random"), ("logistic_regression", "random")]
    columns += [("k_means", "all_rows"), ("k_means", "held_out")]
    rows = rows_where(results, table="alike", metric="accuracy")
    assert [(row["condition"], row["classifier"], row["protocol"]) for row in rows] == [
        (state, *column) for state in STATES for column in columns
    ]
    for row in rows:
        keys = {key: row[key] for key in ("classifier", "protocol", "n_samples", "metric")}
        [of_table_1] = rows_where(results, table="sample_sizes", **keys)
        assert row["n_samples"] == 48 and row["n_test"] == of_table_1["n_test"]
        assert row["condition"] != "as they are" or row["scores"] == of_table_1["scores"]
    lines = table_lines(first_run[1], "Table 2. Reals against fakes")[1:]
    assert [line[:3] for line in lines] == [[state, "48", "16"] for state in STATES]


def test_table_3_trains_on_each_pair_and_tests_on_the_others_in_every_state(first_run):
    # between the noise of the two sources trained on lies the threshold: real_b stands above that of (real_a, fake_a),
    # fake_a below that of (real_b, fake_b); trained and tested exchanged, both would turn round
    recalls = {  # trained real, trained fake, tested real, tested fake: (of reals, of fakes)
        ("real_a", "fake_a", "real_b", "fake_b"): (0, 1),
        ("real_a", "fake_b", "real_b", "fake_a"): (1, 1),
        ("real_b", "fake_a", "real_a", "fake_b"): (1, 1),
        ("real_b", "fake_b", "real_a", "fake_a"): (1, 0),
    }
    results = results_of(first_run[0], "faces_hq")
    found = {state: {} for state in STATES}
    for row in rows_where(results, table="transfer", classifier="svm_linear"):
        assert (row["protocol"], row["n_samples"], row["n_test"], row["n_test_groups"]) == ("held_out", 48, [24], None)
        pair = (*row["train_sources"], *row["test_sources"])
        found[row["condition"]].setdefault(pair, {})[row["metric"]] = row["mean"]
    for state, of_state in found.items():
        assert list(of_state) == list(recalls), state
    as_they_are = found["as they are"]
    assert {pair: (of["recall_real"], of["recall_fake"]) for pair, of in as_they_are.items()} == recalls
    assert all(values["roc_auc"] == 1 for values in as_they_are.values())
    head, *lines = table_lines(first_run[1], "Table 3. Transfer in %")
    assert head[1:3] == ["trained on", "tested on"]
    assert head[4:] == ["tested", "balanced accuracy", "recall of reals", "recall of fakes", "ROC AUC"]
    assert lines[0][:4] == ["as they are", "real_a + fake_a", "real_b + fake_b", "SVM, linear"] and len(lines) == 24
    assert [cell.split()[0] for cell in lines[0][5:]] == ["50.0", "0.0", "100.0", "100.0"]
    assert {(line[1], line[2]) for line in lines} == {(f"{a} + {b}", f"{c} + {d}") for a, b, c, d in recalls}


def test_the_transfer_of_each_state_is_that_of_an_svm_fitted_to_its_own_spectra(first_run, faces):
    results = results_of(first_run[0], "faces_hq")
    recalls = {}
    for state in STATES:
        steps = "" if state == "as they are" else state
        spectra = {
            source: [
                radial_spectrum(alter(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), steps))
                for path in sorted((faces / source).iterdir())
            ]
            for source in NOISE
        }
        keys = {"table": "transfer", "classifier": "svm_linear", "condition": state}
        for row in rows_where(results, metric="recall_fake", **keys):
            (real, fake), (_, asked) = row["train_sources"], row["test_sources"]
            svm = SVC(kernel="linear").fit(spectra[real] + spectra[fake], [REAL] * 12 + [FAKE] * 12)
            assert row["mean"] == np.mean(svm.predict(spectra[asked]) == FAKE)
            keys = {key: row[key] for key in ("table", "classifier", "condition", "train_sources")}
            [of_reals] = rows_where(results, metric="recall_real", **keys)
            assert of_reals["mean"] == np.mean(svm.predict(spectra[row["test_sources"][0]]) == REAL)
            recalls.setdefault(state, []).append((of_reals["mean"], row["mean"]))
    assert recalls["as they are"] != recalls["jpeg 50"]  # else the states could be mixed up


def levels_dataset(levels, n=8):
    """Return n rows of each source, all at its level, and hardly any noise: what lies between which is known."""
    sources = np.repeat(list(levels), n)
    spectra = np.array([[levels[name], 1.0] for name in sources])
    spectra += np.random.default_rng(0).normal(0, 0.01, spectra.shape)
    paths = [f"{name}/{row}" for row, name in enumerate(sources)]
    labels = np.where(np.char.startswith(sources, "real"), REAL, FAKE)
    return SpectrumDataset(spectra, labels, sources, np.array(paths), paths, Feature(n_bins=2))


def test_the_transfer_at_equal_quality_is_of_the_altered_spectra_and_of_the_right_sides():
    altered = levels_dataset({"real_a": 0, "real_b": 2, "fake_a": 3, "fake_b": 9})
    settings = SimpleNamespace(test_share=0.2, n_splits=1, seed=0, n_threads=1)
    rows = train_faces_hq.transfer_rows(altered, {"svm_linear": SVC(kernel="linear")}, settings, "jpeg 75")
    found = {(*row["train_sources"], row["metric"]): row["mean"] for row in rows}
    assert {row["condition"] for row in rows} == {"jpeg 75"} and len(found) == 4 * len(METRICS)
    for pair, recalls in {
        ("real_a", "fake_a"): (0, 1), ("real_a", "fake_b"): (1, 0), ("real_b", "fake_a"): (1, 1),
        ("real_b", "fake_b"): (1, 0),
    }.items():  # fmt: skip
        assert (found[*pair, "recall_real"], found[*pair, "recall_fake"]) == recalls, pair


def test_table_4_tells_apart_what_has_nothing_fake_in_it(first_run, faces):
    results = results_of(first_run[0], "faces_hq")
    halves = [f"{source}, half of it {how}" for source in NOISE for how in ("called fake", "jpeg 50")]
    pairs = [f"{kind}_a against {kind}_b, {state}" for kind in ("real", "fake") for state in STATES]
    found = {}
    for row in rows_where(results, table="control", metric="accuracy"):
        found.setdefault(row["condition"], {})[row["classifier"]] = row
    assert list(found) == halves + pairs
    for condition, of_condition in found.items():
        assert list(of_condition) == ["svm_linear", "logistic_regression"]
        n = 24 if "against" in condition else 12
        assert {(row["n_samples"], row["protocol"]) for row in of_condition.values()} == {(n, "random")}
    accuracies = {condition: of_condition["svm_linear"]["mean"] for condition, of_condition in found.items()}
    assert accuracies["fake_a against fake_b, as they are"] == accuracies["real_a against real_b, as they are"] == 1
    assert 0.2 < np.mean([accuracies[condition] for condition in halves if "called" in condition]) < 0.8
    lines = table_lines(first_run[1], "Table 4. Nothing fake to find")[1:]
    assert [line[0] for line in lines] == halves + pairs


def test_the_controls_are_given_the_images_that_their_conditions_name():
    plain = levels_dataset({"real_a": 0, "real_b": 2, "real_c": 4, "fake_a": 3, "few": 7}, n=6)
    plain = plain.of_rows(np.arange(len(plain) - 3))  # three of the last source are not enough
    states = {"as they are": plain}
    for number, steps in enumerate(("jpeg 75", "jpeg 50"), 1):
        feature = replace(plain.feature, alteration=steps)
        states[steps] = replace(plain, spectra=plain.spectra + 100 * number, feature=feature)
    given = dict(train_faces_hq.control_data(states))
    expected = [f"{name}, half of it {how}" for name in ("real_a", "real_b", "real_c", "fake_a")
                for how in ("called fake", "jpeg 75")]  # fmt: skip
    pairs = [("real_a", "real_b"), ("real_a", "real_c"), ("real_b", "real_c"), ("fake_a", "few")]
    assert list(given) == expected + [f"{a} against {b}, {state}" for a, b in pairs for state in states]
    for condition, control in given.items():
        first, _, other = condition.partition(", half of it ")
        if other:
            assert {path.split("/")[0] for path in control.paths} == {first}
            assert (control.spectra[:, 1] > 50).tolist() == [other == "jpeg 75" and bool(row % 2) for row in range(6)]
            assert control.labels.tolist() == [REAL, FAKE] * 3
            continue
        names, _, state = condition.partition(", ")
        first, second = names.split(" against ")
        assert control.counts().keys() == {first, second} and set(control.spectra[:, 1].round(-1)) == {
            100.0 * list(states).index(state)
        }
        assert control.labels.tolist() == [FAKE if name == second else REAL for name in control.sources]


def test_table_6_is_the_end_of_each_curve_over_its_own_first_value(first_run, faces):
    results = results_of(first_run[0], "faces_hq")
    for source in NOISE:
        [row] = rows_where(results, table="curve_end", condition=source)
        spectra = [radial_spectrum(cv2.imread(str(path), 0)) for path in sorted((faces / source).iterdir())]
        ends = [spectrum[-1] / spectrum[0] for spectrum in spectra]
        assert (row["mean"], row["std"]) == pytest.approx((np.mean(ends), np.std(ends)))
        assert (row["metric"], row["n_samples"], row["classifier"]) == ("last_over_first", 12, None)
    lines = table_lines(first_run[1], "Table 5. The end of each source's curve")[1:]
    assert [line[0] for line in lines] == list(NOISE) and "±" in lines[0][-1]


def test_the_scores_file_gives_the_accuracies_again(first_run):
    with gzip.open(first_run[0] / "faces_hq_scores.csv.gz", "rt", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    rows = [row for row in results_of(first_run[0], "faces_hq")["rows"] if row["metric"] == "accuracy"]
    for row in rows:
        keys = {key: str(row[key] or "") for key in ("table", "condition", "n_samples", "classifier", "protocol")}
        keys["train_sources"] = "+".join(row["train_sources"] or ())
        own = [line for line in lines if line | keys == line]
        right = [[line["predicted"] == line["label"] for line in own if line["split"] == str(n)] for n in range(2)]
        assert [np.mean(of_split) for of_split in right if of_split] == row["scores"]
    assert len(lines) == sum(sum(row["n_test"]) for row in rows)


def test_csv_and_files_txt_are_those_of_the_run(first_run, faces):
    with (first_run[0] / "faces_hq_accuracy.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    rows = results_of(first_run[0], "faces_hq")["rows"]
    assert [(line["metric"], line["mean"]) for line in lines] == [
        (row["metric"], "" if row["mean"] is None else str(row["mean"])) for row in rows
    ]
    listed = [line.split("  ") for line in (first_run[0] / "faces_hq_files.txt").read_text("utf-8").splitlines()]
    assert len({name for _, name in listed}) == 48
    assert all(digest == hashlib.sha256((faces / name).read_bytes()).hexdigest() for digest, name in listed)


def test_another_process_and_the_cache_give_the_same_numbers(train, faces, first_run, tmp_path):
    for folder, said in (("new", ", 48 computed"), ("cached", ", 0 computed")):
        printed = train("--data-dir", faces, *NAMED, *FIRST, "--n-threads", 1, "--output-dir", tmp_path / folder)
        assert printed.count(said) == len(STATES) and printed.count(" computed") == len(STATES)
        scores = (tmp_path / folder / "faces_hq_scores.csv.gz").read_bytes()
        assert scores == (first_run[0] / "faces_hq_scores.csv.gz").read_bytes()
        assert results_of(tmp_path / folder, "faces_hq")["rows"] == results_of(first_run[0], "faces_hq")["rows"]
        written = (tmp_path / folder / "faces_hq_files.txt").read_text(encoding="utf-8")
        assert written == (first_run[0] / "faces_hq_files.txt").read_text(encoding="utf-8")


def test_the_seed_draws_images_and_splits(train, faces, tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "SMALLEST_POOL", 16)
    noise = {"data": np.random.default_rng(0).normal(100, 1, (40, 9)), "label": np.arange(40.0) % 2}
    (tmp_path / "features.pkl").write_bytes(pickle.dumps(noise, protocol=2))
    drawn, split = [], []
    for seed in 1, 2:
        flags = ("--n-splits", 1, "--both-altered", "--seed", seed, "--output-dir", tmp_path)
        train("--data-dir", faces, *NAMED, "--sample-sizes", 8, 16, *flags)
        drawn.append((tmp_path / "faces_hq_files.txt").read_text(encoding="utf-8").splitlines())
        train("--published-features", tmp_path / "features.pkl", "--sample-sizes", 40, *flags)
        keys = {"table": "sample_sizes", "classifier": "svm_linear", "metric": "roc_auc"}
        [row] = rows_where(results_of(tmp_path / "published_features", "faces_hq"), **keys)
        split.append(row["scores"])
    assert len(drawn[0]) == 16 and sorted(drawn[0]) != sorted(drawn[1]) and split[0] != split[1]


def test_the_figure_shows_the_svms_weights_and_its_spectra_are_kept(train, drawn, faces, tmp_path):
    flags = ("--svm-c", 0.3, "--output-dir", tmp_path / "plots")
    printed = train("--data-dir", faces, *NAMED, "--sample-sizes", 48, *FAST, *flags)
    path, dataset, weights, classifier, title = drawn["spectrum_figure"]
    assert path == tmp_path / "plots/faces_hq_spectrum.png" and (classifier, title) == (
        "Linear SVM",
        "Faces-HQ experiment, 48 images",
    )
    assert dataset.feature == Feature(n_bins=43) and "crops_figure" not in drawn
    assert all((label == FAKE) == source.startswith("fake") for source, label in zip(dataset.sources, dataset.labels))
    fitted = SVC(kernel="linear", C=0.3).fit(dataset.spectra, dataset.labels)
    np.testing.assert_allclose(weights, fitted.coef_[0] * dataset.spectra.std(axis=0))
    assert weights[20:].mean() > 0  # noise speaks for fake
    file = tmp_path / "plots/faces_hq_judge.safetensors"
    assert printed.splitlines()[-1] == f"judge: {file}; ask it: python detect_fakes.py --judge {file} FILE"
    with safe_open(file, "numpy") as kept:
        np.testing.assert_array_equal(kept.get_tensor("spectra"), dataset.spectra)
        assert '"classifier": {"kernel": "linear", "C": 0.3}' in kept.metadata()["description"]


def test_the_feature_is_what_the_settings_ask_for_in_every_state(train, drawn, faces):
    flags = ("--convention", "centred", "--precision", "float32", "--n-bins", 20)
    train("--data-dir", faces, *FEW, *flags, "--both-altered", "crop 40x40 + jpeg 75", "blur 1")
    dataset = drawn["spectrum_figure"][1]
    assert dataset.feature == Feature("centred", "none", "float32", "", 20) and dataset.spectra.shape == (40, 20)
    steps = "crop 40x40 + jpeg 75"
    assert {title: state.feature for title, state in drawn["sources_figure"][1].items()} == {
        "as they are": dataset.feature, f"every image: {steps}": replace(dataset.feature, alteration=steps)
    }  # fmt: skip


def test_the_figures_are_given_the_states_scores_and_planes_of_the_run(train, drawn, faces, tmp_path):
    train("--data-dir", faces, *NAMED, "--sample-sizes", 48, 20, *FAST, "--n-splits", 2, "--output-dir", tmp_path)
    results = results_of(tmp_path, "faces_hq")
    assert {name: given[0].name for name, given in drawn.items()} == {
        f"{name}_figure": f"faces_hq_{name}.png" for name in FIGURES
    }
    _, states, title = drawn["sources_figure"]
    assert list(states) == list(PANELS) and title == "Faces-HQ experiment, 48 images"
    _, sizes, papers, _ = drawn["sizes_figure"]
    assert {row["n_samples"] for row in sizes} == {48, 20} and {row["table"] for row in sizes} == {"sample_sizes"}
    assert papers == []  # the sources are not the paper's
    _, rows, panels, _ = drawn["control_figure"]
    assert list(panels) == ["alike", "control"]
    assert [row["mean"] for row in rows] == [row["mean"] for row in results["rows"]]
    _, scores, *name_and_title = drawn["scores_figure"]
    assert list(scores) == list(states) and name_and_title == ["Linear SVM", title]
    for panel, of_source in scores.items():
        assert list(of_source) == [("real_a", REAL), ("real_b", REAL), ("fake_a", FAKE), ("fake_b", FAKE)]
        right = [np.mean((found > 0) == label) for (_, label), found in of_source.items()]
        keys = {"table": "alike", "condition": PANELS[panel], "classifier": "svm_linear"}
        assert accuracy_of(results, **keys) == pytest.approx(np.mean(right)) and len(of_source["real_a", REAL]) == 4
    _, planes, _ = drawn["planes_figure"]
    assert list(planes) == list(PANELS)
    for panel, (real, fake) in planes.items():
        for plane, sources in ((real, ("real_a", "real_b")), (fake, ("fake_a", "fake_b"))):
            means = [plane_of(path, PANELS[panel]) for source in sources for path in sorted((faces / source).iterdir())]
            assert plane == pytest.approx(np.mean(means, axis=0))


def plane_of(path, condition):
    """Return the 2-D log power of an image in a state."""
    gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return log_power_plane(gray if condition == "as they are" else alter(gray, condition))


def test_images_of_several_sizes_have_no_mean_plane(train, drawn, faces, tmp_path):
    shutil.copytree(faces, tmp_path / "faces")
    write_source(tmp_path / "faces/real_a", 3, (70, 64))
    (tmp_path / "plots").mkdir()
    for ending in "png", "pdf":
        (tmp_path / f"plots/faces_hq_planes.{ending}").write_bytes(
            b"Software\0deepfake-spectra /Creator (deepfake-spectra)"
        )
    flags = (*NAMED, "--sample-sizes", 60, *PLAIN, "--output-dir", tmp_path / "plots")
    printed = train("--data-dir", tmp_path / "faces", *flags)
    assert "planes_figure" not in drawn and "faces_hq_planes" not in printed
    assert not list((tmp_path / "plots").glob("faces_hq_planes*"))


def test_an_image_of_which_an_alteration_leaves_nothing_is_named(train, faces, tmp_path):
    shutil.copytree(faces, tmp_path / "faces")
    blank_inside = picture(0, (64, 64))
    blank_inside[20:44, 20:44] = 7
    (tmp_path / "faces/fake_b/03.png").write_bytes(by_opencv(blank_inside))
    flags = (*NAMED, "--sample-sizes", 48, "--n-splits", 1, "--both-altered", "crop 16x16", "--max-unreadable", 0.1)
    printed = train("--data-dir", tmp_path / "faces", *flags)
    assert "1 files skipped: fake_b/03.png (blank: every pixel is 7 once altered or cropped)" in printed


def test_an_alteration_that_leaves_too_few_of_a_source_ends_in_one_sentence(call, drawn, faces, tmp_path):
    shutil.copytree(faces, tmp_path / "faces")
    for path in sorted((tmp_path / "faces/fake_b").iterdir())[3:]:
        blank_inside = picture(0, (64, 64))
        blank_inside[20:44, 20:44] = 7
        path.write_bytes(by_opencv(blank_inside))
    flags = (*NAMED, "--sample-sizes", 48, "--n-splits", 1, "--both-altered", "crop 16x16", "--max-unreadable", 1)
    done = call("train_faces_hq", "--data-dir", tmp_path / "faces", *flags, "--n-threads", 1)
    assert done.status == 1 and done.err.count("\n") == 1
    assert "fake_b: crop 16x16 leaves 3 of 12 images, need 4" in done.err


def test_two_real_sources_and_one_fake_one_are_led_by_the_balanced_accuracy(train, drawn, faces, tmp_path):
    sources = ("--real-sources", "real_a", "real_b", "--fake-sources", "fake_a")
    flags = ("--sample-sizes", 30, "--n-splits", 2, "--both-altered", "jpeg 75", "--output-dir", tmp_path)
    printed = train("--data-dir", faces, *sources, *flags)
    assert "Balanced accuracy (mean of the two recalls: the classes are of unequal size) in %" in printed
    [majority] = rows_where(results_of(tmp_path, "faces_hq"), classifier="majority_class", metric="accuracy")
    assert majority["scores"] == [2 / 3, 2 / 3] and majority["n_test_fake"] == [2, 2]
    head, line = table_lines(printed, "Table 1.")
    assert line[head.index("majority class")].startswith("50.0 ")
    assert {row["metric"] for row in drawn["sizes_figure"][1]} == {"balanced_accuracy"}


def test_an_output_folder_that_is_read_or_holds_somebody_elses_figure_ends_the_run_at_once(call, faces, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/faces_hq_planes.png").write_bytes(by_opencv(picture()))
    for folder, sentence in (
        (faces / "real_a", "is, or lies in, what is read"),
        (tmp_path / "mine", "faces_hq_planes.png: is there, and no earlier output of this kind"),
    ):
        done = call("train_faces_hq", "--data-dir", faces, *FEW, "--output-dir", folder)
        assert (done.status, done.out) == (2, "") and sentence in done.err and done.err.count("\n") == 1
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["faces_hq_planes.png"]


def test_a_further_classifier_is_one_line(call, drawn, faces, tmp_path, monkeypatch):
    source = Path(train_faces_hq.__file__).read_text(encoding="utf-8")
    before, mark, behind = source.partition("    classifiers = {\n")
    forest = '__import__("sklearn.ensemble").ensemble.RandomForestClassifier(5, random_state=0)'
    line = f'        "random_forest": {forest},\n'
    (tmp_path / "faces_hq_with_forest.py").write_text(before + mark + line + behind, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    flags = (*NAMED, "--sample-sizes", 40, *PLAIN, "--n-threads", 1, "--output-dir", tmp_path)
    done = call("faces_hq_with_forest", "--data-dir", faces, *flags)
    assert (done.status, done.err) == (0, "")
    results = results_of(tmp_path, "faces_hq")
    assert accuracy_of(results, table="sample_sizes", classifier="random_forest") == 1
    assert len(rows_where(results, table="transfer", classifier="random_forest", metric="roc_auc")) == 4
    assert "random_forest" in {line[3] for line in table_lines(done.out, "Table 3.")}
    for heading in "Table 1.", "Table 2.", "Table 4.":
        assert "random_forest" in table_lines(done.out, heading)[0]


# --- the authors' sources, the authors' features


@linux_only
def test_the_authors_folders_stand_beside_the_papers_numbers_and_their_headers_are_warned_of(train, drawn, tmp_path):
    qualities = (75, 75, 100, 98)  # of JPEG, as in the authors' archive
    base = picture(0, (1024, 1024))
    for number, (name, quality) in enumerate(zip(PAPER_SOURCES, qualities)):
        folder = tmp_path / "repository/data/faces_hq" / name
        folder.mkdir(parents=True)
        for image in range(6):  # of which one cannot be read
            pixels = np.roll(base, 100 * number + image)
            content = by_opencv(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)
            (folder / f"Zoë {image}.jpg").write_bytes(content[: len(content) // 2] if image == 3 else content)
        (folder / "error\n.jpg").write_text("not found")
    printed = train("--sample-sizes", 20, *PLAIN, "--max-unreadable", 0.3)
    assert {row["n_samples"] for row in drawn["sizes_figure"][2]} == {4000, 1000, 100, 20}  # all of the paper's
    head, ours, papers = table_lines(printed, "Table 1.")
    assert ours[:3] == ["20", "here", "4"] and papers[:3] == ["20", "paper", ""]
    names = ("SVM, linear", "logistic regression", "k-means, all rows")
    assert [dict(zip(head, papers))[name] for name in names] == ["100", "100", "75"]
    results = results_of(tmp_path / "repository/plots", "faces_hq")
    assert " spectra of 722 values" in printed and "sample" not in printed.splitlines()[0]
    assert results["built_in_sample"] is False and accuracy_of(results, classifier="headers_only") == 1
    assert "Note: headers alone (size, format, JPEG quality, as far as known; no pixel) score 100 % at 20" in printed
    skipped = {entry["path"]: entry["reason"] for entry in results["skipped"]}
    for name in PAPER_SOURCES:
        assert skipped[f"{name}/error\n.jpg"] == "not an image"
        assert skipped[f"{name}/Zoë 3.jpg"] == "cut short or damaged JPEG"
    assert "error\\n.jpg (not an image)" in printed


@pytest.mark.parametrize("n_bins, is_papers", [(722, True), (80, False)])
def test_features_run_without_an_image(train, drawn, tmp_path, n_bins, is_papers):
    spectra = np.random.default_rng(0).normal(100, 1, (40, n_bins))
    spectra[:20, n_bins // 2 :] -= 10  # rows called 1, which are the fakes
    features = {"data": spectra, "label": np.repeat([1.0, 0.0], 20)}
    (tmp_path / "features.pkl").write_bytes(pickle.dumps(features, protocol=2))
    flags = ("--published-features", tmp_path / "features.pkl", "--sample-sizes", 20, "--n-splits", 2)
    printed = train(*flags, "--output-dir", tmp_path / "plots")
    results = results_of(tmp_path / "plots/published_features", "faces_hq")
    assert f"40 spectra of {n_bins} values: fake 20, real 20." in printed
    assert ("| paper" in printed) == is_papers
    assert "# Faces-HQ experiment, 40 images on the authors' features\n" in printed
    assert "transfer left out: it needs two sources of each class" in printed
    assert accuracy_of(results, table="sample_sizes", classifier="svm_linear") == 1
    assert not rows_where(results, classifier="headers_only")
    assert {row["condition"] for row in rows_where(results, table="alike")} == {"as they are"}  # no image to alter
    assert {row["condition"] for row in rows_where(results, table="control")} == {
        "fake, half of it called fake", "real, half of it called fake"
    }  # fmt: skip
    assert "planes_figure" not in drawn and list(drawn["scores_figure"][1]) == ["as they are"]
    weights = drawn["spectrum_figure"][2]
    assert weights[n_bins // 2 :].mean() < 0 and not list(tmp_path.rglob("*.safetensors"))


def test_the_authors_images_and_their_headers_are_told_apart(train, tmp_path):
    folder = real_data("faces_hq_paper")
    sources = ()  # the script's own
    if (folder / "celeba_hq").is_dir():
        sources = ("--real-sources", "celeba_hq", "ffhq", "--fake-sources", "100k_faces", "thispersondoesnotexist")
    flags = ("--sample-sizes", 40, "--n-splits", 5, "--both-altered", "--output-dir", tmp_path)
    printed = train("--data-dir", folder, *sources, *flags)
    results = results_of(tmp_path, "faces_hq")
    assert " spectra of 722 values" in printed
    for classifier in "svm_linear", "logistic_regression", "headers_only":
        assert accuracy_of(results, table="sample_sizes", classifier=classifier) > 0.95


# --- the sample


def test_the_sample_is_called_one_split_by_photograph_and_shows_limits(call, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "crops_figure", crops_figure)  # which the sample alone has
    monkeypatch.setattr(plane_plots, "pipeline_figure", pipeline_figure)
    flags = ("--sample-sizes", 40, 20, "--n-splits", 2, "--both-altered", "--n-threads", 1)
    done = call("train_faces_hq", *flags, "--output-dir", tmp_path / "plots")
    printed, folder = done.out, tmp_path / "plots/built_in_sample"
    assert (done.status, done.err) == (0, "")
    assert printed.startswith("data/faces_hq is not there: running on the built-in sample")
    assert "no reproduction of the paper" in printed.splitlines()[0] and "| paper" not in printed
    text = (folder / "faces_hq_accuracy.md").read_text(encoding="utf-8")
    assert text.startswith("# Faces-HQ experiment, 292 images on the built-in sample: no reproduction of the paper\n")
    assert list((tmp_path / "plots").iterdir()) == [folder]  # a real result is never overwritten
    own = [f"faces_hq_{name}.{ending}" for name in ("crops", "pipeline") for ending in ("png", "pdf")]
    others = [f"faces_hq_{name}" for name in OUTPUTS if not name.endswith((".png", ".pdf"))]
    assert {path.name for path in folder.iterdir()} == {*own, *others}
    assert {given[0].name for given in drawn.values()} == {f"faces_hq_{name}.png" for name in FIGURES}
    assert all(cv2.imread(str(folder / name)).std() > 10 for name in own if name.endswith("png"))

    results = results_of(folder, "faces_hq")
    assert results["built_in_sample"] is True
    measured = [row for row in results["rows"] if row["table"] != "curve_end"]
    assert {row["protocol"] for row in measured if row["classifier"] != "k_means"} == {"by_photograph"}
    assert {row["n_samples"] for row in rows_where(results, table="sample_sizes")} == {40, 20}
    for row in measured:  # 2 of 11 photographs are tested on
        assert len(row["n_test"]) == 2 and (row["protocol"] == "all_rows" or max(row["n_test_groups"]) <= 2)
    assert printed.count("no photograph on both sides") == 5

    limits = rows_where(results, table="limits", classifier="svm_linear", metric="recall_fake")
    asked = ["transposed_convolution", "nearest_convolution", "bicubic_upsampling", "blur"]
    assert [row["condition"] for row in limits] == asked
    for row in limits:
        assert row["train_sources"] == ["photographs_a", "transposed_convolution"]
        assert row["test_sources"] == ["photographs_b", row["condition"]]
    assert "called fake" in table_lines(printed, "Table 5. Limits in %")[0]


def test_the_pipeline_is_judged_by_an_svm_that_has_seen_neither_picture_nor_photograph(call, drawn, built_sample):
    assert call("train_faces_hq", "--sample-sizes", 20, *PLAIN, "--n-threads", 1).status == 0
    path, pictures, planes, radii, spectra, verdicts, credit = drawn["pipeline_figure"]
    dataset, folder = drawn["spectrum_figure"][1], built_sample / "images"
    own = [f"{source}/chelsea_01.png" for source in ("photographs_a", "transposed_convolution")]
    for name, gray, plane in zip(own, pictures, planes, strict=True):
        assert np.array_equal(gray, cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE))
        assert np.array_equal(plane, log_power_plane(gray))
    assert np.array_equal(spectra, [radial_spectrum(gray) for gray in pictures])
    assert radii == pytest.approx(spectrum_radii((128, 128), unit="cycles/pixel"))
    trained = [
        row for row, name in enumerate(dataset.paths)
        if name.split("/")[0] in ("photographs_a", "transposed_convolution") and photograph_of(name) != "chelsea"
    ]  # fmt: skip
    svm = SVC(kernel="linear").fit(dataset.spectra[trained], dataset.labels[trained])
    decisions = svm.decision_function(dataset.spectra[[dataset.paths.index(name) for name in own]])
    assert verdicts == [f"called {'fake' if value > 0 else 'real'} ({value:+.1f})" for value in decisions]
    assert {photograph_of(dataset.paths[row]) for row in trained} == {photo.name for photo in PHOTOGRAPHS} - {"chelsea"}
    assert len(PHOTOGRAPHS) == 11 and "trained on ten other photographs" in credit and "Stefan van der Walt" in credit
    assert path.name == "faces_hq_pipeline.png"


def test_limits_are_of_a_detector_of_the_first_generator():
    levels = {"real_a": 0, "real_b": 2, "first": 3, "second": 1, "third": 5}  # the threshold stands at 1.5
    sources = np.repeat(list(levels), 6)
    spectra = np.array([[levels[name], row / 1000] for row, name in enumerate(sources)])  # no two are equal
    labels = np.where(np.char.startswith(sources, "real"), REAL, FAKE)
    groups = np.array([f"photograph {row % 6}" for row in range(30)])
    dataset = SpectrumDataset(
        spectra, labels, sources, groups, [""] * 30, Feature(n_bins=2), origin=BUILT_IN_SAMPLE, group_name="photograph"
    )
    settings = SimpleNamespace(test_share=0.34, n_splits=2, seed=0, n_threads=1)
    rows = train_faces_hq.limit_rows(dataset, {"svm_linear": SVC(kernel="linear")}, settings)
    found = {(row["condition"], row["metric"]): row["mean"] for row in rows}
    for name, recall in (("first", 1), ("second", 0), ("third", 1)):
        assert (found[name, "recall_real"], found[name, "recall_fake"]) == (0, recall)
    assert all(row["n_samples"] == 12 and row["n_test"] == [4, 4] for row in rows)  # 4 and 2 photographs, of 2 sources


# --- what goes wrong


@pytest.mark.parametrize(
    "flags, status, words",
    [
        (("--data-dir", "nowhere"), 2, "nowhere: no such folder; set DATA_DIR or --data-dir"),
        (("--real-sources", "reals"), 2, "no source 'reals' there; found empty, fake_a, fake_b, real_a, real_b"),
        (("--fake-sources",), 2, "FAKE_SOURCES is empty: need at least one folder of each class"),
        (("--fake-sources", "empty"), 1, "empty: found no image, need at least one"),
        (("--real-sources", "fake_a", "real_a"), 2, "fake_a: named both as a real and as a fake source; name it once"),
        (("--fake-sources", "fa\nke"), 2, "a table cannot show that name; rename the folder"),
        (("--published-features", "nowhere.pkl"), 2, "name one of them"),
        (("--both-altered", "sharpen 3"), 2, "unknown alteration 'sharpen 3'"),
        (("--sample-size", "8"), 2, "unrecognized arguments: --sample-size 8"),
        (("--sample-sizes", "7"), 1, "sample size 7 left out: 4 sources, need 2 images of each source, 8 in total"),
        (("--output-dir", "file"), 2, "OUTPUT_DIR is "),
        (("--output-dir", "file/plots"), 1, "file/plots: Not a directory"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_one_sentence(call, drawn, faces, tmp_path, monkeypatch, flags, status, words):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(faces, "faces")
    Path("faces/empty").mkdir()
    Path("file").write_text("")
    done = call("train_faces_hq", "--data-dir", "faces", *FEW, "--n-threads", 1, *flags)
    assert (done.status, done.err.count("\n")) == (status, 1) and words in done.err
    assert done.err.startswith("train_faces_hq.py: ") and not Path("repository/plots").exists()
    assert done.out == "" or "alteration" not in words  # it ends before it has cost anything


def test_named_sources_without_a_folder_do_not_get_the_sample(call):
    done = call("train_faces_hq", *NAMED)
    assert (done.status, done.out) == (2, "") and "the sources you named need DATA_DIR or --data-dir" in done.err


def test_features_cannot_follow_settings_that_need_images(call, tmp_path):
    features = {"data": np.eye(8, 722), "label": np.repeat([1.0, 0.0], 4)}
    (tmp_path / "features.pkl").write_bytes(pickle.dumps(features, protocol=2))
    for flag, value in (("--convention", "centred"), ("--precision", "float32")):
        done = call("train_faces_hq", "--published-features", tmp_path / "features.pkl", flag, value)
        assert done.status == 2 and "cannot be changed without images" in done.err and value in done.err


def test_seven_images_where_1000_were_asked_give_what_is_there(train, faces, tmp_path):
    shutil.copytree(faces, tmp_path / "faces")
    for number in range(7, 12):
        (tmp_path / f"faces/fake_a/{number:02}.png").unlink()
    (tmp_path / "faces/fake_a/cut.png").write_bytes((faces / "fake_a/11.png").read_bytes()[:300])
    flags = ("--sample-sizes", 4, 1000, *PLAIN, "--max-unreadable", 0.03, "--output-dir", tmp_path)
    printed = train("--data-dir", tmp_path / "faces", *NAMED, *flags)
    assert "sample size 1000 became 28: fake_a has 7 images, and 4 sources are drawn in equal numbers" in printed
    assert "sample size 4 left out" in printed and "1 files skipped: fake_a/cut.png (" in printed
    assert {row["n_samples"] for row in rows_where(results_of(tmp_path, "faces_hq"), table="sample_sizes")} == {28}


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(call, drawn, faces, tmp_path):
    resource = pytest.importorskip("resource", reason="needs limits as Unix has them")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    for n_bytes in 10_000, 28_000:  # too few for the spectra, for the results file
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limit[1]))
            flags = (*FEW, "--n-threads", 1, "--output-dir", tmp_path / "plots")
            done = call("train_faces_hq", "--data-dir", faces, *flags)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert done.status == 1 and done.err.count("\n") == 1 and "File too large; mend that and run" in done.err
        assert not list(tmp_path.rglob(".partial-*")) and not list(tmp_path.glob("plots/*results.json"))


def test_a_class_with_one_source_leaves_the_transfer_out_and_the_rest_stands(train, faces, tmp_path):
    shutil.copytree(faces, tmp_path / "faces")
    shutil.rmtree(tmp_path / "faces/real_a")
    write_source(tmp_path / "faces/real_a", 12, (64, 80))
    sources = ("--real-sources", "real_a", "--fake-sources", "fake_a", "fake_b")
    printed = train("--data-dir", tmp_path / "faces", *sources, "--sample-sizes", 36, *FAST)
    assert "transfer left out: it needs two sources of each class" in printed and "Transfer in %" not in printed
    assert "Table 3. Nothing fake to find" in printed
    assert "fake_a against fake_b, jpeg 75" in printed and "against real" not in printed
    assert "12 of 80x64: sizes differ" in printed
