"""A detector's file: what goes in comes out, and a wrong or hostile one gets no further than one sentence."""

import json
import os
import pickle
import stat
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
from conftest import linux_only
from safetensors import safe_open
from safetensors.numpy import save, save_file
from sklearn.svm import SVC

from deepfake_spectra.dataset import (
    BUILT_IN_SAMPLE,
    FAKE,
    IMAGE_HEADER,
    IMAGES,
    PUBLISHED_FEATURES,
    REAL,
    Feature,
    SpectrumDataset,
)
from deepfake_spectra.detector_file import new_judge, read_judge, save_judge, save_run
from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.settings import run

N, N_BINS = 12, 20
FEATURE = Feature("centred", "centre_third", "float32", "", N_BINS, True)
RBF = {"kernel": "rbf", "C": 6.37, "gamma": 0.86}
MAKING = {"made": "2026-11-23 14:05 UTC", "command": "python train_celeba.py", "commit": "0398d7c" + "0" * 33}


def dataset(feature=FEATURE, origin=BUILT_IN_SAMPLE, sources=("photographs", "generator é", "other")):
    """Return spectra of a dozen images that were never there."""
    headers = np.array([(64, 48, "PNG", 0, ""), (50, 40, "JPEG", 90, "4:2:0")] * (N // 2), IMAGE_HEADER)
    labels = np.repeat([REAL, FAKE], N // 2)
    return SpectrumDataset(
        spectra=np.random.default_rng(0).normal(1, 0.1, (N, N_BINS)) + labels[:, None],
        labels=labels,
        sources=np.repeat(sources, N // 3),
        groups=np.array([f"/home/maker/private/{number // 2}.png" for number in range(N)]),
        paths=[f"/home/maker/private/{number}.png" for number in range(N)],
        feature=feature,
        headers=headers,
        origin=origin,
    )


@pytest.fixture
def path(tmp_path):
    """Return where the file under test is, a good one to begin with."""
    save_judge(tmp_path / "spectra.safetensors", new_judge("celeba", RBF, dataset())._replace(**MAKING))
    return tmp_path / "spectra.safetensors"


def parts_of(path):
    """Return the arrays and the description of a file."""
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["description"])


def test_what_goes_in_comes_out(path):
    saved, loaded = dataset(), read_judge(path)
    assert (loaded.experiment, loaded.classifier) == ("celeba", RBF)
    assert (loaded.made, loaded.command, loaded.commit) == tuple(MAKING.values())
    assert loaded.making() == "made 2026-11-23 14:05 UTC by python train_celeba.py (commit 0398d7c)"
    assert loaded._replace(commit="").making() == "made 2026-11-23 14:05 UTC by python train_celeba.py"
    for name in ("spectra", "labels", "sources", "headers"):
        assert np.array_equal(getattr(loaded.dataset, name), getattr(saved, name)), name
    assert loaded.dataset.groups.tolist() == [number // 2 for number in range(N)]
    assert (loaded.dataset.feature, loaded.dataset.origin) == (saved.feature, saved.origin)
    assert len(loaded.dataset.paths) == N


def test_the_file_holds_named_arrays_of_fixed_types_and_a_text_and_no_path_of_its_maker(path):
    arrays, description = parts_of(path)
    types = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
    integers = ("groups", "sources", "format", "subsampling", "width", "height", "jpeg_quality")
    assert types == {"spectra": ("float64", (N, N_BINS)), "labels": ("uint8", (N,))} | dict.fromkeys(
        integers, ("int64", (N,))
    )
    assert arrays["labels"].tolist() == [0] * 6 + [1] * 6
    assert arrays["width"].tolist() == [64, 50] * 6 and arrays["height"].tolist() == [48, 40] * 6
    assert description == {
        "format_version": 3,
        "experiment": "celeba",
        "origin": "built_in_sample",
        "feature": {
            "convention": "centred", "crop": "centre_third", "precision": "float32", "alteration": "",
            "n_bins": N_BINS, "normalise": True,
        },
        "classifier": RBF,
        "sources": ["photographs", "generator é", "other"],
    } | MAKING  # fmt: skip
    assert b"maker" not in path.read_bytes() and b".png" not in path.read_bytes()


def test_saving_again_gives_the_same_bytes_leaves_nothing_else_and_is_readable_as_any_file_is(path):
    before = path.read_bytes()
    save_judge(path, read_judge(path))
    assert path.read_bytes() == before
    (path.parent / "other").touch()
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {path.stat().st_mode & 0o777}
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["other", "spectra.safetensors"]


def test_a_linear_classifier_and_unprintable_sources_survive(path):
    spectra = dataset(sources=("a\nb", "\udce9", "c"))
    save_judge(path, new_judge("faces_hq", {"kernel": "linear", "C": 1}, spectra))
    loaded = read_judge(path)
    assert loaded.classifier == {"kernel": "linear", "C": 1}
    assert list(loaded.dataset.counts()) == ["a\\nb", "\\udce9", "c"]


@linux_only
@pytest.mark.parametrize("origin", [IMAGES, BUILT_IN_SAMPLE])
def test_a_run_leaves_its_judge_among_its_results_and_says_how_to_ask_it(origin, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_run(
        tmp_path / "my plots", "faces_hq", dataset(origin=origin), SVC(kernel="linear", C=0.5), ["a", "b", "c"] * 4
    )
    path = "my plots/faces_hq_judge.safetensors"
    asked = f"python detect_fakes.py --judge '{path}' FILE"
    assert capsys.readouterr().out == f"judge: {path}; ask it: {asked}\n"
    arrays, description = parts_of(tmp_path / path)
    assert description["classifier"] == {"kernel": "linear", "C": 0.5}
    assert arrays["groups"].tolist() == [0, 1, 2] * 4


def test_of_the_authors_features_there_is_no_judge(tmp_path, capsys):
    save_run(tmp_path, "faces_hq", dataset(origin=PUBLISHED_FEATURES), SVC(kernel="linear"))
    assert list(tmp_path.iterdir()) == [] and capsys.readouterr().out == ""


def test_parameters_that_no_judge_may_have_leave_none_nor_an_older_one(tmp_path, capsys):
    for C in (1.0, 1e6):
        save_run(tmp_path, "faces_hq", dataset(), SVC(kernel="linear", C=C))
    assert list(tmp_path.iterdir()) == []
    assert "no judge for detect_fakes.py: C is 1000000.0, need 0.0001 to 10000\n" in capsys.readouterr().out


def test_an_rbf_classifier_is_saved_with_its_gamma(tmp_path):
    save_run(tmp_path, "deepfake_detection", dataset(), SVC(C=6.37, gamma=0.86))
    [path] = tmp_path.rglob("*.safetensors")
    assert parts_of(path)[1]["classifier"] == RBF


@linux_only
def test_the_command_is_as_it_was_typed_and_names_no_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/maker")
    words = ["/opt/code/train_faces_hq.py", "--data-dir", "/home/maker/my faces", "--output-dir=/home/maker/x", "a\nb"]
    monkeypatch.setattr("sys.argv", words)
    judge = new_judge("faces_hq", RBF, dataset())
    assert judge.command == r"python train_faces_hq.py --data-dir '~/my faces' '--output-dir=~/x' 'a\nb'"
    now = datetime.now(UTC) - datetime.strptime(judge.made, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    assert 0 <= now.total_seconds() < 120


def test_nothing_of_that_name_is_a_wrong_call(tmp_path):
    with pytest.raises(UsageError, match="nowhere: no such file; expected a judge"):
        read_judge(tmp_path / "nowhere")


@pytest.mark.parametrize("reader", ["safetensors.safe_open", "pathlib.Path.open"])
def test_a_file_that_cannot_be_read_is_refused_with_the_systems_reason(path, reader, monkeypatch):
    def fail(*arguments):
        raise OSError("a broken disk")

    monkeypatch.setattr(reader, fail)
    with pytest.raises(ExperimentError, match=r"refused \(a broken disk\)"):
        read_judge(path)


def a_pickle(path):
    """Write a pickle that would make a folder if it were read."""

    class Creates:
        def __reduce__(self):
            return os.mkdir, (str(path.with_name("created")),)

    path.write_bytes(pickle.dumps(Creates()))


def a_zip(path):
    """Write a zip of arrays, as an earlier version of the file was."""
    with zipfile.ZipFile(path.open("wb"), "w") as archive:
        archive.writestr("spectra.npy", b"\x93NUMPY")


def a_folder(path):
    """Put a folder in the place of the file."""
    path.unlink()
    path.mkdir()


def with_length(n_bytes):
    """Return what cuts a file, or lengthens it with zeros."""
    return lambda path: os.truncate(path, path.stat().st_size + n_bytes if n_bytes < 0 else n_bytes)


def with_text(text):
    """Return what replaces the description by a text; None takes it away."""

    def change(path):
        save_file(parts_of(path)[0], path, None if text is None else {"description": text})

    return change


def with_array(name, change_array):
    """Return what replaces one array; None takes it away."""

    def change(path):
        arrays, description = parts_of(path)
        arrays[name] = change_array(arrays.get(name))
        save_file({name: array for name, array in arrays.items() if array is not None}, path,
                  {"description": json.dumps(description)})  # fmt: skip

    return change


def with_field(key, *value):
    """Return what replaces, or takes away, one field of the description, as "feature.crop"."""

    def change(path):
        arrays, description = parts_of(path)
        *outer, inner = key.split(".")
        fields = description[outer[0]] if outer else description
        fields.pop(inner, None)
        fields.update((inner, only) for only in value)
        save_file(arrays, path, {"description": json.dumps(description)})

    return change


def with_value(value):
    """Return what sets one value of an array."""
    return lambda array: np.concatenate([array[:5], np.full_like(array[5:6], value), array[6:]])


WRONG_FILES = [
    (with_length(0), "header"),
    (with_length(4), "header"),
    (with_length(300), "header"),
    (with_length(-1), ""),
    (with_length(2**28 + 1), "more than 256 MiB"),
    (lambda path: path.write_bytes(b"\xff" * 8 + b"{" * 200), "header"),
    (lambda path: path.write_bytes(save({"x": np.zeros(3)})), "no description"),
    (a_pickle, "header"),
    (a_zip, "header"),
    (a_folder, "not a file"),
    (with_text(None), "no description"),
    (with_text(""), "Expecting value"),
    (with_text("[]"), "no description"),
    (with_text("5"), "no description"),
    (with_text("{}"), "no description"),
    (with_text("[" * 100_000), "recursion"),
    (with_text("9" * 10_000), "4300 digits"),
    (with_array("spectra", lambda array: None), "its arrays are format, groups"),
    (with_array("more", lambda array: np.zeros(N)), "more"),
    (with_array("spectra", lambda array: array.astype(np.float32)), "spectra of another form"),
    (with_array("spectra", np.ravel), "spectra of another form"),
    (with_array("spectra", lambda array: array[:, :1].copy()), "spectra of another form"),
    (with_array("spectra", lambda array: array[:, :7].copy()), "n_bins is 20, need one of [7]"),
    (with_array("spectra", lambda array: array[:0].copy()), "labels and spectra are of different lengths"),
    (with_array("spectra", with_value(np.nan)), "not finite"),
    (with_array("spectra", with_value(np.inf)), "not finite"),
    (with_array("spectra", with_value(-1e9)), "no log powers"),
    (with_array("spectra", with_value(1e308)), "no log powers"),
    (with_array("spectra", lambda array: np.zeros((50_001, N_BINS))), "50001 spectra, more than 50000"),
    (with_array("labels", lambda array: 0 * array), "only one class"),
    (with_array("labels", with_value(2)), "labels holds an impossible value"),
    (with_array("labels", lambda array: array.astype(np.float64)), "labels is of type float64"),
    (with_array("groups", lambda array: array[:-1].copy()), "groups and spectra are of different lengths"),
    (with_array("groups", lambda array: array.reshape(N, 1)), "groups and spectra are of different lengths"),
    (with_array("groups", lambda array: 0 * array), "too few to hold some out"),
    (with_array("sources", with_value(3)), "sources holds an impossible value"),
    (with_array("sources", with_value(-1)), "sources holds an impossible value"),
    (with_array("format", with_value(7)), "format holds an impossible value"),
    (with_array("subsampling", with_value(-1)), "subsampling holds an impossible value"),
    (with_array("width", with_value(0)), "width holds an impossible value"),
    (with_array("height", with_value(2**40)), "height holds an impossible value"),
    (with_array("jpeg_quality", with_value(101)), "jpeg_quality holds an impossible value"),
    (with_field("format_version", 2), "of an older version; run its train script again"),
    (with_field("format_version", 4), "format version 3"),
    (with_field("format_version", [3]), "format version 3"),
    (with_field("more", 1), "fields classifier, command, commit, experiment"),
    (with_field("experiment"), "fields classifier, command, commit, feature"),
    (with_field("experiment", "other"), 'experiment is "other"'),
    (with_field("experiment", ["celeba"]), 'experiment is ["celeba"]'),
    (with_field("origin", "elsewhere"), 'origin is "elsewhere"'),
    (with_field("sources", "abc"), "sources that cannot be printed"),
    (with_field("sources", {"a": 1, "b": 2, "c": 3}), "sources that cannot be printed"),
    (with_field("sources", [1, 2, 3]), "sources that cannot be printed"),
    (with_field("sources", ["a", "b", "\x1b[31m"]), "sources that cannot be printed"),
    (with_field("feature", None), "no attribute"),
    (with_field("feature.more", 1), "fields alteration, convention"),
    (with_field("feature.normalise"), "fields alteration, convention"),
    (with_field("feature.convention", "Published"), 'convention is "Published"'),
    (with_field("feature.crop", 0), "crop is 0"),
    (with_field("feature.precision", "float16"), 'precision is "float16"'),
    (with_field("feature.alteration", "jpeg 75"), 'alteration is "jpeg 75"'),
    (with_field("feature.n_bins", 20.0), "n_bins is 20.0"),
    (with_field("feature.normalise", 1), "normalise is 1"),
    (with_field("classifier", []), "no attribute"),
    (with_field("classifier.kernel", "poly"), 'kernel is "poly"'),
    (with_field("classifier.kernel", {}), "kernel is {}"),
    (with_field("classifier.gamma"), "its classifier has the fields C, kernel"),
    (with_field("classifier.max_iter", 5), "max_iter"),
    (with_field("classifier.gamma", "scale"), 'gamma is "scale"'),
    (with_field("classifier.C", 0), "C is 0, need 0.0001 to 10000"),
    (with_field("classifier.C", 1e6), "C is 1000000.0"),
    (with_field("classifier.C", 1e308), "C is 1e+308"),
    (with_field("classifier.gamma", 1e308), "gamma is 1e+308"),
    (with_field("classifier.C", float("inf")), "C is Infinity"),
    (with_field("made", "yesterday"), "made of another form"),
    (with_field("made", 5), "made of another form"),
    (with_field("command", ""), "command of another form"),
    (with_field("command", "x" * 2000), "command of another form"),
    (with_field("command", "\x1b[31m"), "command of another form"),
    (with_field("commit", "main"), "commit of another form"),
    (with_field("classifier.C", float("nan")), "C is NaN"),
    (with_field("classifier.C", True), "C is true"),
]


@pytest.mark.parametrize("spoil, reason", WRONG_FILES)
def test_a_wrong_file_ends_in_one_sentence_and_status_1(path, spoil, reason, capsys):
    spoil(path)
    with pytest.raises(SystemExit) as ended:
        run(lambda: read_judge(path).detector(n_threads=1))
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (1, "")
    assert printed.err.count("\n") == 1 and printed.err[:-1].isprintable() and len(printed.err) < 600
    assert reason in printed.err
    if "too few" not in reason:  # of a file that is right, but not enough
        assert f"{path}: refused (" in printed.err and "expected a judge" in printed.err
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
