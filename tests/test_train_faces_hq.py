"""The Faces-HQ experiment as a user runs it: what it writes, what it says, and how it ends when something is wrong."""

import csv
import os
import pickle
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import real_data
from outputs import results_of, rows_where, table_lines
from pictures import by_opencv, picture, write_source
from safetensors import safe_open
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

import train_faces_hq
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, FAKE, IMAGES, PUBLISHED_FEATURES, REAL, Feature, SpectrumDataset
from deepfake_spectra.opencv import cv2
from deepfake_spectra.results import ROW_KEYS
from deepfake_spectra.settings import read_settings

NAMED = ("--real-sources", "real_a", "real_b", "--fake-sources", "fake_a", "fake_b")
FEW = (*NAMED, "--sample-sizes", 40, "--n-splits", 1)
NOISE = {"real_a": 1.0, "real_b": 2.7, "fake_a": 4.5, "fake_b": 12.0}  # grey levels; high frequencies stand at 0 2 3 5
OUTPUTS = ["accuracy.csv", "accuracy.md", "files.txt", "results.json", "spectrum.png"]

# PAPER.md, per cent: number of images, linear SVM, logistic regression, k-means
PAPER_TABLE = ((4000, 100, 100, 82), (1000, 100, 100, 82), (100, 100, 100, 81), (20, 100, 100, 75))
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


@pytest.fixture
def train(call, drawn):
    """Return a function that runs the script in this process without figures, and gives what it printed."""

    def train(*flags):
        done = call("train_faces_hq", *flags)
        assert (done.status, done.err) == (0, "")
        return done.out

    return train


# --- the paper's values


def test_the_constants_are_the_papers():
    assert train_faces_hq.PAPER_SOURCES == PAPER_SOURCES
    assert train_faces_hq.PAPER_FEATURE == Feature("published", "none", "float64", "", n_bins=722, normalise=False)
    names = ("svm_linear", "logistic_regression", "k_means")
    assert train_faces_hq.PAPER_ACCURACY == {"paper": {n: dict(zip(names, found)) for n, *found in PAPER_TABLE}}
    settings = vars(read_settings("train_faces_hq", []))
    assert settings | {
        "sample_sizes": (4000, 1000, 100, 20), "test_share": 0.2, "n_splits": 10, "svm_c": 1.0, "alteration": "",
        "logistic_max_iter": 1000, "convention": "published", "precision": "float64", "n_bins": None, "data_dir": None,
        "real_sources": ("celebA-HQ_10K", "Flickr-Faces-HQ_10K"), "published_features": None,
        "fake_sources": ("100KFake_10K", "thispersondoesntexists_10K"),
    } == settings  # fmt: skip


@pytest.mark.parametrize(
    "flags, C, max_iter", [((), 1.0, 1000), (("--svm-c", 3, "--logistic-max-iter", 77), 3.0, 77)]
)
def test_the_classifiers_are_the_papers_and_follow_their_settings(train, faces, monkeypatch, flags, C, max_iter):
    given, score_classifiers = [], train_faces_hq.score_classifiers

    def note(dataset, splits, classifiers, *arguments, **keys):
        given.append(classifiers)
        return score_classifiers(dataset, splits, classifiers, *arguments, **keys)

    monkeypatch.setattr(train_faces_hq, "score_classifiers", note)
    train("--data-dir", faces, *FEW, *flags)
    assert len(given) == 5  # table 1 at one size, and four transfers
    for classifiers in given:
        svm, logistic = classifiers.values()
        assert list(classifiers) == ["svm_linear", "logistic_regression"]
        assert isinstance(svm, SVC) and (svm.kernel, svm.C) == ("linear", C)
        assert isinstance(logistic, LogisticRegression) and (logistic.solver, logistic.C) == ("liblinear", 1.0)
        assert (logistic.max_iter, logistic.fit_intercept) == (max_iter, True)


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
    assert lines == expected and caption.startswith("Table 1. Accuracy in %") and "over 10 random splits" in caption


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
    flags = ("--sample-sizes", 1000, 40, 21, "--n-splits", 2, "--test-share", 0.3)
    return folder, run_script(clone, "--data-dir", faces, *NAMED, *flags, "--output-dir", folder)


def test_a_run_writes_its_files_and_says_so(first_run):
    folder, printed = first_run
    found = sorted(path.name for path in folder.iterdir())
    assert found == [f"faces_hq_{name}" for name in OUTPUTS]
    [said] = [line for line in printed.splitlines() if line.startswith("written into ")]
    assert sorted(said.rpartition(": ")[2].split(", ")) == found
    text = (folder / "faces_hq_accuracy.md").read_text(encoding="utf-8")
    assert text.startswith("# Faces-HQ experiment\n") and text in printed and "| paper" not in text
    assert "48 spectra of 43 values: real_a 12, real_b 12, fake_a 12, fake_b 12." in text
    assert cv2.imread(str(folder / "faces_hq_spectrum.png")).std() > 10


def test_the_results_say_what_was_measured_and_how(first_run, faces, clone):
    results = results_of(first_run[0], "faces_hq")
    assert (results["experiment"], results["built_in_sample"], results["commit"]) == ("faces_hq", False, None)
    settings = results["settings"]
    assert settings["SAMPLE_SIZES"] == [1000, 40, 21] and settings["TEST_SHARE"] == 0.3 and settings["N_BINS"] is None
    assert Path(clone, settings["DATA_DIR"]).resolve() == faces.resolve()
    assert settings["REAL_SOURCES"] == ["real_a", "real_b"]
    for row in results["rows"]:
        assert list(row) == list(ROW_KEYS)
        assert row["low"] is None or 0 <= row["low"] <= row["mean"] <= row["high"] <= 1
        assert len(row["scores"]) == len(row["n_test"]) == (2 if row["table"] == "sample_sizes" else 1)


def test_table_1_holds_every_classifier_at_the_sizes_that_fit(first_run):
    results = results_of(first_run[0], "faces_hq")
    found = {
        (row["classifier"], row["protocol"], row["n_samples"]): row["n_test"]
        for row in rows_where(results, table="sample_sizes", metric="accuracy")
    }
    split = ("svm_linear", "random"), ("logistic_regression", "random"), ("k_means", "held_out"),
    split += ("majority_class", "random"), ("headers_only", "random")  # fmt: skip
    expected = {(*column, size): [n_test] * 2 for size, n_test in ((48, 16), (40, 12), (20, 8)) for column in split}
    assert found == expected | {("k_means", "all_rows", size): [size] * 2 for size in (48, 40, 20)}
    assert accuracy_of(results, table="sample_sizes", classifier="svm_linear", n_samples=48) == 1
    assert accuracy_of(results, classifier="headers_only", n_samples=48) == 0.5 and "headers alone" not in first_run[1]
    assert "sample size 1000 became 48: real_a has 12 images" in first_run[1]
    assert "sample size 21 became 20: equal numbers of 4 sources" in first_run[1]


def test_table_2_trains_on_each_pair_and_tests_on_the_others(first_run):
    # between the noise of the two sources trained on lies the threshold: real_b stands above that of (real_a, fake_a),
    # fake_a below that of (real_b, fake_b); trained and tested exchanged, both would turn round
    recalls = {  # trained real, trained fake, tested real, tested fake: (of reals, of fakes)
        ("real_a", "fake_a", "real_b", "fake_b"): (0, 1),
        ("real_a", "fake_b", "real_b", "fake_a"): (1, 1),
        ("real_b", "fake_a", "real_a", "fake_b"): (1, 1),
        ("real_b", "fake_b", "real_a", "fake_a"): (1, 0),
    }
    results = results_of(first_run[0], "faces_hq")
    found = {}
    for row in rows_where(results, table="transfer", classifier="svm_linear"):
        assert (row["protocol"], row["n_samples"], row["n_test"], row["n_test_groups"]) == ("held_out", 48, [24], None)
        found.setdefault((*row["train_sources"], *row["test_sources"]), {})[row["metric"]] = row["mean"]
    assert {pair: (values["recall_real"], values["recall_fake"]) for pair, values in found.items()} == recalls
    assert all(values["roc_auc"] == 1 for values in found.values())
    head, *lines = table_lines(first_run[1], "Table 2. Transfer in %")
    assert head[3:] == ["tested", "balanced accuracy", "recall of reals", "recall of fakes", "ROC AUC"]
    assert lines[0][:3] == ["real_a + fake_a", "real_b + fake_b", "SVM, linear"] and len(lines) == 8
    assert [cell.split()[0] for cell in lines[0][4:]] == ["50.0", "0.0", "100.0", "100.0"]
    assert {(line[0], line[1]) for line in lines} == {(f"{a} + {b}", f"{c} + {d}") for a, b, c, d in recalls}


def test_csv_and_files_txt_are_those_of_the_run(first_run, faces):
    with (first_run[0] / "faces_hq_accuracy.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    rows = results_of(first_run[0], "faces_hq")["rows"]
    assert [(line["metric"], line["mean"]) for line in lines] == [
        (row["metric"], "" if row["mean"] is None else str(row["mean"])) for row in rows
    ]
    names = (first_run[0] / "faces_hq_files.txt").read_text(encoding="utf-8").splitlines()
    assert len(set(names)) == 48 and all((faces / name).is_file() for name in names)


def test_another_process_and_the_cache_give_the_same_numbers(train, faces, first_run, tmp_path):
    flags = ("--sample-sizes", 1000, 40, 21, "--n-splits", 2, "--test-share", 0.3, "--n-threads", 1)
    for folder, said in (("new", ", 48 computed"), ("cached", ", 0 computed")):
        assert said in train("--data-dir", faces, *NAMED, *flags, "--output-dir", tmp_path / folder)
        assert results_of(tmp_path / folder, "faces_hq")["rows"] == results_of(first_run[0], "faces_hq")["rows"]
        written = (tmp_path / folder / "faces_hq_files.txt").read_text(encoding="utf-8")
        assert written == (first_run[0] / "faces_hq_files.txt").read_text(encoding="utf-8")


def test_the_seed_draws_images_and_splits(train, faces, tmp_path):
    noise = {"data": np.random.default_rng(0).normal(100, 1, (40, 9)), "label": np.arange(40.0) % 2}
    (tmp_path / "features.pkl").write_bytes(pickle.dumps(noise, protocol=2))
    drawn, split = [], []
    for seed in 1, 2:
        flags = ("--n-splits", 1, "--seed", seed, "--output-dir", tmp_path)
        train("--data-dir", faces, *NAMED, "--sample-sizes", 8, 16, *flags)
        drawn.append((tmp_path / "faces_hq_files.txt").read_text(encoding="utf-8").splitlines())
        train("--published-features", tmp_path / "features.pkl", "--sample-sizes", 40, *flags)
        [row] = rows_where(
            results_of(tmp_path / "published_features", "faces_hq"), classifier="svm_linear", metric="roc_auc"
        )
        split.append(row["scores"])
    assert len(drawn[0]) == 16 and sorted(drawn[0]) != sorted(drawn[1]) and split[0] != split[1]


def test_the_figure_shows_the_svms_weights_and_its_spectra_are_kept(train, drawn, faces, tmp_path):
    flags = ("--svm-c", 0.3, "--output-dir", tmp_path / "plots")
    printed = train("--data-dir", faces, *FEW[:-4], "--sample-sizes", 48, "--n-splits", 1, *flags)
    path, dataset, weights, classifier, title = drawn["spectrum_figure"]
    assert path == tmp_path / "plots/faces_hq_spectrum.png" and (classifier, title) == (
        "Linear SVM",
        "Faces-HQ experiment",
    )
    assert dataset.feature == Feature(n_bins=43) and "crops_figure" not in drawn
    assert all((label == FAKE) == source.startswith("fake") for source, label in zip(dataset.sources, dataset.labels))
    fitted = SVC(kernel="linear", C=0.3).fit(dataset.spectra, dataset.labels)
    np.testing.assert_allclose(weights, fitted.coef_[0] * dataset.spectra.std(axis=0))
    assert weights[20:].mean() > 0  # noise speaks for fake
    file = tmp_path / "repository/data/spectra/faces_hq.safetensors"
    assert f"{file}: the spectra of this run, for detect_fakes.py" in printed
    with safe_open(file, "numpy") as kept:
        np.testing.assert_array_equal(kept.get_tensor("spectra"), dataset.spectra)
        assert '"classifier": {"kernel": "linear", "C": 0.3}' in kept.metadata()["description"]


def test_the_feature_is_what_the_settings_ask_for(train, drawn, faces, tmp_path):
    flags = ("--convention", "centred", "--precision", "float32", "--n-bins", 20)
    printed = train("--data-dir", faces, *FEW, *flags, "--alteration", "crop 40x40 + jpeg 75")
    dataset = drawn["spectrum_figure"][1]
    assert dataset.feature == Feature("centred", "none", "float32", "crop 40x40 + jpeg 75", 20)
    assert dataset.spectra.shape == (40, 20)
    assert "every image was altered first: crop 40x40 + jpeg 75; the headers are those of before" in printed
    assert not list(tmp_path.rglob("*.safetensors"))  # no unaltered image could be compared with them


def test_a_further_classifier_is_one_line(call, drawn, faces, tmp_path, monkeypatch):
    source = Path(train_faces_hq.__file__).read_text(encoding="utf-8")
    before, mark, behind = source.partition("    classifiers = {\n")
    forest = '__import__("sklearn.ensemble").ensemble.RandomForestClassifier(20, random_state=0)'
    line = f'        "random_forest": {forest},\n'
    (tmp_path / "faces_hq_with_forest.py").write_text(before + mark + line + behind, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    done = call("faces_hq_with_forest", "--data-dir", faces, *FEW, "--output-dir", tmp_path)
    assert (done.status, done.err) == (0, "")
    results = results_of(tmp_path, "faces_hq")
    assert accuracy_of(results, table="sample_sizes", classifier="random_forest") == 1
    assert len(rows_where(results, table="transfer", classifier="random_forest", metric="roc_auc")) == 4
    assert "random forest" in table_lines(done.out, "Table 1.")[0]
    assert "random forest" in {line[2] for line in table_lines(done.out, "Table 2.")}


# --- the authors' sources, the authors' features


def test_the_authors_folders_stand_beside_the_papers_numbers_and_their_headers_are_warned_of(train, tmp_path):
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
    printed = train("--sample-sizes", 20, "--n-splits", 1, "--max-unreadable", 0.3)
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
    assert ("| paper" in printed) == is_papers and "# Faces-HQ experiment on the authors' features\n" in printed
    assert "transfer left out: it needs two sources of each class" in printed
    assert accuracy_of(results, classifier="svm_linear") == 1 and not rows_where(results, classifier="headers_only")
    weights = drawn["spectrum_figure"][2]
    assert weights[n_bins // 2 :].mean() < 0 and not list(tmp_path.rglob("*.safetensors"))


def test_the_authors_images_and_their_headers_are_told_apart(train, tmp_path):
    sources = ("--real-sources", "celeba_hq", "ffhq", "--fake-sources", "100k_faces", "thispersondoesnotexist")
    flags = ("--sample-sizes", 40, "--n-splits", 5, "--output-dir", tmp_path)
    printed = train("--data-dir", real_data("faces_hq_paper"), *sources, *flags)
    results = results_of(tmp_path, "faces_hq")
    assert " spectra of 722 values" in printed
    for classifier in "svm_linear", "logistic_regression", "headers_only":
        assert accuracy_of(results, table="sample_sizes", classifier=classifier) > 0.95


# --- the sample


def test_the_sample_is_called_one_split_by_photograph_and_shows_limits(call, tmp_path):
    done = call("train_faces_hq", "--sample-sizes", 40, 20, "--n-splits", 2, "--output-dir", tmp_path / "plots")
    printed, folder = done.out, tmp_path / "plots/built_in_sample"
    assert (done.status, done.err) == (0, "")
    assert printed.startswith("data/faces_hq is not there: running on the built-in sample")
    assert "no reproduction of the paper" in printed.splitlines()[0] and "| paper" not in printed
    text = (folder / "faces_hq_accuracy.md").read_text(encoding="utf-8")
    assert text.startswith("# Faces-HQ experiment on the built-in sample: no reproduction of the paper\n")
    assert list((tmp_path / "plots").iterdir()) == [folder]  # a real result is never overwritten
    assert {path.name for path in folder.iterdir()} == {"faces_hq_crops.png", *(f"faces_hq_{name}" for name in OUTPUTS)}
    assert cv2.imread(str(folder / "faces_hq_crops.png")).std() > 10
    assert [path.name for path in tmp_path.rglob("*.safetensors")] == ["built_in_sample_faces_hq.safetensors"]

    results = results_of(folder, "faces_hq")
    assert results["built_in_sample"] is True
    assert {row["protocol"] for row in results["rows"] if row["classifier"] != "k_means"} == {"by_photograph"}
    assert {row["n_samples"] for row in rows_where(results, table="sample_sizes")} == {40, 20}
    for row in results["rows"]:  # 2 of 11 photographs are tested on
        assert len(row["n_test"]) == 2 and (row["protocol"] == "all_rows" or max(row["n_test_groups"]) <= 2)
    assert printed.count("no photograph on both sides") == 3

    limits = rows_where(results, table="limits", classifier="svm_linear", metric="recall_fake")
    asked = ["transposed_convolution", "nearest_convolution", "bicubic_upsampling", "blur"]
    assert [row["condition"] for row in limits] == asked
    for row in limits:
        assert row["train_sources"] == ["photographs_a", "transposed_convolution"]
        assert row["test_sources"] == ["photographs_b", row["condition"]]
    assert "called fake" in table_lines(printed, "Table 3. Limits in %")[0]


def test_limits_are_of_a_detector_of_the_first_generator():
    levels = {"real_a": 0, "real_b": 2, "first": 3, "second": 1, "third": 5}  # the threshold stands at 1.5
    sources = np.repeat(list(levels), 6)
    spectra = np.array([[levels[name], 0.0] for name in sources])
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
        (("--alteration", "sharpen 3"), 2, "unknown alteration 'sharpen 3'"),
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
    done = call("train_faces_hq", "--data-dir", "faces", *FEW, *flags)
    assert (done.status, done.err.count("\n")) == (status, 1) and words in done.err
    assert done.err.startswith("train_faces_hq.py: ") and not Path("repository/plots").exists()


def test_named_sources_without_a_folder_do_not_get_the_sample(call):
    done = call("train_faces_hq", *NAMED)
    assert (done.status, done.out) == (2, "") and "the sources you named need DATA_DIR or --data-dir" in done.err


def test_features_cannot_follow_settings_that_need_images(call, tmp_path):
    features = {"data": np.ones((8, 722)), "label": np.repeat([1.0, 0.0], 4)}
    (tmp_path / "features.pkl").write_bytes(pickle.dumps(features, protocol=2))
    for flag, value in (("--convention", "centred"), ("--alteration", "jpeg 75"), ("--precision", "float32")):
        done = call("train_faces_hq", "--published-features", tmp_path / "features.pkl", flag, value)
        assert done.status == 2 and "cannot be changed without images" in done.err and value in done.err


def test_seven_images_where_1000_were_asked_give_what_is_there(train, faces, tmp_path):
    shutil.copytree(faces, tmp_path / "faces")
    for number in range(7, 12):
        (tmp_path / f"faces/fake_a/{number:02}.png").unlink()
    (tmp_path / "faces/fake_a/cut.png").write_bytes((faces / "fake_a/11.png").read_bytes()[:300])
    flags = ("--sample-sizes", 4, 1000, "--n-splits", 1, "--max-unreadable", 0.03, "--output-dir", tmp_path)
    printed = train("--data-dir", tmp_path / "faces", *NAMED, *flags)
    assert "sample size 1000 became 28: fake_a has 7 images, and 4 sources are drawn in equal numbers" in printed
    assert "sample size 4 left out" in printed and "1 files skipped: fake_a/cut.png (" in printed
    assert {row["n_samples"] for row in rows_where(results_of(tmp_path, "faces_hq"), table="sample_sizes")} == {28}


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(call, drawn, faces, tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    for n_bytes in 10_000, 28_000:  # too few for the spectra, for the results file
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limit[1]))
            done = call("train_faces_hq", "--data-dir", faces, *FEW, "--output-dir", tmp_path / "plots")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert done.status == 1 and done.err.count("\n") == 1 and "File too large; mend that and run" in done.err
        assert not list(tmp_path.rglob(".partial-*")) and not list(tmp_path.glob("plots/*results.json"))


def test_a_class_with_one_source_leaves_the_transfer_out_and_the_rest_stands(train, faces, tmp_path):
    shutil.copytree(faces, tmp_path / "faces")
    shutil.rmtree(tmp_path / "faces/real_a")
    write_source(tmp_path / "faces/real_a", 12, (64, 80))
    sources = ("--real-sources", "real_a", "--fake-sources", "fake_a", "fake_b")
    printed = train("--data-dir", tmp_path / "faces", *sources, "--sample-sizes", 36, "--n-splits", 1)
    assert "transfer left out: it needs two sources of each class" in printed and "Table 2" not in printed
    assert "12 of 80x64: sizes differ" in printed
