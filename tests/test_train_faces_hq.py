"""The Faces-HQ experiment as a user runs it: what it writes, what it says, and how it ends when something is wrong."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import by_opencv, by_pillow, colour_picture, picture, write_source
from PIL import Image

from deepfake_spectra import experiment_data
import train_faces_hq
from deepfake_spectra.experiment_data import load_experiment_data, sizes_that_fit
from deepfake_spectra.results import ROW_KEYS
from deepfake_spectra.settings import UsageError, run
from deepfake_spectra.opencv import cv2
from deepfake_spectra.image_spectra import Features, SpectrumDataset

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
NAMED = "--real-sources real_a real_b --fake-sources fake_a fake_b"
OUTPUTS = ["accuracy.csv", "accuracy.md", "files.txt", "results.json", "spectrum.png"]


def run_script(clone, *flags, cwd=None):
    """Run the script of a copy of the repository, as a user does; flags are split at spaces."""
    command = [sys.executable, clone / "train_faces_hq.py", *(word for flag in flags for word in str(flag).split())]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, cwd=cwd or clone, capture_output=True, text=True, encoding="utf-8", env=environment)


def succeed(*arguments, **options):
    """Run the script, check that all went well, and return what it printed."""
    process = run_script(*arguments, **options)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def results_of(folder):
    """Return the results file, where a NaN would be an error."""
    text = (folder / "faces_hq_results.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the results"))


def numbers_of(folder):
    """Return all rows of the results, and the files used."""
    return results_of(folder)["rows"], (folder / "faces_hq_files.txt").read_text(encoding="utf-8")


def row_of(results, **keys):
    """Return the one row with these keys."""
    [row] = [row for row in results["rows"] if all(row[key] == value for key, value in keys.items())]
    return row


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Return a folder of two real and two fake sources that differ a little, 12 images each, of one size and format."""
    folder = tmp_path_factory.mktemp("data") / "faces"
    for number, (source, blur) in enumerate({"real_a": 1.0, "real_b": 1.02, "fake_a": 1.03, "fake_b": 1.05}.items()):
        write_source(folder / source, 12, (64, 64), 100 * number, blur)
    return folder


@pytest.fixture(scope="module")
def first_run(clone, faces, tmp_path_factory):
    """Return the output folder of a run, and what it printed."""
    folder = tmp_path_factory.mktemp("first_run")
    flags = f"{NAMED} --sample-sizes 1000 40 21 --n-splits 3 --output-dir {folder}"
    return folder, succeed(clone, "--data-dir", faces, flags)


# --- a run on images


def test_a_run_writes_its_five_files_and_nothing_else(first_run):
    assert sorted(path.name for path in first_run[0].iterdir()) == [f"faces_hq_{name}" for name in OUTPUTS]


def test_the_results_say_what_was_measured_and_how(first_run, faces, clone):
    results = results_of(first_run[0])
    assert (results["experiment"], results["built_in_sample"], results["commit"]) == ("faces_hq", False, None)
    settings = results["settings"]
    assert settings["SAMPLE_SIZES"] == [1000, 40, 21] and settings["N_SPLITS"] == 3 and settings["N_BINS"] is None
    assert Path(clone, settings["DATA_DIR"]).resolve() == faces.resolve() and settings["REAL_SOURCES"] == [
        "real_a",
        "real_b",
    ]
    assert all(list(row) == list(ROW_KEYS) for row in results["rows"])
    for row in results["rows"]:
        assert row["low"] is None or 0 <= row["low"] <= row["mean"] <= row["high"] <= 1
        assert len(row["scores"]) == len(row["n_test"]) == (3 if row["table"] == "sample_sizes" else 1)


def test_table_1_holds_every_classifier_at_the_sizes_that_fit(first_run):
    rows = results_of(first_run[0])["rows"]
    rows = [row for row in rows if (row["table"], row["metric"]) == ("sample_sizes", "accuracy")]
    assert {(row["classifier"], row["protocol"], row["n_samples"]) for row in rows} == {
        (*classifier, size)
        for size in (40, 20)
        for classifier in (
            ("svm_linear", "published"), ("logistic_regression", "published"), ("k_means", "published"),
            ("k_means", "held_out"), ("majority_class", "published"), ("headers_only", "published"),
        )
    }  # fmt: skip
    for row in rows:
        share = 1 if (row["classifier"], row["protocol"]) == ("k_means", "published") else 0.2
        assert row["n_test"] == [share * row["n_samples"]] * 3


def test_table_2_trains_on_each_pair_and_tests_on_the_others(first_run):
    rows = [
        row for row in results_of(first_run[0])["rows"] if row["table"] == "transfer" and row["metric"] == "roc_auc"
    ]
    found = {(*row["train_sources"], *row["test_sources"]) for row in rows if row["classifier"] == "svm_linear"}
    assert len(rows) == 8 and found == {
        ("real_a", "fake_a", "real_b", "fake_b"), ("real_a", "fake_b", "real_b", "fake_a"),
        ("real_b", "fake_a", "real_a", "fake_b"), ("real_b", "fake_b", "real_a", "fake_a"),
    }  # fmt: skip


def test_equal_headers_score_half_and_are_not_warned_of(first_run):
    row = row_of(results_of(first_run[0]), classifier="headers_only", metric="accuracy", n_samples=40)
    assert row["scores"] == [0.5, 0.5, 0.5] and "headers alone" not in first_run[1]


def test_sizes_that_do_not_fit_are_said_and_the_others_reported(first_run):
    assert "sample size 1000 left out: real_a: found 12 images, need 250; lower SAMPLE_SIZES" in first_run[1]
    assert "sample size 21 became 20: equal numbers of 4 sources" in first_run[1]


def test_other_sources_never_stand_beside_the_papers_numbers(first_run):
    assert "| paper" not in first_run[1] and "| 40 " in first_run[1]


def test_tables_are_printed_as_they_are_written(first_run):
    text = (first_run[0] / "faces_hq_accuracy.md").read_text(encoding="utf-8")
    assert text.startswith("# Faces-HQ experiment\n") and text in first_run[1]
    assert "48 spectra of 43 values: real_a 12, real_b 12, fake_a 12, fake_b 12." in text
    assert first_run[1].splitlines()[-1].startswith("time: spectra ")


def test_csv_and_json_hold_the_same_numbers(first_run):
    with (first_run[0] / "faces_hq_accuracy.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    rows = results_of(first_run[0])["rows"]
    assert [(line["metric"], line["mean"], line["high"]) for line in lines] == [
        (row["metric"], *("" if row[key] is None else str(row[key]) for key in ("mean", "high"))) for row in rows
    ]


def test_the_list_of_files_names_those_that_are_there(first_run, faces):
    names = (first_run[0] / "faces_hq_files.txt").read_text(encoding="utf-8").splitlines()
    assert len(set(names)) == 48 and all((faces / name).is_file() for name in names)


def test_the_figure_is_a_picture_of_sane_size(first_run):
    figure = cv2.imread(str(first_run[0] / "faces_hq_spectrum.png"))
    assert 1000 < figure.shape[0] < 4000 and 1500 < figure.shape[1] < 4000 and figure.std() > 10


def test_a_second_run_from_another_folder_takes_the_cache_and_gives_the_same_numbers(clone, faces, first_run, tmp_path):
    flags = f"{NAMED} --sample-sizes 1000 40 21 --n-splits 3"
    assert "spectra: 0 from " in first_run[1]
    output = succeed(clone, "--data-dir", faces, flags, "--output-dir out --n-threads 1", cwd=tmp_path)
    assert "spectra: 48 from " in output and ", 0 computed" in output
    assert numbers_of(tmp_path / "out") == numbers_of(first_run[0])


# --- the authors' sources, the authors' features


@pytest.fixture(scope="module")
def default_run(clone, faces):
    """Return the results of a run on the authors' folders, in a copy that has them; the fakes are JPEG, some damaged."""
    copy = clone.with_name("with_data")
    shutil.copytree(clone, copy, ignore=shutil.ignore_patterns("data", "plots", "__pycache__"))
    for source, name in zip(("real_a", "real_b"), train_faces_hq.REAL_SOURCES):
        shutil.copytree(faces / source, copy / "data/faces_hq" / name)
    for number, name in enumerate(train_faces_hq.FAKE_SOURCES):
        folder = copy / "data/faces_hq" / name
        folder.mkdir()
        for image in range(12):
            pixels = picture(300 + 20 * number + image, (64, 64), 1.1)
            content = by_opencv(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 98)
            (folder / f"Zoë {image}.jpg").write_bytes(content[: len(content) // 2] if image == 5 else content)
        (folder / "error\n.jpg").write_text("not found")
    output = succeed(copy, "--sample-sizes 48 40 20 --n-splits 1 --n-bins 30 --convention centred --max-unreadable 0.1")
    return copy / "plots", output


def test_the_default_sources_are_taken_from_data_and_the_papers_numbers_stand_beside_ours(default_run):
    lines = default_run[1].splitlines()
    [number] = [number for number, line in enumerate(lines) if line.startswith("| paper")]
    assert lines[number - 1].startswith("| 20 ")
    assert [cell.strip() for cell in lines[number].split("|")[3:7]] == ["100", "100", "75", ""]
    assert "sample" not in lines[0] and not results_of(default_run[0])["built_in_sample"]


def test_headers_that_give_the_classes_away_are_warned_of(default_run):
    assert row_of(results_of(default_run[0]), classifier="headers_only", metric="accuracy", n_samples=40)["mean"] == 1
    [note] = [line for line in default_run[1].splitlines() if line.startswith("Note: headers alone")]
    assert "score 100 % at " in note and "cannot be read as detection" in note


def test_unreadable_files_are_named_and_counted(default_run):
    skipped = {entry["path"]: entry["reason"] for entry in results_of(default_run[0])["skipped"]}
    for name in train_faces_hq.FAKE_SOURCES:
        assert skipped[f"{name}/error\n.jpg"] == "not an image"
        assert skipped[f"{name}/Zoë 5.jpg"] == "cut short or damaged JPEG"
    assert "files skipped: " in default_run[1] and "Zoë 5.jpg (cut short or damaged JPEG)" in default_run[1]


def test_one_split_has_no_spread_and_n_bins_and_convention_are_those_asked_for(default_run):
    keys = {"table": "sample_sizes", "classifier": "svm_linear", "metric": "accuracy", "n_samples": 40}
    row = row_of(results_of(default_run[0]), **keys)
    assert row["std"] is None and len(row["scores"]) == 1
    assert " spectra of 30 values" in default_run[1]


def test_the_authors_features_of_another_experiment_do_not_stand_beside_the_papers_numbers(clone, tmp_path):
    path = SHARED_DATA / "published_features/celeba_low_1000.pkl"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    output = succeed(clone, "--published-features", path, "--sample-sizes 100 --n-splits 2 --output-dir", tmp_path)
    [results] = [json.loads(path.read_text()) for path in tmp_path.rglob("faces_hq_results.json")]
    assert row_of(results, classifier="svm_linear", metric="accuracy")["mean"] > 0.9
    assert "2000 spectra of 80 values: fake 1000, real 1000" in output and "| paper" not in output
    assert "transfer left out: it needs two sources of each class" in output
    assert "headers_only" not in {row["classifier"] for row in results["rows"]}


def settings_for(**changes):
    """Return the script's settings, with some changed."""
    names = train_faces_hq.__annotations__
    return SimpleNamespace(**{name.lower(): getattr(train_faces_hq, name) for name in names} | changes)


NAMES = train_faces_hq.REAL_SOURCES + train_faces_hq.FAKE_SOURCES


@pytest.mark.parametrize(
    "kind, n_bins, n_real, is_papers",
    [
        ("published_features", 722, 2, True),
        ("published_features", 80, 2, False),  # of CelebA
        ("images", 43, 2, True),
        ("images", 722, 3, False),  # the same names, one in the other class
        ("built_in_sample", 722, 2, False),
    ],
)
def test_the_papers_numbers_stand_beside_the_papers_experiment_alone(kind, n_bins, n_real, is_papers):
    dataset = SpectrumDataset(np.zeros((4, n_bins)), None, None, None, [], None)
    data = experiment_data.ExperimentData(dataset, kind, (20,))
    row = {"table": "sample_sizes", "n_samples": 20, "classifier": "svm_linear", "protocol": data.protocol}
    row |= {"n_test": [4], "metric": "accuracy", "mean": 1.0, "std": None, "low": None}
    settings = settings_for(real_sources=NAMES[:n_real], fake_sources=NAMES[n_real:])
    [(_, table)] = train_faces_hq.tables(data, [row], settings)
    assert ("| paper" in table) == is_papers


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"convention": "centred"}, "leave CONVENTION as it is"),
        ({"alteration": "jpeg 75"}, "leave ALTERATION empty"),
        ({"data_dir": Path("faces")}, "name one of them"),
    ],
)
def test_settings_that_published_features_cannot_follow_are_refused(changes, words):
    settings = settings_for(published_features=Path("dataset_freq_1000.pkl"), **changes)
    with pytest.raises(UsageError, match=words):
        features = Features(settings.convention, alteration=settings.alteration)
        load_experiment_data("faces_hq", settings, features, (), ())


# --- the sample


@pytest.fixture(scope="module")
def sample_run(clone):
    """Return the copy in which the sample ran, and what was printed."""
    process = run_script(clone, "--sample-sizes 40 20 --n-splits 2")
    assert process.returncode == 0, process.stderr
    return clone, process.stdout


def test_the_sample_says_so_in_its_first_line_and_in_its_files(sample_run):
    clone, output = sample_run
    folder = clone / "plots/built_in_sample"
    assert "built-in sample" in output.splitlines()[0] and "no reproduction of the paper" in output.splitlines()[0]
    text = (folder / "faces_hq_accuracy.md").read_text(encoding="utf-8")
    assert text.startswith("# Faces-HQ experiment on the built-in sample: no reproduction of the paper")
    assert results_of(folder)["built_in_sample"] is True
    assert "| paper" not in output


def test_the_sample_never_overwrites_a_real_result(sample_run):
    assert [path.name for path in (sample_run[0] / "plots").iterdir()] == ["built_in_sample"]
    written = {path.name for path in (sample_run[0] / "plots/built_in_sample").iterdir()}
    assert written == {"faces_hq_crops.png", *(f"faces_hq_{name}" for name in OUTPUTS)}


def test_the_sample_is_split_by_photograph_in_every_table(sample_run):
    rows = results_of(sample_run[0] / "plots/built_in_sample")["rows"]
    assert {row["protocol"] for row in rows if row["classifier"] != "k_means"} == {"by_photograph"}
    assert {row["table"] for row in rows} == {"sample_sizes", "transfer", "limits"}
    assert {row["n_samples"] for row in rows if row["table"] == "sample_sizes"} == {40, 20}


def test_the_sample_is_refused_where_sources_were_named(clone):
    process = run_script(clone, NAMED)
    assert process.returncode == 2 and process.stdout == "" and process.stderr.count("\n") == 1
    assert "no such folder; the sources you named need --data-dir" in process.stderr


# --- what goes wrong


@pytest.fixture
def fail(faces, tmp_path, monkeypatch, capsys):
    """Return a function that runs `main` with some flags, in a repository without data, and gives status and sentence."""
    monkeypatch.setattr(experiment_data, "REPOSITORY", tmp_path)
    monkeypatch.chdir(tmp_path)

    def fail(flags, data_dir=faces):
        flags = ["--data-dir", str(data_dir), *f"{NAMED} --sample-sizes 8 --n-splits 1 {flags}".split()]
        monkeypatch.setattr(sys, "argv", ["train_faces_hq.py", *flags])
        monkeypatch.setattr(sys.modules["train_faces_hq"], "__name__", "train_faces_hq")
        with pytest.raises(SystemExit) as end:
            run(train_faces_hq.main)
        error = capsys.readouterr().err
        assert error.startswith("train_faces_hq.py: ") and error.count("\n") == 1
        return end.value.code, error

    return fail


@pytest.mark.parametrize(
    "flags, status, words",
    [
        ("--data-dir nowhere", 2, "nowhere: no such folder; set DATA_DIR or --data-dir"),
        ("--data-dir file", 2, "file: no such folder"),
        ("--real-sources real_a reals", 2, "no source 'reals' there; found fake_a, fake_b, real_a, real_b"),
        ("--fake-sources", 2, "FAKE_SOURCES is empty: need at least one folder of each class"),
        ("--real-sources", 2, "REAL_SOURCES is empty"),
        ("--real-sources fake_a real_a", 2, "fake_a: named both as a real and as a fake source; name it once"),
        ("--fake-sources fa\x00ke", 2, "a table cannot show that name; rename the folder"),
        ("--fake-sources fak\udcff", 2, "a table cannot show that name; rename the folder"),
        ("--published-features nowhere.pkl", 2, "name one of them"),
        ("--sample-size 8", 2, "unrecognized arguments: --sample-size 8"),
        ("--sample-sizes many", 2, "invalid int value: 'many'"),
        ("--convention centered", 2, "invalid choice: 'centered'"),
        ("--sample-sizes 1000", 1, "real_a: found 12 images, need 250; lower SAMPLE_SIZES"),
        ("--sample-sizes", 1, "SAMPLE_SIZES is empty: name at least one"),
        (
            "--sample-sizes 7",
            1,
            "sample size 7 left out: 4 sources with 2 images each need at least 8; raise SAMPLE_SIZES",
        ),
        ("--sample-sizes 3 0", 1, "sample size 0 left out"),
        ("--sample-sizes -5", 1, "sample size -5 left out"),
        ("--n-splits 0", 2, "N_SPLITS is 0: expected at least 1"),
        ("--test-share 0", 2, "TEST_SHARE is 0.0: expected above 0 and below 1"),
        ("--test-share 1", 2, "TEST_SHARE is 1.0"),
        ("--test-share -0.2", 2, "TEST_SHARE is -0.2"),
        ("--test-share nan", 2, "TEST_SHARE is nan"),
        ("--n-bins 1", 2, "N_BINS is 1: expected at least 2, or none"),
        ("--n-bins 0", 2, "N_BINS is 0"),
        ("--max-unreadable nan", 2, "MAX_UNREADABLE is nan: expected 0 to 1"),
        ("--seed -1", 2, "SEED is -1: expected 0 to 4294967295"),
        ("--seed 4294967296", 2, "SEED is 4294967296"),
        ("--n-threads 0", 2, "N_THREADS is 0: expected at least 1, or -1"),
        ("--svm-c 0", 2, "SVM_C is 0.0: expected above 0"),
        ("--logistic-max-iter 0", 2, "LOGISTIC_MAX_ITER is 0: expected at least 1"),
    ],
)
def test_a_wrong_call_is_one_sentence(fail, tmp_path, flags, status, words):
    (tmp_path / "file").write_text("")
    found, sentence = fail(flags)
    assert found == status and words in sentence


def test_an_empty_source_is_one_sentence(fail, tmp_path):
    for source in ("real_a", "real_b", "fake_a", "fake_b"):
        write_source(tmp_path / "faces" / source, 2 * (source != "fake_b"))
    (tmp_path / "faces/fake_b").mkdir(exist_ok=True)
    status, sentence = fail("", tmp_path / "faces")
    assert status == 1 and "fake_b: found no image, need at least one" in sentence


def test_seven_images_where_1000_were_asked_are_one_sentence(fail, faces, tmp_path):
    shutil.copytree(faces, tmp_path / "faces")
    for number in range(7, 12):
        (tmp_path / f"faces/fake_a/{number:03}.png").unlink()
    status, sentence = fail("--sample-sizes 4000 1000", tmp_path / "faces")
    assert status == 1 and "sample size 1000 left out: fake_a: found 7 images, need 250; lower SAMPLE_SIZES" in sentence


@pytest.mark.parametrize(
    "output_dir, status, words", [("file", 2, "file: a file, expected a folder"), ("file/plots", 1, "Not a directory")]
)
def test_an_output_folder_that_cannot_be_made_is_one_sentence(fail, tmp_path, output_dir, status, words):
    (tmp_path / "file").write_text("")
    found, sentence = fail(f"--output-dir {output_dir}")
    assert found == status and words in sentence


@pytest.mark.parametrize("full", ["plots", "spectra"])
def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(fail, tmp_path, full):
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("cannot mount a tiny disk here")
    try:
        if full == "spectra":
            (tmp_path / "data").mkdir()
            (tmp_path / "data/spectra").symlink_to(folder)
        status, sentence = fail(f"--output-dir {folder if full == 'plots' else 'plots'} --sample-sizes 48")
        assert status == 1 and "No space left on device" in sentence
        assert [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size] == []
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    "sizes, fitting, sentences",
    [
        ((40, 20), [40, 20], 0),
        ((41, 40), [40], 1),  # one size, once
        ((1000, 8), [8], 1),
        ((7, 8), [8], 1),
    ],
)
def test_sizes_that_fit_are_multiples_of_the_number_of_sources(faces, tmp_path, sizes, fitting, sentences):
    sources = np.repeat(["a", "b", "c", "d"], [10, 12, 10, 12])
    dataset = SpectrumDataset(None, np.zeros(44), sources, sources, [], None)
    found, said = sizes_that_fit(dataset, sizes)
    assert found == fitting and len(said) == sentences


def test_a_class_with_one_source_leaves_the_transfer_out_and_the_rest_stands(clone, faces, tmp_path):
    shutil.copytree(faces, tmp_path / "faces")
    for number in range(12):  # one image of each kind that is read and said, and other sizes
        pixels = colour_picture(number, (64, 80))
        forms = (
            by_opencv(pixels.astype(np.uint16) * 257),
            by_pillow(pixels, "JPEG", "CMYK"),
            by_pillow(pixels, "PNG", "RGBA"),
        )
        (tmp_path / f"faces/real_a/{number:03}.png").write_bytes(forms[number % 3])
    (tmp_path / "faces/fake_a/animated.png").write_bytes(
        by_pillow(pixels, "PNG", save_all=True, append_images=[Image.fromarray(picture())])
    )
    (tmp_path / "faces/fake_a/cut.tif").write_bytes(by_opencv(pixels, ".tif")[:-300])
    sources = "--real-sources real_a --fake-sources fake_a fake_b"
    flags = f"--sample-sizes 42 36 --n-splits 1 --max-unreadable 0.1 --output-dir {tmp_path}/out"
    output = succeed(clone, "--data-dir", tmp_path / "faces", sources, flags)
    for words in (
        "transfer left out: it needs two sources of each class",
        "24 of 64x64, 12 of 80x64: sizes differ",
        "4 images hold 16 bits a channel", "4 images are CMYK", "4 images hold transparency",
        "headers alone", "animated.png (PNG with 2 frames: expected a still image)", "fake_a/cut.tif (",
    ):  # fmt: skip
        assert words in output
