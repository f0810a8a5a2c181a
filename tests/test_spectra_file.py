"""A file of spectra: what goes in comes out, and nothing that somebody else puts into one gets any further."""

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from deepfake_spectra.experiment_data import ExperimentData
from deepfake_spectra.settings import ExperimentError, UsageError
from deepfake_spectra.image_files import IMAGE_HEADER
from deepfake_spectra.spectra_file import KnownSpectra, load_spectra_file, save_run, save_spectra_file, spectra_path
from deepfake_spectra.image_spectra import FAKE, REAL, Features, SpectrumDataset

N, N_BINS = 12, 20


def known_spectra(**changes):
    """Return spectra of a dozen images that were never there."""
    headers = np.zeros(N, IMAGE_HEADER)
    headers["width"], headers["height"], headers["format"] = 64, 48, ["PNG", "JPEG"] * 6
    headers["jpeg_quality"][1::2] = 90
    dataset = SpectrumDataset(
        spectra=np.random.default_rng(0).normal(100, 10, (N, N_BINS)),
        labels=np.repeat([REAL, FAKE], N // 2),
        sources=np.repeat(["photographs", "generator é", "other"], N // 3),
        groups=np.array([f"/home/maker/private/{number // 2}.png" for number in range(N)]),
        paths=[f"/home/maker/private/{number}.png" for number in range(N)],
        headers=headers,
    )
    features = Features("centred", "centre_third", "float32")
    classifier = {"name": "svm_rbf", "C": 6.37, "gamma": 0.86}
    return KnownSpectra("celeba", True, features, True, classifier, dataset)._replace(**changes)


@pytest.fixture
def path(tmp_path):
    """Return where the file under test is, a good one to begin with."""
    save_spectra_file(tmp_path / "spectra.npz", known_spectra())
    return tmp_path / "spectra.npz"


def arrays_of(path):
    """Return what NumPy reads of a file."""
    with np.load(path) as arrays:
        return dict(arrays)


def npy(array):
    """Return the bytes of an .npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asanyarray(array), version=(1, 0))
    return stream.getvalue()


def npy_header(shape, descr="'<f8'", version=1):
    """Return the start of an .npy file that declares any shape and type."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text.encode()


def write_members(path, members, **options):
    """Write a zip of {name without .npy: bytes}."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name + ".npy", content)


def members_of(path):
    """Return {name without .npy: bytes} of a zip."""
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}


def refusal(path):
    """Return the one sentence that a file is refused with, having checked that it took little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ExperimentError) as refused:
            load_spectra_file(path)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000 + 2 * path.stat().st_size
    finally:
        tracemalloc.stop()
    sentence = str(refused.value)
    assert "\n" not in sentence and sentence.isprintable() and len(sentence) < 600
    assert str(path) in sentence and "expected the spectra" in sentence
    return sentence


def test_what_goes_in_comes_out(path):
    saved, loaded = known_spectra(), load_spectra_file(path)
    assert loaded[:5] == saved[:5]
    for name in ("spectra", "labels", "sources", "headers"):
        assert np.array_equal(getattr(loaded.dataset, name), getattr(saved.dataset, name)), name
    assert loaded.dataset.spectra.dtype == np.float64
    assert np.array_equal(loaded.dataset.groups, np.arange(N) // 2)


def test_the_file_names_no_path_of_its_maker(path):
    content = path.read_bytes()
    for text in ("maker", ".png"):
        assert text.encode() not in content and text.encode("utf-32-le") not in content


def test_numpy_alone_opens_it(path):
    arrays = arrays_of(path)
    assert sorted(arrays) == ["groups", "headers", "labels", "settings", "sources", "spectra"]
    assert arrays["labels"].tolist() == ["real"] * 6 + ["fake"] * 6
    assert json.loads(str(arrays["settings"])) == {
        "format_version": 1,
        "experiment": "celeba",
        "built_in_sample": True,
        "features": {
            "convention": "centred", "crop": "centre_third", "precision": "float32", "n_bins": N_BINS,
            "normalise": True,
        },
        "classifier": {"name": "svm_rbf", "C": 6.37, "gamma": 0.86},
    }  # fmt: skip


def test_two_saves_are_the_same_bytes_and_leave_nothing_else(path):
    before = path.read_bytes()
    save_spectra_file(path, load_spectra_file(path))
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["spectra.npz"]


def test_a_linear_classifier_and_an_unprintable_source_survive(tmp_path):
    known = known_spectra(classifier={"name": "svm_linear", "C": 1})
    known.dataset.sources = np.array(["a\nb", os.fsdecode(b"\xe9")] * 6)
    save_spectra_file(tmp_path / "x.npz", known)
    loaded = load_spectra_file(tmp_path / "x.npz")
    assert loaded.classifier == {"name": "svm_linear", "C": 1}
    assert set(loaded.dataset.sources) == {"'a\\nb'", "'\\udce9'"}


@pytest.mark.parametrize(
    "kind, expected",
    [("images", "faces_hq.npz"), ("built_in_sample", "built_in_sample_faces_hq.npz"), ("published_features", None)],
)
def test_a_run_leaves_its_spectra_by_experiment_and_kind(kind, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("deepfake_spectra.spectra_file.REPOSITORY", tmp_path)
    data = ExperimentData(known_spectra().dataset, kind, (12,))
    save_run("faces_hq", data, Features(), {"name": "svm_linear", "C": 1.0}, groups=["a", "b", "c"] * 4)
    written = [entry.name for entry in tmp_path.rglob("*.npz")]
    assert written == ([expected] if expected else [])
    assert ("detect_fakes.py" in capsys.readouterr().out) == bool(expected)
    if expected:
        loaded = load_spectra_file(spectra_path("faces_hq", data.is_sample))
        assert loaded.is_sample == data.is_sample
        assert loaded.dataset.groups.tolist() == [0, 1, 2] * 4


def test_a_file_that_is_not_there_is_a_wrong_call(tmp_path):
    for path in (tmp_path / "nowhere.npz", tmp_path):
        with pytest.raises(UsageError, match="no such file"):
            load_spectra_file(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 100_000, npy(np.zeros(9)), pickle.dumps([1, 2, 3])])
def test_what_is_no_zip_is_refused(path, content):
    path.write_bytes(content)
    assert "not an .npz file, or cut short" in refusal(path)


def test_a_pickle_is_never_run(path, tmp_path):
    class Creates:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "created"),)

    for name in ("spectra", "labels", "groups", "headers", "settings"):
        np.savez(path, **arrays_of(path) | {name: np.array([Creates()] * N, dtype=object)}, allow_pickle=True)
        assert f"{name} is of type object" in refusal(path)
        save_spectra_file(path, known_spectra())
    np.savez(path, **arrays_of(path) | {"headers": np.zeros(N, [("width", "i4"), ("x", "O")])}, allow_pickle=True)
    assert "headers is of type" in refusal(path)
    assert not (tmp_path / "created").exists()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95, 0.999])
def test_a_file_cut_short_is_refused(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "cut short" in refusal(path)


def test_no_flipped_byte_goes_unnoticed_or_ends_in_a_traceback(path):
    content, good = path.read_bytes(), load_spectra_file(path)
    n_refused = 0
    for position in np.random.default_rng(0).choice(len(content), 400, replace=False):
        changed = bytearray(content)
        changed[position] ^= 0xFF
        path.write_bytes(changed)
        try:
            loaded = load_spectra_file(path)
        except ExperimentError:
            n_refused += 1
        else:  # a time stamp, or another byte that says nothing
            assert loaded[:5] == good[:5] and np.array_equal(loaded.dataset.spectra, good.dataset.spectra)
    assert n_refused > 300


def test_missing_additional_and_double_arrays_are_refused(path):
    members = members_of(path)
    for changed in (members | {"more": npy(1)}, {name: members[name] for name in members if name != "groups"}, {}):
        write_members(path, changed)
        assert "it holds" in refusal(path) or not changed
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as archive:
        for name in (*members, "spectra"):
            archive.writestr(f"{name}.npy", members[name])
    assert "it holds" in refusal(path)


def test_a_zip_bomb_is_refused_unread(path):
    members = members_of(path) | {"spectra": npy_header((N, 2_000_000)) + bytes(8 * N * 2_000_000)}
    write_members(path, members, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 400_000  # of 192 MB
    assert "is compressed" in refusal(path)
    content = path.read_bytes().replace(b"\x08\x00\x00\x00", b"\x00\x00\x00\x00")  # claims to be stored
    path.write_bytes(content)
    assert "refused" in refusal(path)


def test_parts_that_share_the_same_bytes_are_refused(path):
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\1\2")
    while at >= 0:  # every entry of the table of contents claims nearly the whole file
        content[at + 20 : at + 28] = struct.pack("<LL", len(content) - 100, len(content) - 100)
        at = content.find(b"PK\1\2", at + 4)
    path.write_bytes(content)
    assert "larger than the whole" in refusal(path)


def test_a_long_table_of_contents_is_refused_unread(path):
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(str(number), b"")
    tracemalloc.start()
    with pytest.raises(ExperimentError, match="more than six arrays"):
        load_spectra_file(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_what_could_make_the_end_of_a_zip_ambiguous_is_refused(path):
    content = path.read_bytes()
    path.write_bytes(content[:-2] + struct.pack("<H", 5) + b"hello")
    assert "cut short" in refusal(path)
    path.write_bytes(content[:-22] + b"PK\6\7" + bytes(16) + content[-22:])  # as of a zip of more than 4 GiB
    assert "more than six arrays" in refusal(path)


@pytest.mark.parametrize(
    "shape",
    ["(12, 99999999999)", "(10**9, 20)", "(12, 21)", "(-12, -20)", "(12, 20.0)", "(12, True)", "(240,)", "(12, 20, 1)",
     "(0, 20)", "'x'", "((12, 20),)", "(" * 300 + ")" * 300],
)  # fmt: skip
def test_a_declared_shape_that_is_not_that_of_the_bytes_is_refused(path, shape):
    write_members(path, members_of(path) | {"spectra": npy_header(shape) + bytes(8 * N * N_BINS)})
    refusal(path)


@pytest.mark.parametrize(
    "descr", ["'<f4'", "'>f8'", "'<c16'", "'|O'", "'|V8'", "('<f8', (10**8,))", "[('a', '<f8')]", "5"]
)
def test_another_type_is_refused(path, descr):
    write_members(path, members_of(path) | {"spectra": npy_header((N, N_BINS), descr) + bytes(8 * N * N_BINS)})
    refusal(path)


def test_other_npy_versions_are_refused(path):
    for version in (0, 2, 3, 9):
        header = npy_header((N, N_BINS), version=version)
        write_members(path, members_of(path) | {"spectra": header + bytes(8 * N * N_BINS)})
        assert "version" in refusal(path)


@pytest.mark.parametrize(
    "name, change, reason",
    [
        ("spectra", lambda a: np.where(a == a[3, 4], np.nan, a), "not finite"),
        ("spectra", lambda a: np.where(a == a[3, 4], np.inf, a), "not finite"),
        ("spectra", lambda a: a * 1e9, "no log powers"),
        ("spectra", lambda a: a[:-1], "different lengths"),
        ("spectra", lambda a: a[:, :1], "one value"),
        ("spectra", lambda a: a[:, :7], "n_bins"),
        ("spectra", lambda a: a.ravel(), "shape"),
        ("labels", lambda a: np.full_like(a, "real"), "the labels are real: need real and fake"),
        ("labels", lambda a: np.where(a == "real", "0", "1"), "the labels are 0, 1"),
        ("labels", lambda a: np.where(a == "real", "real", "f\nke"), "the labels are"),
        ("labels", lambda a: (a == "fake").astype(int), "labels is of type"),
        ("labels", lambda a: np.full(N, "a long word"), "labels is of type"),
        ("groups", lambda a: a.astype(float), "groups is of type"),
        ("groups", lambda a: a[:3], "different lengths"),
        ("sources", lambda a: np.full(N, "a\x1b[31m"), "cannot be printed"),
        ("sources", lambda a: np.full(N, "x" * 2000), "sources is of type"),
        ("sources", lambda a: np.full(N, 2**31 - 1, "<u4").view("<U1"), "refused"),  # no such character
        ("headers", lambda a: np.zeros(N, IMAGE_HEADER), "impossible size"),
        ("settings", lambda a: np.array("x" * 20_000), "settings is of type"),
        ("settings", lambda a: np.array([str(a)]), "settings is of shape"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused(path, name, change, reason):
    arrays = arrays_of(path)
    np.savez(path, **arrays | {name: change(arrays[name])})
    assert reason in refusal(path)


@pytest.mark.parametrize(
    "field, value",
    [("width", -3), ("height", 2**30), ("format", "EXE"), ("jpeg_quality", 101), ("subsampling", "\x1b")],
)
def test_headers_that_no_image_has_are_refused(path, field, value):
    arrays = arrays_of(path)
    arrays["headers"][field][5] = value
    np.savez(path, **arrays)
    assert "headers hold" in refusal(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "5", "null", "[" * 8000, "9" * 8000, "{}", '"' + "\\ud800" * 9 + '"'],
)
def test_settings_that_are_no_such_json_are_refused(path, text):
    np.savez(path, **arrays_of(path) | {"settings": text})
    refusal(path)


@pytest.mark.parametrize(
    "key, value",
    [
        ("format_version", 2), ("format_version", True), ("format_version", "1"), ("experiment", "other"),
        ("experiment", ["celeba"]), ("built_in_sample", 1), ("built_in_sample", None), ("features", None),
        ("features.convention", "Published"), ("features.crop", 0), ("features.precision", "float16"),
        ("features.n_bins", 21), ("features.n_bins", 20.0), ("features.normalise", "yes"), ("classifier", {}),
        ("classifier.name", "svm_poly"), ("classifier.name", {}), ("classifier.C", 0), ("classifier.C", -1),
        ("classifier.C", 1e300), ("classifier.C", float("nan")), ("classifier.C", "1"), ("classifier.gamma", True),
    ],
)  # fmt: skip
def test_settings_of_unknown_values_are_refused(path, key, value):
    arrays = arrays_of(path)
    settings = json.loads(str(arrays["settings"]))
    *outer, inner = key.split(".")
    (settings[outer[0]] if outer else settings)[inner] = value
    np.savez(path, **arrays | {"settings": json.dumps(settings)})
    refusal(path)


@pytest.mark.parametrize("key", ["format_version", "experiment", "built_in_sample", "features", "classifier"])
def test_settings_that_lack_something_say_what(path, key):
    arrays = arrays_of(path)
    settings = json.loads(str(arrays["settings"]))
    del settings[key]
    np.savez(path, **arrays | {"settings": json.dumps(settings)})
    assert f"'{key}' is missing" in refusal(path)


def test_additional_parameters_of_a_classifier_are_not_taken_over(path):
    arrays = arrays_of(path)
    settings = json.loads(str(arrays["settings"]))
    settings["classifier"]["max_iter"] = 5
    np.savez(path, **arrays | {"settings": json.dumps(settings)})
    assert load_spectra_file(path).classifier == {"name": "svm_rbf", "C": 6.37, "gamma": 0.86}


def test_spectra_of_altered_images_do_not_become_a_judge(capsys):
    save_run("faces_hq", SimpleNamespace(kind="images"), Features(alteration="jpeg 75"), {})
    assert capsys.readouterr().out == "the spectra of altered images are not kept for detect_fakes.py\n"
