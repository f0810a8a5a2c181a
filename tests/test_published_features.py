"""The authors' pickles are read, whoever wrote them, and nothing in a hostile one runs."""

import copyreg
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from deepfake_spectra.settings import ExperimentError
from deepfake_spectra.opencv import cv2
from deepfake_spectra.published_features import load_published_features
from radial_spectrum import normalise_by_first, radial_spectrum, resample_spectrum
from deepfake_spectra.image_spectra import FAKE, REAL

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
SPECTRA = np.linspace(1, 0.3, 12).reshape(4, 3)
LABEL = np.array([1.0, 1.0, 0.0, 0.0])  # floats, as in the authors' files


@pytest.fixture
def feature_file(tmp_path):
    """Return a function that writes bytes, or the pickle of anything else, and gives the path."""

    def write(content, protocol=4):
        path = tmp_path / "features.pkl"
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
        return path

    return write


def refusal(path):
    """Return the sentence with which the file is refused."""
    with pytest.raises(ExperimentError) as caught:
        load_published_features(path, fake_label=1)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ") and sentence.isprintable() and len(sentence) < 600
    return sentence


def array_opcodes(array, kind=None, shape=None):
    """Return a NumPy array in the opcodes of Python 2, where bytes are strings; `kind` and `shape` may tell lies."""
    content, kind = array.tobytes(), kind or array.dtype.str[1:].encode()
    sides = b"".join(b"J" + struct.pack("<i", side) for side in shape or array.shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(" + sides + b"t"
        b"cnumpy\ndtype\n(U" + bytes([len(kind)]) + kind + b"K\x00K\x01tR(K\x03U\x01<NNNK\x00K\x00K\x00tb"
        b"I00\nT" + struct.pack("<i", len(content)) + content + b"tb"
    )


def feature_opcodes(data, label):
    """Return the pickle of a feature file whose two entries are given as opcodes."""
    return b"\x80\x02}(U\x04data" + data + b"U\x05label" + label + b"u."


@pytest.mark.parametrize("module", [b"numpy.core.", b"numpy._core."])
@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("label_type", ["f8", ">f4", "i8", "u1"])
def test_every_protocol_and_numpy_gives_the_arrays_back(feature_file, module, protocol, order, label_type):
    content = pickle.dumps({"data": SPECTRA.copy(order), "label": LABEL.astype(label_type)}, protocol)
    if protocol == 4:  # names carry their length there, and stand in a frame that does
        content = content[:2] + content[11:]
        content = content.replace(b"\x16numpy._core.multiarray", bytes([len(module) + 10]) + b"numpy._core.multiarray")
    content = content.replace(b"numpy._core.", module)
    assert module in content
    spectra, labels = load_published_features(feature_file(content), fake_label=1)
    np.testing.assert_array_equal(spectra, SPECTRA)
    assert spectra.dtype == np.float64 and labels.tolist() == [FAKE, FAKE, REAL, REAL]


def test_a_pickle_of_python_2_gives_the_arrays_back(feature_file):
    path = feature_file(feature_opcodes(array_opcodes(SPECTRA), array_opcodes(LABEL)))
    spectra, labels = load_published_features(path, fake_label=0)
    np.testing.assert_array_equal(spectra, SPECTRA)
    assert labels.tolist() == [REAL, REAL, FAKE, FAKE]


class Attack:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, eval, exec, getattr, np.load, np.save, pickle.loads, copyreg.pickle])
def test_a_foreign_global_is_refused_by_name_and_does_not_run(feature_file, tmp_path, function, protocol):
    canary = tmp_path / "canary"
    code = f"touch {canary}" if function is os.system else f"open({str(canary)!r}, 'w')"
    features = {"data": [SPECTRA.tolist(), Attack(function, code)], "label": 0}
    assert f".{function.__name__}', which no array needs" in refusal(feature_file(features, protocol))
    assert not canary.exists()


@pytest.mark.parametrize(
    "module, name",
    [
        ("numpy", "load"),
        ("numpy", "ndarray.tofile"),
        ("numpy", "memmap"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("_codecs", "decode"),
        ("numpy.testing._private.utils", "runstring"),
        ("__main__", "a\x1b[2J" + "b" * 10**6),
    ],
)
def test_what_is_near_an_array_is_refused_too(feature_file, module, name):
    by_line = b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")R."
    instance = b"\x80\x02(i" + f"{module}\n{name}\n".encode() + b"."
    words = (b"X" + struct.pack("<I", len(word)) + word.encode() for word in (module, name))
    by_stack = b"\x80\x04" + b"".join(words) + b"\x93)R."
    for content in (by_line, instance, by_stack):
        assert f"{module}.{name}"[:20].split("\x1b")[0] in refusal(feature_file(content))


def test_a_registered_extension_is_refused(feature_file):
    copyreg.add_extension("os", "system", 200)
    try:
        assert "'os.system', which no array needs" in refusal(feature_file(b"\x80\x02\x82\xc8U\x04true\x85R."))
    finally:
        copyreg.remove_extension("os", "system", 200)


@pytest.mark.parametrize(
    "content, words",
    [
        (feature_opcodes(array_opcodes(SPECTRA, shape=(2**30, 2**30)), array_opcodes(LABEL)), "cannot reshape"),
        (feature_opcodes(array_opcodes(SPECTRA, kind=b"O8"), array_opcodes(LABEL)), "'O8', not of numbers"),
        (feature_opcodes(array_opcodes(SPECTRA, kind=b"V9"), array_opcodes(LABEL)), "'V9', not of numbers"),
        (feature_opcodes(array_opcodes(SPECTRA, kind=b"f8,O8"), array_opcodes(LABEL)), "'f8,O8', not of numbers"),
        (feature_opcodes(array_opcodes(SPECTRA), array_opcodes(LABEL, kind=b"f3")), "'f3', not of numbers"),
        (b"\x80\x04}" + b")" + b"\x85" * 10**6 + b"K\x00s.", "more than 1000 operations"),
        (b"\x80\x04}r\xff\xff\xff\x7f.", "more than 1000 operations or memo entries"),
        (b"\x80\x04}p2147483647\n.", "more than 1000 operations or memo entries"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".", "expected"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b".", "expected"),
        (b"\x80\x05}\x97.", "buffer"),
        (b"\x80\x02Pname\n.", "persistent"),
        (b"\x80\x02K\x01Q.", "persistent"),
        (b"\x80\x02]N}U\x06appendK\x01s\x86b.", "'append' is read-only"),
        (b"\x80\x02cnumpy\nndarray\n}U\x04nameK\x01sb.", "found no dict"),
    ],
)
def test_a_hostile_structure_is_refused(feature_file, content, words):
    assert words in refusal(feature_file(content))


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(40), b"mean,label\n1,0\n", bytes(100), b"\xff" * 100]
)
def test_what_is_no_pickle_is_refused(feature_file, content):
    assert "expected a pickle" in refusal(feature_file(content))


def test_a_file_cut_anywhere_is_refused(feature_file):
    whole = pickle.dumps({"data": SPECTRA, "label": LABEL}, 3)
    for length in range(0, len(whole), 3):
        refusal(feature_file(whole[:length]))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_flipped_bit_ends_in_arrays_or_in_one_sentence(feature_file, protocol):
    whole = pickle.dumps({"data": SPECTRA, "label": LABEL}, protocol)
    for position in range(len(whole)):
        broken = bytearray(whole)
        broken[position] ^= 1 << position % 8
        path = feature_file(bytes(broken))
        try:
            spectra, labels = load_published_features(path, fake_label=1)
        except ExperimentError:
            continue
        assert spectra.size == 12 and np.isfinite(spectra).all() and set(labels) == {REAL, FAKE}


@pytest.mark.parametrize(
    "features, words",
    [
        ([SPECTRA, LABEL], "found no dict with 'data' and 'label'"),
        ({"data": SPECTRA, "labels": LABEL}, "found no dict with 'data' and 'label'"),
        ({"data": SPECTRA.tolist(), "label": LABEL}, "'data' or 'label' is not an array"),
        ({"data": SPECTRA.astype(object), "label": LABEL}, "dtype 'O8', not of numbers"),
        ({"data": SPECTRA.astype(str), "label": LABEL}, "not of numbers"),
        ({"data": SPECTRA * 1j, "label": LABEL}, "dtype 'c16', not of numbers"),
        ({"data": SPECTRA[0], "label": LABEL}, "data of shape (3,)"),
        ({"data": SPECTRA[:, :0], "label": LABEL}, "data of shape (4, 0)"),
        ({"data": SPECTRA, "label": LABEL[:3]}, "data of shape (4, 3) and label of (3,)"),
        ({"data": SPECTRA, "label": LABEL[:, None]}, "label of (4, 1)"),
        ({"data": np.where(SPECTRA > 0.9, np.nan, SPECTRA), "label": LABEL}, "1 of 4 spectra"),
        ({"data": np.where(SPECTRA > 0.9, np.inf, SPECTRA), "label": LABEL}, "1 of 4 spectra"),
        ({"data": SPECTRA, "label": LABEL * 2}, "found the labels 0.0, 2.0; expected 0 and 1"),
        ({"data": SPECTRA, "label": LABEL * np.nan}, "found the labels nan; expected 0 and 1"),
        ({"data": SPECTRA, "label": LABEL * 0}, "found the labels 0.0; expected 0 and 1"),
    ],
)
def test_wrong_contents_are_named(feature_file, features, words):
    assert words in refusal(feature_file(features))


def test_a_file_too_large_to_be_one_is_refused(feature_file, monkeypatch):
    monkeypatch.setattr("deepfake_spectra.published_features.LARGEST_FILE", 2**20)
    assert "more than 1 MiB" in refusal(feature_file(bytes(2**20 + 1)))


def test_a_missing_file_is_named(tmp_path):
    assert "no such file" in refusal(tmp_path / "test_1000.pkl")


@pytest.mark.parametrize("name, fake_label, shape", [("celeba_low_1000", 1, (2000, 80)), ("test_1000", 0, (1000, 300))])
def test_the_authors_files_hold_as_many_fakes_as_reals_and_fakes_first(name, fake_label, shape):
    path = SHARED_DATA / "published_features" / f"{name}.pkl"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    spectra, labels = load_published_features(path, fake_label)
    assert spectra.shape == shape and np.all(spectra[:, 0] == 1)
    assert np.all(labels[: len(labels) // 2] == FAKE) and np.all(labels[len(labels) // 2 :] == REAL)


def test_the_authors_fakes_give_the_rows_that_they_released_as_fake():
    path, images = SHARED_DATA / "published_features" / "celeba_low_1000.pkl", SHARED_DATA / "celeba" / "fake"
    if not (path.exists() and images.exists()):
        pytest.skip(f"{path} or {images} is not here")
    released, labels = load_published_features(path, fake_label=1)
    for image in sorted(images.iterdir())[::10]:
        spectrum = radial_spectrum(cv2.imread(str(image), cv2.IMREAD_GRAYSCALE))
        distance = np.abs(released - normalise_by_first(resample_spectrum(spectrum, 80))).max(axis=1)
        assert distance.min() < 1e-10 and labels[distance.argmin()] == FAKE
