"""The CelebA experiment: the published numbers from the published features, and controls that have nothing to find."""

import csv
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import write_source

import train_celeba
from deepfake_spectra.sample.build import photograph_of
from deepfake_spectra.experiment_data import ExperimentData
from deepfake_spectra.results import ROW_KEYS
from deepfake_spectra.settings import read_settings
from deepfake_spectra.alterations import alter
from deepfake_spectra.image_files import read_gray
from deepfake_spectra.opencv import cv2
from radial_spectrum import normalise_by_first, radial_spectrum, resample_spectrum
from deepfake_spectra.image_spectra import FAKE, REAL, Features, SpectrumDataset, load_spectra
from deepfake_spectra.splits import random_splits

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
RELEASED = SHARED_DATA / "published_features" / "celeba_low_1000.pkl"
FAKES_ALTERED = ["untouched", "crop 104x128", "resize 178x218", "jpeg 50", "blur 0.5"]
BOTH_ALTERED = ["as they are", "crop 128x128", "crop 128x128 + jpeg 75", "crop 128x128 + jpeg 50"]


def train(clone, *flags, status=0):
    """Run the script in a copy of the repository; return what it printed, or its sentence on stderr."""
    command = [sys.executable, clone / "train_celeba.py", *map(str, flags)]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, bool(done.stderr)) == (status, bool(status)), done.stderr
    return done.stdout if not status else done.stderr


def results_of(folder):
    """Return the results file, where a NaN would be an error."""
    text = (folder / "celeba_results.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the results"))


def means(results, **keys):
    """Return {condition or number of images: {(classifier, protocol): mean accuracy}} of the rows with these keys."""
    found = {}
    for row in results["rows"]:
        if row["metric"] == "accuracy" and all(row[key] == value for key, value in keys.items()):
            line = found.setdefault(row["condition"] or row["n_samples"], {})
            line[row["classifier"], row["protocol"]] = row["mean"]
    return found


def settings_of(*flags):
    """Return the script's settings."""
    return read_settings("train_celeba", list(flags))


def make_dataset(spectra, labels, sources=None, groups=None):
    """Return a dataset of spectra, with a source for each class and each image its own group unless told otherwise."""
    sources = np.array(["real", "fake"])[labels] if sources is None else np.array(sources)
    paths = [str(row) for row in range(len(labels))]
    return SpectrumDataset(spectra, labels, sources, np.array(paths if groups is None else groups), paths, headers=None)


@pytest.fixture(scope="module")
def sample_run(clone, tmp_path_factory):
    """Return the output folder of a run without data, and what it printed."""
    folder = tmp_path_factory.mktemp("sample_run")
    printed = train(clone, "--output-dir", folder)
    return folder / "built_in_sample", printed


@pytest.fixture(scope="module")
def published_run(clone, tmp_path_factory):
    """Return the output folder of a run on the authors' features, and what it printed."""
    if not RELEASED.exists():
        pytest.skip(f"{RELEASED} is not here")
    folder = tmp_path_factory.mktemp("published_run")
    printed = train(clone, "--published-features", RELEASED, "--output-dir", folder)
    return folder / "published_features", printed


# --- the authors' features


@pytest.mark.parametrize(
    "classifier, protocol, expected, tolerance",
    [
        ("svm_linear", "published", 0.9995, 0.001),
        ("svm_rbf", "published", 1, 0.0005),
        ("svm_poly", "published", 0.987, 0.004),
        ("logistic_regression", "published", 0.997, 0.002),
        ("k_means", "published", 0.964, 0.002),
        ("k_means", "held_out", 0.964, 0.01),
        ("majority_class", "published", 0.5, 0),
    ],
)
def test_the_authors_features_give_the_published_numbers(published_run, classifier, protocol, expected, tolerance):
    found = means(results_of(published_run[0]), table="sample_sizes")[2000]
    assert abs(found[classifier, protocol] - expected) <= tolerance


def test_the_papers_and_the_notebooks_rows_stand_below_ours(published_run):
    ours, paper, notebook = (published_run[0] / "celeba_accuracy.md").read_text().split("\n| 2000 ")[1].splitlines()[:3]
    assert paper.replace(" ", "") == "|paper||100|||100|96|||"
    assert notebook.replace(" ", "") == "|authors'notebook||99.95|100|98.55|99.75||||"


def test_the_authors_features_have_no_headers_and_no_controls(published_run):
    assert "controls left out: they need images" in published_run[1] and "headers" not in published_run[1]
    assert sorted(path.name for path in published_run[0].iterdir()) == [
        f"celeba_{name}" for name in ("accuracy.csv", "accuracy.md", "files.txt", "results.json", "spectrum.png")
    ]


@pytest.mark.parametrize(
    "kind, flags, stand",
    [
        ("images", (), True),
        ("published_features", (), True),
        ("built_in_sample", (), False),
        ("images", ("--fake-sources", "other_gan"), False),
        ("published_features", ("--n-bins", "300"), False),
    ],
)
def test_published_numbers_stand_beside_the_papers_data_only(kind, flags, stand):
    data = ExperimentData(None, kind, (2000,))
    keys = {"table": "sample_sizes", "protocol": data.protocol, "n_samples": 2000, "metric": "accuracy"}
    row = keys | {"classifier": "svm_linear", "mean": 0.9, "std": None, "low": None, "n_test": [400]}
    [(_, table)] = train_celeba.make_tables(data, [row], settings_of(*flags))
    assert "| 2000 " in table and ("| paper" in table) == ("notebook" in table) == stand


# --- the sample


def test_the_sample_is_called_one_wherever_its_numbers_stand(sample_run):
    folder, printed = sample_run
    assert printed.startswith("data/celeba is not there: running on the built-in sample")
    text = (folder / "celeba_accuracy.md").read_text(encoding="utf-8")
    assert text.startswith("# CelebA experiment on the built-in sample: no reproduction of the paper\n")
    assert "paper |" not in text and "notebook" not in text and text in printed
    assert results_of(folder)["built_in_sample"] is True


def test_a_run_writes_two_figures_and_four_files(sample_run):
    folder = sample_run[0]
    names = "accuracy.csv", "accuracy.md", "control.png", "files.txt", "results.json", "spectrum.png"
    assert sorted(path.name for path in folder.iterdir()) == [f"celeba_{name}" for name in names]
    for name in "control", "spectrum":
        assert cv2.imread(str(folder / f"celeba_{name}.png")).shape[1] == 2160  # two columns at 300 dpi


def test_the_results_are_tidy_and_the_csv_has_the_same_rows(sample_run):
    results = results_of(sample_run[0])
    assert {"experiment", "built_in_sample", "settings", "versions", "commit", "skipped"} <= set(results)
    assert all(list(row) == list(ROW_KEYS) for row in results["rows"])
    with (sample_run[0] / "celeba_accuracy.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["mean"] or "nan") for line in lines] == pytest.approx(
        [np.nan if row["mean"] is None else row["mean"] for row in results["rows"]], nan_ok=True
    )
    assert [line["condition"] for line in lines] == [row["condition"] or "" for row in results["rows"]]


def test_the_controls_are_in_the_results(sample_run):
    results = results_of(sample_run[0])
    assert list(means(results, table="control")) == FAKES_ALTERED
    assert list(means(results, table="alike")) == BOTH_ALTERED
    assert all(len(line) == 4 for table in ("control", "alike") for line in means(results, table=table).values())


def test_untouched_fakes_of_the_sample_score_at_chance(sample_run):
    for accuracy in means(results_of(sample_run[0]), table="control")["untouched"].values():
        assert 0.4 < accuracy < 0.6


def test_the_samples_splits_are_by_photograph(sample_run):
    results = results_of(sample_run[0])
    fitted = [row for row in results["rows"] if row["classifier"].startswith(("svm", "logistic"))]
    assert {row["protocol"] for row in fitted} == {"by_photograph"}
    assert all(max(row["n_test_groups"]) < 11 for row in fitted)  # photographs, not crops


@pytest.mark.parametrize("seed", range(3))
def test_no_crop_of_one_photograph_stands_on_both_sides(sample_run, seed):
    paths = (sample_run[0] / "celeba_files.txt").read_text(encoding="utf-8").splitlines()
    sources = [path.split("/")[0] for path in paths]
    photographs = np.array([photograph_of(path) for path in paths])
    labels = np.array([REAL if source.startswith("photographs") else FAKE for source in sources])
    dataset = make_dataset(np.zeros((len(paths), 2)), labels, sources, photographs)
    altered = train_celeba.fakes_half_altered(ExperimentData(dataset, "built_in_sample", (), lambda _: dataset), None)
    for images in dataset, altered:
        for train_rows, test_rows in random_splits(images, len(images), 0.2, 5, seed):
            assert set(images.groups[train_rows]).isdisjoint(images.groups[test_rows])


# --- the controls


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Return a folder of 24 images of each of the default sources, the two classes alike but for their size."""
    folder = tmp_path_factory.mktemp("data") / "celeba"
    write_source(folder / "img_align_celeba", 24, (54, 44))
    write_source(folder / "dataset_celebA", 24, (40, 40), first_seed=100)
    return folder


@pytest.fixture
def loaded(few, tmp_path):
    """Return the data of a run on them."""

    def load(features):
        labels = {"img_align_celeba": REAL, "dataset_celebA": FAKE}
        return load_spectra(few, labels, 24, features, tmp_path / "cache", n_bins=80, normalise=True)

    return ExperimentData(load(Features()), "images", (48,), load)


@pytest.mark.parametrize("alteration", ["crop 30x40", "resize 44x54", "jpeg 50", "blur 0.5", "crop 30x30 + jpeg 75"])
def test_every_second_fake_is_altered_as_the_condition_says(few, loaded, alteration):
    control = train_celeba.fakes_half_altered(loaded, Features(alteration=alteration))
    assert len(control) == 24 and all(path.startswith("dataset_celebA/") for path in control.paths)
    for row, path in enumerate(control.paths):
        gray = read_gray(few / path).gray
        expected = radial_spectrum(alter(gray, alteration) if row % 2 else gray)
        expected = normalise_by_first(resample_spectrum(expected, 80))
        np.testing.assert_allclose(control.spectra[row], expected, rtol=1e-12)
        assert control.labels[row] == (FAKE if row % 2 else REAL)
        assert control.sources[row] == ("altered" if row % 2 else "untouched")


def test_both_classes_are_altered_alike(loaded, monkeypatch):
    seen = {}

    def note(dataset, data, settings, table, condition):
        seen[table, condition] = dataset
        return []

    monkeypatch.setattr(train_celeba, "control_rows", note)
    settings = settings_of("--fakes-altered", "blur 1", "--both-altered", "crop 30x30 + jpeg 40")
    train_celeba.measure_controls(loaded, Features(), settings)
    assert list(seen) == [
        ("control", "untouched"), ("control", "blur 1"), ("alike", "as they are"), ("alike", "crop 30x30 + jpeg 40")
    ]  # fmt: skip
    alike = seen["alike", "crop 30x30 + jpeg 40"]
    expected = loaded.load(Features(alteration="crop 30x30 + jpeg 40"))
    np.testing.assert_array_equal(alike.spectra, expected.spectra)
    assert alike.counts() == {"img_align_celeba": 24, "dataset_celebA": 24} and alike.paths == loaded.dataset.paths


def test_a_control_scores_at_chance_where_nothing_was_altered_and_finds_what_was():
    spectra = np.random.default_rng(0).normal(0.5, 0.05, (400, 20))
    untouched = make_dataset(spectra, np.repeat([REAL, FAKE], 200))
    altered = make_dataset(spectra + 0.3, untouched.labels)
    for other, low, high in ((untouched, 0.4, 0.6), (altered, 0.99, 1)):
        data = ExperimentData(untouched, "images", (400,), lambda _, other=other: other)
        control = train_celeba.fakes_half_altered(data, Features())
        rows = train_celeba.control_rows(control, data, settings_of(), table="control", condition="c")
        accuracies = [row["mean"] for row in rows if row["metric"] == "accuracy"]
        assert len(accuracies) == 4 and all(low <= accuracy <= high for accuracy in accuracies)


def test_shuffled_labels_score_at_chance():
    random = np.random.default_rng(0)
    labels = np.repeat([REAL, FAKE], 200)
    spectra = random.normal(0.5, 0.05, (400, 20)) + 0.3 * labels[:, None]
    dataset = make_dataset(spectra, random.permutation(labels))
    data = ExperimentData(dataset, "images", (400,))
    for row in train_celeba.control_rows(dataset, data, settings_of(), table="control", condition="shuffled"):
        if row["metric"] in ("accuracy", "roc_auc"):
            assert 0.4 < row["mean"] < 0.6


def test_a_run_on_images_of_two_sizes(clone, few, tmp_path):
    printed = train(clone, "--data-dir", few, "--sample-sizes", 48, "--n-splits", 3, "--output-dir", tmp_path)
    results = results_of(tmp_path)
    assert "24 of 44x54, 24 of 40x40: sizes differ" in printed and not results["built_in_sample"]
    assert means(results, table="sample_sizes")[48]["headers_only", "published"] == 1
    assert list(means(results, table="alike")) == BOTH_ALTERED and (tmp_path / "celeba_control.png").exists()


def test_too_few_fakes_leave_the_controls_out(clone, few, tmp_path):
    printed = train(clone, "--data-dir", few, "--sample-sizes", 6, "--n-splits", 2, "--output-dir", tmp_path)
    assert "controls left out: found 3 fakes, need 4" in printed
    assert not (tmp_path / "celeba_control.png").exists() and "Control" not in printed


# --- what is wrong is said in one sentence


@pytest.mark.parametrize(
    "flags, status, words",
    [
        (("--fakes-altered", "sharpen 3"), 2, "unknown alteration 'sharpen 3'"),
        (("--both-altered", "jpeg 0"), 2, "unknown alteration 'jpeg 0'"),
        (("--published-features", "gone.pkl"), 2, "gone.pkl: no such file"),
        (("--data-dir", "gone"), 2, "gone: no such folder"),
        (("--real-sources", "mine"), 2, "the sources you named need --data-dir"),
        (("--sample-sizes", 10**6), 1, "photographs_a: found 73 images, need 250000; lower SAMPLE_SIZES"),
        (("--n-splits", 0), 2, "N_SPLITS is 0: expected at least 1"),
        (("--test-share", 1), 2, "TEST_SHARE is 1.0: expected above 0 and below 1"),
        (("--rbf-c", -1), 2, "RBF_C is -1.0: expected above 0"),
        (("--rbf-gamma", 0), 2, "RBF_GAMMA is 0.0: expected above 0"),
        (("--poly-gamma", "3"), 2, "invalid choice"),
    ],
)
def test_a_wrong_call_ends_in_one_sentence(clone, sample_run, tmp_path, flags, status, words):
    sentence = train(clone, "--output-dir", tmp_path, *flags, status=status)
    assert words in sentence and sentence.count("\n") == 1 and not list(tmp_path.iterdir())


class Attack:
    """Pickles as a call that writes a file."""

    def __reduce__(self):
        return exec, ("open('hacked', 'w')",)


@pytest.mark.parametrize(
    "features, status, words",
    [
        ({"data": Attack(), "label": 0}, 1, "builtins.exec', which no array needs"),
        (
            {"data": np.ones((4, 300)), "label": np.array([1.0, 1, 0, 0])},
            2,
            "300 values a spectrum, expected N_BINS = 80",
        ),
        ({"data": np.ones((4, 80)), "label": np.array([1.0, 1, 1, 1])}, 1, "expected 0 and 1"),
    ],
    ids=["hostile", "of another experiment", "of one class"],
)
def test_features_that_are_none_of_celeba_are_refused(clone, tmp_path, features, status, words):
    path = tmp_path / "features.pkl"
    path.write_bytes(pickle.dumps(features))
    sentence = train(clone, "--published-features", path, "--output-dir", tmp_path / "plots", status=status)
    assert words in sentence and sentence.count("\n") == 1
    assert not (clone / "hacked").exists() and not (tmp_path / "plots").exists()
