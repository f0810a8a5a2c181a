"""The authors' pickles are read, whoever wrote them, and nothing in a hostile one runs."""

import copyreg
import os
import pickle
import struct

import numpy as np
import pytest
from conftest import real_data
from pictures import picture

from deepfake_spectra.dataset import FAKE, PUBLISHED_FEATURES, REAL, Feature, ImageFolder
from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.image_files import read_gray
from deepfake_spectra.image_spectra import load_spectra
from deepfake_spectra.measurement import feature_of
from deepfake_spectra.published_features import load_published_features, original_lengths, published_dataset
from radial_spectrum import normalise_by_first, radial_spectrum, resample_spectrum

SPECTRA = np.linspace(1, 0.3, 12).reshape(4, 3)
LABEL = np.array([1.0, 1.0, 0.0, 0.0])  # floats, as in the authors' files
CELEBA_FEATURE = Feature(n_bins=80, normalise=True)


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


# --- what is read


@pytest.mark.parametrize("module", [b"numpy.core.", b"numpy._core."])
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_every_protocol_and_numpy_gives_the_arrays_back(feature_file, module, protocol):
    for order, label_type in (("C", "f8"), ("F", "i8"), ("C", ">f4"), ("F", "u1")):
        content = pickle.dumps({"data": SPECTRA.copy(order), "label": LABEL.astype(label_type)}, protocol)
        if protocol == 4:  # names carry their length there, and stand in a frame that does
            content = content[:2] + content[11:]
            length = bytes([len(module) + 10])
            content = content.replace(b"\x16numpy._core.multiarray", length + b"numpy._core.multiarray")
        content = content.replace(b"numpy._core.", module)
        assert module in content
        spectra, labels = load_published_features(feature_file(content), fake_label=1)
        np.testing.assert_array_equal(spectra, SPECTRA)
        assert spectra.dtype == np.float64 and labels.tolist() == [FAKE, FAKE, REAL, REAL]


def test_a_pickle_of_python_2_gives_the_arrays_back_and_the_label_of_a_fake_is_the_callers(feature_file):
    path = feature_file(feature_opcodes(array_opcodes(SPECTRA), array_opcodes(LABEL)))
    spectra, labels = load_published_features(path, fake_label=0)
    np.testing.assert_array_equal(spectra, SPECTRA)
    assert labels.tolist() == [REAL, REAL, FAKE, FAKE]


def test_a_data_set_of_the_authors_has_one_source_a_class_and_says_what_it_holds(feature_file):
    path = feature_file({"data": SPECTRA, "label": LABEL})
    dataset = published_dataset(path, Feature())
    np.testing.assert_array_equal(dataset.spectra, SPECTRA)
    assert dataset.labels.tolist() == [FAKE, FAKE, REAL, REAL] and dataset.origin is PUBLISHED_FEATURES
    assert dataset.sources.tolist() == ["fake", "fake", "real", "real"] and not dataset.is_grouped
    assert dataset.feature == Feature(n_bins=3) and dataset.sizes() == []
    path = feature_file({"data": SPECTRA / SPECTRA[:, :1], "label": LABEL})
    assert published_dataset(path, Feature("published_2019", n_bins=3)).feature == Feature(
        "published_2019", n_bins=3, normalise=True
    )


@pytest.mark.parametrize(
    "feature, words",
    [
        (Feature("centred"), "of CONVENTION 'published' or 'published_2019', .* without images: found 'centred'"),
        (Feature(crop="centre_third"), "of CROP 'none', which cannot be changed without images: found 'centre_third'"),
        (Feature(precision="float32"), "of PRECISION 'float64'.*: found 'float32'"),
        (Feature(alteration="jpeg 75"), "of ALTERATION '', .*: found 'jpeg 75'"),
        (Feature(n_bins=80), "3 values a spectrum, expected N_BINS = 80; it is of another experiment"),
    ],
)
def test_another_feature_than_the_authors_is_refused(feature_file, feature, words):
    path = feature_file({"data": SPECTRA, "label": LABEL})
    with pytest.raises(UsageError, match=f"features.pkl: (the authors' features are )?{words}"):
        published_dataset(path, feature)


def test_rows_written_as_the_authors_did_are_those_of_the_images(feature_file):
    """Beside the authors' own file, below: pictures here, of two sizes, reals by the convention of 2019."""
    reals = [picture(seed, (218, 178)) for seed in range(3)]
    fakes = [picture(seed, (128, 128)) for seed in range(3, 6)]
    earlier = Feature("published_2019", n_bins=80, normalise=True)
    rows = [feature_of(gray, earlier) for gray in fakes + reals]
    path = feature_file({"data": np.array(rows), "label": np.array([1.0] * 3 + [0.0] * 3)}, protocol=2)
    dataset = published_dataset(path, earlier)
    assert dataset.feature == earlier and dataset.labels.tolist() == [FAKE] * 3 + [REAL] * 3
    for gray, row in zip(fakes + reals, dataset.spectra, strict=True):
        later = feature_of(gray, CELEBA_FEATURE)
        np.testing.assert_allclose(row, feature_of(gray, dataset.feature), rtol=1e-12)
        assert np.allclose(row, later, rtol=1e-12) == (gray.shape == (128, 128))  # on squares the two are one


def test_the_released_celeba_rows_are_those_of_the_released_fakes_and_of_reals_by_the_convention_of_2019(tmp_path):
    celeba, path = real_data("celeba"), real_data("published_features") / "celeba_low_1000.pkl"
    dataset = published_dataset(path, CELEBA_FEATURE)
    assert dataset.spectra.shape == (2000, 80) and dataset.feature == CELEBA_FEATURE
    assert dataset.labels.tolist() == [FAKE] * 1000 + [REAL] * 1000
    images = ImageFolder(celeba, {"real": REAL, "fake": FAKE}, tmp_path)
    ours = load_spectra(images, CELEBA_FEATURE, 120).of_sources(["fake"]).spectra
    nearest = [np.abs(dataset.spectra - spectrum).max(axis=1).argmin() for spectrum in ours]
    assert len(set(nearest)) == 60 and np.all(dataset.labels[nearest] == FAKE)
    np.testing.assert_allclose(ours, dataset.spectra[nearest], atol=1e-10, rtol=0)
    earlier = Feature("published_2019", n_bins=80, normalise=True)
    for name, row in (("017736.jpg", 1136), ("189147.jpg", 1185)):
        [image] = celeba.glob(f"real/**/{name}")
        np.testing.assert_allclose(feature_of(read_gray(image).gray, earlier), dataset.spectra[row], atol=1e-11, rtol=0)


def test_the_authors_frames_hold_as_many_fakes_as_reals_and_fakes_first():
    spectra, labels = load_published_features(real_data("published_features") / "test_1000.pkl", fake_label=0)
    assert spectra.shape == (1000, 300) and np.all(spectra[:, 0] == 1)
    assert labels.tolist() == [FAKE] * 500 + [REAL] * 500


# --- what is hostile


class Attack:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.system, eval, getattr, np.load, pickle.loads, copyreg.pickle])
def test_a_foreign_global_is_refused_by_name_and_does_not_run(feature_file, tmp_path, function):
    canary = tmp_path / "canary"
    code = f"touch {canary}" if function is os.system else f"open({str(canary)!r}, 'w')"
    features = {"data": [SPECTRA.tolist(), Attack(function, code)], "label": 0}
    for protocol in range(6):
        assert f".{function.__name__}', which no array needs" in refusal(feature_file(features, protocol))
    assert not canary.exists()
    eval(f"os.system({code!r})" if function is os.system else code)  # the same, run: the test can fail
    assert canary.exists()


@pytest.mark.parametrize(
    "module, name",
    [
        ("numpy", "load"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("_codecs", "decode"),
        ("__main__", "a\x1b[2J" + "b" * 10**6),
    ],
)
def test_what_is_near_an_array_is_refused_too_however_it_is_asked_for(feature_file, module, name):
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
        (feature_opcodes(array_opcodes(SPECTRA, kind=b"f8,O8"), array_opcodes(LABEL)), "'f8,O8', not of numbers"),
        (feature_opcodes(array_opcodes(SPECTRA), array_opcodes(LABEL, kind=b"f3")), "'f3', not of numbers"),
        (b"\x80\x04}" + b")" + b"\x85" * 10**6 + b"K\x00s.", "more than 1000 operations"),  # nested a million deep
        (b"\x80\x04}r\xff\xff\xff\x7f.", "more than 1000 operations or memo entries"),  # 64 GB
        (b"\x80\x04}p2147483647\n.", "more than 1000 operations or memo entries"),
        (b"\x80\x02})" + b"2\x86" * 24 + b"K\x00s.", "more than 10 objects used again"),  # a key of 2^24 tuples
        (b"\x80\x02})" + b"q\x00h\x00\x86" * 24 + b"K\x00s.", "more than 10 objects used again"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".", "expected"),  # more bytes than there are
        (b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b".", "expected"),
        (b"\x80\x05}\x97.", "buffer"),
        (b"\x80\x02Pname\n.", "persistent"),
        (b"\x80\x02K\x01Q.", "persistent"),
        (b"\x80\x02]N}U\x06appendK\x01s\x86b.", "'append' is read-only"),
        (b"\x80\x02cnumpy\nndarray\n}U\x04nameK\x01sb.", "refused (no dict"),
    ],
)
def test_a_hostile_structure_is_refused(feature_file, content, words):
    assert words in refusal(feature_file(content))


# --- what is broken or wrong


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(40), b"mean,label\n1,0\n", b"\xff" * 100])
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
        ([SPECTRA, LABEL], "refused (no dict with 'data' and 'label'"),
        ({"data": SPECTRA, "labels": LABEL}, "refused (no dict with 'data' and 'label'"),
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
        (
            {"data": np.where(SPECTRA > 0.9, 1e308, SPECTRA), "label": LABEL},
            "not finite, or none of a spectrum",
        ),
        ({"data": np.where(SPECTRA > 0.9, -1e30, SPECTRA), "label": LABEL}, "expected -1e+06 to 1e+06"),
        ({"data": np.ones_like(SPECTRA), "label": LABEL}, "all 4 spectra are the same"),
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


# --- the length before resampling


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("n_bins", [80, 101])
def test_the_length_before_resampling_is_found_again(n_bins, normalise):
    lengths = [4, 5, 19, 40, n_bins - 2, n_bins - 1, 33]
    random = np.random.default_rng(0)
    spectra = np.array([resample_spectrum(random.normal(150, 30, length), n_bins) for length in lengths])
    assert original_lengths(normalise_by_first(spectra) if normalise else spectra).tolist() == lengths


def test_a_spectrum_that_was_not_lengthened_has_no_length_before():
    spectra = np.random.default_rng(0).normal(150, 30, (3, 80))
    longer = resample_spectrum(np.random.default_rng(1).normal(150, 30, (3, 200)), 80)
    assert original_lengths(np.vstack([spectra, longer])).tolist() == [0] * 6


@pytest.mark.parametrize("side, length", [(61, 41), (64, 43), (100, 69)])
def test_the_length_tells_the_size_of_the_image(side, length):
    spectrum = radial_spectrum(picture(0, (side, side)))
    assert len(spectrum) == length
    assert original_lengths(resample_spectrum(spectrum, 80)[None]).tolist() == [length]
