"""Folders become labelled spectra: what is read and what is refused, and a cache that cannot be seen in the numbers."""

import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import by_opencv, by_pillow, colour_picture, picture, write_source
from PIL import Image, JpegImagePlugin, PngImagePlugin

from deepfake_spectra import image_files
from deepfake_spectra import image_spectra as spectrum_dataset
from deepfake_spectra.settings import REPOSITORY, ExperimentError, UsageError
from deepfake_spectra.image_files import UnreadableImage, list_images, read_gray
from deepfake_spectra.opencv import cv2
from deepfake_spectra.published_features import load_published_features
from radial_spectrum import radial_spectrum, resample_spectrum
from deepfake_spectra.image_spectra import FAKE, REAL, Features, load_spectra

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
LABELS = {"real": REAL, "fake": FAKE}
GREY, COLOUR = picture(), colour_picture()
TURNED = Image.Exif()
TURNED[274] = 6


@pytest.fixture
def data_dir(tmp_path):
    """Return a folder with 12 images of either class."""
    write_source(tmp_path / "data/real", 12)
    write_source(tmp_path / "data/fake", 12, first_seed=100, blur=1.5)
    return tmp_path / "data"


@pytest.fixture
def load(data_dir, tmp_path):
    """Return a function that loads the spectra of both sources, by default all of them and from one cache."""

    def load(n_per_source=100, features=Features(), cache="cache", **options):
        return load_spectra(data_dir, LABELS, n_per_source, features, tmp_path / cache, **options)

    return load


@pytest.fixture
def file(tmp_path):
    """Return a function that writes bytes to a file and gives its path."""

    def write(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def refusal(path):
    """Return why an image cannot be read."""
    with pytest.raises(UnreadableImage) as caught:
        read_gray(path)
    return str(caught.value)


def same(first, second):
    """Tell whether two data sets are equal to the last bit."""
    return (
        first.paths == second.paths
        and np.array_equal(first.headers, second.headers)
        and np.array_equal(first.spectra, second.spectra)
        and first.remarks == second.remarks
    )


# --- which files


def test_images_are_listed_by_content_and_sorted(tmp_path):
    png, jpeg = by_opencv(GREY), by_opencv(GREY, ".jpg")
    files = {
        "z.gif": by_pillow(GREY, "GIF"), "renamed.jpg": png, "no_ending": jpeg, "B/UPPER.JPG": jpeg,
        "B/a.BMP": by_opencv(GREY, ".bmp"), "b.WebP": by_opencv(GREY, ".webp"), "motorola.TIFF": by_pillow(GREY, "TIFF").replace(b"II*\0", b"MM\0*"),
    }  # fmt: skip
    others = {"text.jpg": b"an error page", "empty.PNG": b""}
    passed_over = {"notes.txt": b"text", ".hidden.png": png, ".folder/hidden.png": png}
    for name, content in (files | others | passed_over).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    images, pretenders = list_images(tmp_path)
    assert images == sorted(tmp_path / name for name in files)
    assert pretenders == [(tmp_path / "empty.PNG", "empty file"), (tmp_path / "text.jpg", "not an image")]


def test_a_folder_that_cannot_be_listed_is_no_empty_folder(data_dir, monkeypatch):
    (data_dir / "real/locked").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="locked"):
        list_images(data_dir / "real")


def test_the_first_k_of_a_draw_are_the_draw_of_k(load):
    many, few = load(8), load(3)
    assert many.counts() == {"real": 8, "fake": 8} and few.counts() == {"real": 3, "fake": 3}
    assert few.paths == many.paths[:3] + many.paths[8:11]
    assert few.labels.tolist() == [REAL] * 3 + [FAKE] * 3 and few.sources.tolist() == ["real"] * 3 + ["fake"] * 3


def test_a_draw_depends_on_the_seed_alone(load):
    first = load(5)
    assert load(5, Features("centred", "centre_third")).paths == load(5, cache="other").paths == first.paths
    assert load(5, seed=1).paths != first.paths


def test_a_source_with_fewer_images_gives_all_it_has(load, data_dir):
    for number in range(9):
        (data_dir / f"fake/{number:03}.png").unlink()
    assert load(10).counts() == {"real": 10, "fake": 3}


def test_an_unreadable_image_is_named_counted_and_replaced_by_the_next_of_the_draw(load, data_dir):
    drawn = load(5).paths[:5]
    path = data_dir / drawn[1]
    path.write_bytes(path.read_bytes()[:-100])
    for attempt in range(2):  # computed, and from the cache
        dataset = load(4, max_unreadable=0.2)
        assert dataset.paths[:4] == [drawn[0], *drawn[2:]]
        assert dataset.skipped == [(drawn[1], "cut short or damaged PNG")]


@pytest.mark.parametrize("n_broken", [1, 3, 12])
def test_more_than_max_unreadable_ends_the_run_and_as_many_do_not(load, data_dir, n_broken):
    for path in sorted((data_dir / "real").iterdir())[:n_broken]:
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ExperimentError, match=rf"^{n_broken} of 24 .* MAX_UNREADABLE = .* real/00\d\.png \(cut"):
        load(max_unreadable=n_broken / 24 - 0.001)
    assert len(load(max_unreadable=n_broken / 24).skipped) == n_broken


def test_files_that_are_no_images_count_among_all_that_are_listed_not_among_a_small_draw(load, data_dir):
    (data_dir / "real/error.jpg").write_text("not found")
    assert load(2, max_unreadable=1 / 25).skipped == [("real/error.jpg", "not an image")]
    with pytest.raises(ExperimentError, match="^1 of 25 files"):
        load(2, max_unreadable=1 / 26)


@pytest.mark.parametrize(
    "labels, error, words",
    [
        ({"real": 0, "fakes": 1}, UsageError, "no source 'fakes' there; found empty, fake, real"),
        ({"real": 0, "/tmp": 1}, UsageError, "no source '/tmp' there"),
        ({"real": 0, "empty": 1}, ExperimentError, "found no image, need at least one"),
        ({"real": 0, "real/": 1}, UsageError, "share no image"),
        ({".": 0, "fake": 1}, UsageError, "share no image"),
    ],
)
def test_wrong_sources_are_named(data_dir, tmp_path, labels, error, words):
    (data_dir / "empty").mkdir()
    with pytest.raises(error, match=words):
        load_spectra(data_dir, labels, 2, Features(), tmp_path / "cache")


def test_groups_are_what_the_caller_says_and_each_image_its_own_by_default(load):
    assert not load().is_grouped
    dataset = load(group_of=lambda path: path.stem)
    assert dataset.is_grouped and dataset.groups.tolist() == [Path(path).stem for path in dataset.paths]


def test_rows_of_some_sources_stay_together(load):
    dataset = load(4)
    fakes = dataset.of_sources(["fake"])
    assert fakes.paths == dataset.paths[4:] and fakes.counts() == {"fake": 4} and set(fakes.labels) == {FAKE}
    assert np.array_equal(fakes.spectra, dataset.spectra[4:]) and np.array_equal(fakes.headers, dataset.headers[4:])


# --- what is read


@pytest.mark.parametrize(
    "content, remarks",
    [
        (by_opencv(COLOUR), ()),
        (by_opencv(COLOUR, ".jpg"), ()),
        (by_pillow(COLOUR, "JPEG", progressive=True), ()),
        (by_opencv(COLOUR, ".webp"), ()),
        (by_opencv(COLOUR, ".bmp"), ()),
        (by_opencv(COLOUR, ".tif"), ()),
        (by_pillow(COLOUR, "PNG", "P"), ()),
        (by_pillow(COLOUR, "MPO", save_all=True, append_images=[Image.fromarray(COLOUR)]), ()),
        (by_opencv(GREY), ("grey",)),
        (by_opencv(GREY, ".jpg"), ("grey",)),
        (by_pillow(GREY, "TIFF", "1"), ("grey",)),
        (by_opencv(GREY.astype(np.uint16) * 257), ("16-bit", "grey")),
        (by_opencv(COLOUR.astype(np.uint16) * 257), ("16-bit",)),
        (by_opencv(GREY.astype(np.uint16) * 257, ".tif"), ("16-bit", "grey")),
        (by_opencv(COLOUR.astype(np.uint16) * 257, ".tif"), ("16-bit",)),
        (by_opencv(np.dstack([COLOUR, GREY])), ("alpha",)),
        (by_opencv(np.dstack([COLOUR, GREY]), ".webp"), ("alpha",)),
        (by_pillow(GREY, "PNG", "LA"), ("alpha", "grey")),
        (by_pillow(COLOUR, "PNG", "P", transparency=0), ("alpha",)),
        (by_pillow(COLOUR, "JPEG", "CMYK"), ("CMYK",)),
        (by_pillow(COLOUR, "TIFF", "CMYK"), ("CMYK",)),
        (by_pillow(COLOUR, "JPEG", exif=TURNED), ("turned",)),
        (by_pillow(COLOUR, "PNG", exif=TURNED), ("turned",)),
        (by_pillow(COLOUR, "WEBP", exif=TURNED), ("turned",)),
        (by_pillow(COLOUR, "TIFF", tiffinfo={274: 3}), ("turned",)),
    ],
)
def test_reading_equals_the_papers_reader_and_says_what_was_changed(file, content, remarks):
    path = file(content)
    image = read_gray(path)
    np.testing.assert_array_equal(image.gray, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    assert image.remarks == remarks
    assert image.gray.shape == ((64, 48) if "turned" in remarks and image.header["format"] != "TIFF" else (48, 64))


def test_what_was_changed_is_counted_in_the_data_set(load, data_dir):
    for number in range(3):
        (data_dir / f"real/{number:03}.png").write_bytes(by_opencv(colour_picture(number).astype(np.uint16) * 257))
    expected = [
        "3 images hold 16 bits a channel; reduced to 8, as the paper's reader does",
        "21 images are grey already",
    ]
    assert load().remarks == expected
    assert load().remarks == expected  # from the cache


def frames(kind):
    """Return the bytes of a file with two pictures."""
    return by_pillow(COLOUR, kind, save_all=True, append_images=[Image.fromarray(colour_picture(1))])


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "empty file"),
        (b"an error page", "damaged header"),
        (frames("PNG"), "PNG with 2 frames: expected a still image"),
        (frames("WEBP"), "WEBP with 2 frames: expected a still image"),
        (frames("TIFF"), "TIFF with 2 frames: expected a still image"),
        (frames("GIF"), "GIF: expected JPEG, PNG, BMP, TIFF, WEBP"),
        (by_opencv(GREY.astype(np.float32), ".tif"), "32 bits a channel: expected 8 or 16"),
        (by_pillow(GREY, "TIFF", "I"), "32 bits a channel: expected 8 or 16"),
    ],
)
def test_what_has_no_grey_still_picture_is_refused(file, content, words):
    assert words in refusal(file(content))


def test_a_missing_file_is_refused_by_the_systems_word(tmp_path):
    assert refusal(tmp_path / "none.png") == "No such file or directory"


@pytest.mark.parametrize(
    "pixels, crop, words",
    [
        (picture(shape=(8, 20)), "none", "20x8: needs two sides of at least 9"),
        (picture(shape=(20, 8)), "none", "8x20: needs two sides of at least 9"),
        (picture(shape=(2, 2)), "centre_third", "2x2: needs"),
        (
            picture(shape=(20, 24)),
            "centre_third",
            "24x20, too small once altered or cropped: needs two sides of at least 9",
        ),
        (np.full((48, 64), 7, np.uint8), "none", "blank: every pixel is 7"),
    ],
)
def test_pictures_without_a_spectrum_are_refused(load, data_dir, pixels, crop, words):
    (data_dir / "real/new.png").write_bytes(by_opencv(pixels))
    [(name, reason)] = load(features=Features(crop=crop), max_unreadable=0.1).skipped
    assert name == "real/new.png" and words in reason


@pytest.mark.parametrize("side, crop", [(9, "none"), (25, "centre_third")])
def test_the_smallest_picture_that_has_a_spectrum_is_read(load, data_dir, side, crop):
    (data_dir / "real/new.png").write_bytes(by_opencv(picture(shape=(side, side))))
    assert "real/new.png" in load(features=Features(crop=crop)).paths


CUT = {
    "JPEG": by_opencv(COLOUR, ".jpg"),
    "progressive JPEG": by_pillow(COLOUR, "JPEG", progressive=True),
    "JPEG with restart markers": by_opencv(COLOUR, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "PNG": by_opencv(COLOUR),
    "16-bit PNG": by_opencv(COLOUR.astype(np.uint16) * 257),
    "WebP": by_opencv(COLOUR, ".webp", cv2.IMWRITE_WEBP_QUALITY, 80),
    "lossless WebP": by_pillow(COLOUR, "WEBP", lossless=True),
    "BMP": by_opencv(COLOUR, ".bmp"),
    "TIFF": by_opencv(COLOUR, ".tif"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, which pytest switches on again
@pytest.mark.parametrize("name", CUT)
def test_a_file_cut_anywhere_is_refused(file, name):
    whole = CUT[name]
    assert read_gray(file(whole)).gray.shape == (48, 64)
    for length in [*range(1, len(whole), len(whole) // 40), len(whole) - 2, len(whole) - 1]:
        refusal(file(whole[:length]))


def test_a_jpeg_cut_short_is_refused_where_imread_returns_a_full_picture(file):
    path = file(CUT["JPEG"][: len(CUT["JPEG"]) * 2 // 3])
    assert cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).shape == (48, 64)
    assert refusal(path) == "cut short or damaged JPEG"


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, which pytest switches on again
@pytest.mark.parametrize("name", CUT)
def test_a_damaged_file_ends_in_a_picture_or_in_a_reason(file, name):
    random = np.random.default_rng(0)
    for _ in range(30):
        content = bytearray(CUT[name])
        for position in random.integers(0, min(300, len(content)), 3):
            content[position] = random.integers(256)
        measured = spectrum_dataset._measure_file(file(content), Features())
        assert isinstance(measured, UnreadableImage) or np.isfinite(measured.spectrum).all()


def test_a_decoder_that_raises_is_a_reason(file, monkeypatch):
    def refuse(*_):
        raise cv2.error("size.height <= CV_IO_MAX_IMAGE_HEIGHT")

    monkeypatch.setattr(cv2, "imdecode", refuse)
    assert refusal(file(CUT["TIFF"])) == "cut short or damaged TIFF"


def test_a_huge_picture_is_refused_from_its_header(file, monkeypatch):
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    content = by_opencv(GREY)
    monkeypatch.setattr(cv2, "imdecode", None)
    path = file(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    assert refusal(path) == "60000x60000: more than 100,000,000 pixels"


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WebP", "BMP", "TIFF"])
def test_a_header_is_read_without_decoding(name, monkeypatch):
    for module in (Image.Image, PngImagePlugin.PngImageFile, JpegImagePlugin.JpegImageFile):
        monkeypatch.setattr(module, "load", None)
    header, _ = image_files._read_header(CUT[name])
    assert (header["width"], header["height"], header["format"]) == (64, 48, name.upper())


@pytest.mark.parametrize(
    "save",
    [lambda q: by_pillow(COLOUR, "JPEG", quality=q), lambda q: by_opencv(COLOUR, ".jpg", cv2.IMWRITE_JPEG_QUALITY, q)],
    ids=["Pillow", "OpenCV"],
)
def test_jpeg_quality_is_the_one_that_it_was_saved_with(file, save):
    assert [read_gray(file(save(quality))).header["jpeg_quality"] for quality in range(1, 101)] == [*range(1, 101)]


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_chroma_subsampling_is_the_one_that_it_was_saved_with(file, subsampling):
    assert read_gray(file(by_pillow(COLOUR, "JPEG", subsampling=subsampling))).header["subsampling"] == subsampling


def test_what_a_format_does_not_have_is_zero_or_empty(file):
    assert read_gray(file(by_opencv(COLOUR))).header.tolist() == (64, 48, "PNG", 0, "")
    assert read_gray(file(by_opencv(GREY, ".jpg"))).header["subsampling"] == ""


# --- what is computed


@pytest.mark.parametrize("convention", ["published", "centred"])
def test_rows_are_the_spectra_of_the_files(load, data_dir, convention):
    dataset = load(3, Features(convention))
    for path, spectrum in zip(dataset.paths, dataset.spectra):
        gray = cv2.imread(str(data_dir / path), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(spectrum, radial_spectrum(gray, convention))


def test_one_thread_and_many_give_the_same(load):
    assert same(load(n_threads=1), load(n_threads=4, cache="other"))


@pytest.mark.parametrize("n_bins, length", [(None, 43), (20, 20), (60, 60)])
def test_mixed_sizes_get_one_length_and_a_warning_with_the_sizes(load, data_dir, n_bins, length):
    write_source(data_dir / "fake", 12, (64, 64))
    write_source(data_dir / "real", 12, (97, 100))
    dataset = load(n_bins=n_bins)
    assert dataset.spectra.shape == (24, length)
    assert dataset.remarks[0].startswith("12 of 100x97, 12 of 64x64: sizes differ")
    assert "learned their sizes" in dataset.remarks[0]
    own = radial_spectrum(cv2.imread(str(data_dir / dataset.paths[0]), cv2.IMREAD_GRAYSCALE))
    np.testing.assert_array_equal(dataset.spectra[0], resample_spectrum(own, length))


def test_sizes_whose_spectra_are_equally_long_are_warned_of_too(load, data_dir):
    write_source(data_dir / "fake", 12, (100, 100))
    write_source(data_dir / "real", 12, (60, 128))
    dataset = load()
    assert len(radial_spectrum(picture(shape=(100, 100)))) == len(radial_spectrum(picture(shape=(60, 128)))) == 69
    assert dataset.remarks[0].startswith("12 of 128x60, 12 of 100x100: sizes differ")


def test_one_size_is_no_remark_whatever_the_length(load):
    assert load(n_bins=20).remarks == ["24 images are grey already"]


def test_normalised_spectra_begin_with_one(load):
    raw, normalised = load(), load(normalise=True, n_bins=None)
    assert np.all(normalised.spectra[:, 0] == 1)
    np.testing.assert_allclose(normalised.spectra * raw.spectra[:, :1], raw.spectra, rtol=1e-12)


@pytest.mark.skipif(not (SHARED_DATA / "celeba").is_dir(), reason="needs ../shared/data/celeba")
def test_the_authors_fakes_give_the_rows_that_they_released(tmp_path):
    dataset = load_spectra(SHARED_DATA / "celeba", LABELS, 60, Features(), tmp_path, n_bins=80, normalise=True)
    released, labels = load_published_features(SHARED_DATA / "published_features/celeba_low_1000.pkl", fake_label=1)
    released_fakes = released[labels == FAKE]
    fakes = dataset.of_sources(["fake"]).spectra
    nearest = [np.abs(released_fakes - spectrum).max(axis=1).argmin() for spectrum in fakes]
    assert len(set(nearest)) == 60
    np.testing.assert_allclose(fakes, released_fakes[nearest], atol=1e-10, rtol=0)
    assert dataset.remarks[0].startswith("60 of 178x218, 60 of 128x128: sizes differ")


# --- the cache


@pytest.fixture
def spoken(capsys):
    """Return a function that gives the line which the last load printed."""
    return lambda: capsys.readouterr().out.splitlines()[-1].split("spectra: ")[1]


def test_a_second_run_computes_nothing_and_gives_the_same(load, spoken, monkeypatch):
    first = load()
    assert spoken().startswith("0 from") and same(first, load(cache="other"))
    monkeypatch.setattr(spectrum_dataset, "_measure_file", None)
    assert same(load(), first) and spoken().startswith("24 from")


def test_a_changed_file_alone_is_computed_again(load, data_dir, spoken):
    load()
    (data_dir / "real/003.png").write_bytes(by_opencv(picture(999)))
    dataset = load()
    said = spoken()
    assert said.startswith("23 from") and said.endswith(", 1 computed; 1 of them because the file has changed")
    assert same(dataset, load(cache="other"))
    spoken()
    load()
    assert spoken().startswith("24 from")


def test_a_touched_file_is_computed_again(load, data_dir, spoken):
    load()
    os.utime(data_dir / "real/003.png", (0, 0))
    load()
    assert spoken().startswith("23 from")


def test_new_files_alone_are_computed(load, data_dir, spoken):
    load()
    write_source(data_dir / "real/more", 5, first_seed=50)
    load()
    said = spoken()
    assert said.startswith("24 from") and said.endswith(", 5 computed")


def test_a_larger_draw_computes_the_difference(load, spoken):
    load(5)
    load(8)
    said = spoken()
    assert said.startswith("10 from") and said.endswith(", 6 computed")


OTHERS = [Features("centred"), Features(crop="centre_third"), Features(precision="float32")]


@pytest.mark.parametrize("other", OTHERS)
def test_other_features_are_not_mixed_up_and_said(load, spoken, other):
    first = load()
    spoken()
    assert same(load(features=other), load(features=other, cache="other"))
    assert not np.array_equal(load(features=other).spectra, first.spectra)
    assert same(load(), first)


@pytest.mark.parametrize("other", OTHERS)
def test_why_all_is_computed_again_is_said(load, spoken, other):
    load()
    spoken()
    load(features=other)
    assert spoken().endswith("24 computed; the cache holds spectra of other settings or folders only")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"\x93NUMPY" + content,
        lambda content: b"garbage" * 1000,
        lambda content: content.replace(b"PK\x01\x02", b"PK\x01\x03", 1),
        lambda content: content[:-200] + bytes(100) + content[-100:],
        lambda content: content.replace(content[2000:2008], b"\0\1\2\3\4\5\6\7", 1),
    ],
)
def test_a_damaged_cache_file_is_said_and_computed_again(load, tmp_path, capsys, damage):
    first = load()
    [path] = (tmp_path / "cache").iterdir()
    path.write_bytes(damage(path.read_bytes()))
    capsys.readouterr()
    assert same(load(), first)
    said = capsys.readouterr().out
    assert f"{path}: damaged, its spectra are computed again\n" in said and "24 computed" in said


def test_bytes_changed_anywhere_in_a_cache_file_are_never_believed(load, tmp_path):
    first = load(2)
    [path] = (tmp_path / "cache").iterdir()
    whole, random = path.read_bytes(), np.random.default_rng(0)
    directory = whole.index(b"PK\x01\x02")
    for position in [*random.integers(0, len(whole), 40), *random.integers(directory, len(whole), 160)]:
        for file in (tmp_path / "cache").iterdir():
            file.unlink()
        content = bytearray(whole)
        content[position] ^= random.integers(1, 256)
        path.write_bytes(content)
        assert same(load(2, n_threads=1), first)


SLOW_RUN = """
import sys, time
from pathlib import Path
from deepfake_spectra import spectrum_cache
from deepfake_spectra import image_spectra as spectrum_dataset
from deepfake_spectra.settings import run

spectrum_cache.IMAGES_PER_CACHE_FILE = 10
measure = spectrum_dataset._measure_file

def measure_slowly(path, features):
    time.sleep(0.01)
    return measure(path, features)

spectrum_dataset._measure_file = measure_slowly
data_dir, cache = map(Path, sys.argv[1:])
run(lambda: len(spectrum_dataset.load_spectra(
    data_dir, {"real": 0, "fake": 1}, 150, spectrum_dataset.Features(), cache, n_threads=2)) and 0)
"""


@pytest.fixture
def stopped(data_dir, tmp_path):
    """Return a function that starts a slow run over 300 images, sends it a signal in the middle, and gives its end."""
    for number in range(12, 150):
        for source in LABELS:
            os.link(data_dir / source / f"{number % 12:03}.png", data_dir / source / f"{number:03}.png")

    def stop(number):
        command = [sys.executable, "-c", SLOW_RUN, data_dir, tmp_path / "cache"]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=REPOSITORY, **streams) as process:
            while len([*(tmp_path / "cache").glob("[!.]*.npz")]) < 3:
                assert process.poll() is None, process.communicate()
                time.sleep(0.01)
            process.send_signal(number)
            output, error = process.communicate()
        return process.returncode, output, error

    return stop


def test_a_run_goes_on_after_kill_9(load, stopped, spoken):
    status, _, _ = stopped(signal.SIGKILL)
    assert status == -signal.SIGKILL
    dataset = load()
    n_kept = int(spoken().split(" from")[0])
    assert 30 <= n_kept < 300 and n_kept % 10 == 0
    assert same(dataset, load(cache="other"))


def test_ctrl_c_says_what_is_kept_and_keeps_it(load, stopped, spoken):
    status, output, error = stopped(signal.SIGINT)
    sentence = error.splitlines()[-1]
    assert status == 130 and output == "" and "Traceback" not in error
    assert (
        "interrupted; " in sentence and "kept" in sentence and sentence.endswith("run the same command again to go on")
    )
    dataset = load()
    assert 30 <= int(spoken().split(" from")[0]) < 300
    assert same(dataset, load(cache="other"))


@pytest.mark.parametrize(
    "name", [b"with space", "Zoë".encode(), b"new\nline", b"undecodable \xff\xfe", b'"quote"', b"-dash", b"n" * 240]
)
def test_any_file_name_is_listed_computed_and_found_in_the_cache(load, data_dir, spoken, name):
    os.rename(data_dir / "real/003.png", os.fsencode(data_dir / "real") + b"/" + name)
    first = load()
    spoken()
    assert f"real/{os.fsdecode(name)}" in first.paths
    assert same(load(), first) and spoken().startswith("24 from")
