"""Records of files: what is in them, and that a run goes on where the last one stopped."""

import numpy as np
import pytest
from conftest import linux_only
from pictures import by_opencv, by_pillow, colour_picture, picture

from deepfake_spectra import file_records
from deepfake_spectra.errors import UnreadableImage
from deepfake_spectra.file_records import read_record, read_records
from deepfake_spectra.opencv import cv2

SMOOTH = cv2.resize(picture(0, (64, 64), blur=2), (320, 320), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a picture in several formats."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, content in {
        "a.png": by_opencv(SMOOTH),
        "b.jpg": by_opencv(SMOOTH, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 90),
        "c.webp": by_pillow(SMOOTH, "WEBP", lossless=True),
        "d e\n\u00e9.jpg": by_pillow(SMOOTH, "JPEG", progressive=True, quality=60),
    }.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def read(folder, tmp_path, monkeypatch, capsys):
    """Return a function that reads all files, and gives records, the unreadable, and how many files were opened."""
    opened = []

    def read_counted(path):
        opened.append(path.name)
        return read_record(path)

    monkeypatch.setattr(file_records, "read_record", read_counted)

    def read(paths=None, n_threads=2):
        opened.clear()
        paths = sorted(path.name for path in folder.iterdir()) if paths is None else paths
        records, unreadable = read_records(folder, paths, tmp_path / "cache", n_threads)
        return records, unreadable, len(opened)

    return read


def test_a_record_holds_what_the_file_and_its_pixels_tell(folder):
    png, jpeg = (read_record(folder / name) for name in ("a.png", "b.jpg"))
    assert (png.width, png.height, png.format, png.jpeg_quality) == (320, 320, "PNG", 0)
    assert (jpeg.format, jpeg.jpeg_quality, jpeg.traits.coding) == ("JPEG", 90, "baseline")
    assert jpeg.n_bytes == (folder / "b.jpg").stat().st_size and jpeg.grid is None and png.grid < 3
    for record in (png, jpeg):
        assert record.brightness == pytest.approx(SMOOTH.mean(), abs=0.6)
        assert record.contrast == pytest.approx(SMOOTH.std(), rel=0.05)


@pytest.mark.parametrize("shape", [(40, 300), (9, 9), (1100, 30)])
def test_a_picture_of_any_shape_has_a_record_in_every_format(tmp_path, shape):
    gray = cv2.resize(SMOOTH, shape[::-1], interpolation=cv2.INTER_AREA)
    for ending in (".jpg", ".png"):
        (tmp_path / f"x{ending}").write_bytes(by_opencv(gray, ending))
        assert read_record(tmp_path / f"x{ending}").brightness == pytest.approx(gray.mean(), abs=2)


def test_what_is_no_whole_image_has_a_reason_instead(tmp_path):
    for content, reason in (
        (b"", "empty file"),
        (b"text", "not an image"),
        (by_opencv(SMOOTH)[:-30], "cut short"),
        (by_opencv(SMOOTH, ".jpg")[:3000], "cut short"),
    ):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(UnreadableImage, match=reason):
            read_record(tmp_path / "x")
    with pytest.raises(UnreadableImage, match="No such file"):
        read_record(tmp_path / "missing")


def test_cmyk_and_colour_are_read_too(tmp_path):
    for name, mode in (("cmyk.jpg", "CMYK"), ("colour.jpg", None), ("grey.jpg", "L")):
        (tmp_path / name).write_bytes(by_pillow(colour_picture(shape=(150, 200)), "JPEG", mode))
        assert 100 < read_record(tmp_path / name).brightness < 155


def test_a_second_run_opens_nothing_and_gives_the_same(read):
    records, unreadable, n_opened = read()
    assert n_opened == len(records) == 4 and unreadable == {}
    assert read() == (records, {}, 0)


def test_a_changed_and_a_new_file_are_read_again(read, folder):
    records, _, _ = read()
    (folder / "a.png").write_bytes(by_opencv(255 - SMOOTH))
    (folder / "new.png").write_bytes(by_opencv(SMOOTH[::-1].copy()))
    again, _, n_opened = read()
    assert n_opened == 2 and len(again) == 5 and again["b.jpg"] == records["b.jpg"]
    assert again["a.png"].brightness == pytest.approx(255 - records["a.png"].brightness)


def test_an_unreadable_file_is_named_and_the_others_go_on(read, folder):
    (folder / "a.png").write_bytes(by_opencv(SMOOTH)[:-30])
    records, unreadable, _ = read()
    assert unreadable == {"a.png": "cut short or damaged PNG"} and len(records) == 3


def test_what_was_read_before_an_interrupt_is_kept(read, folder, monkeypatch):
    def interrupted(path):
        if path.name == "c.webp":
            raise KeyboardInterrupt
        return read_record(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="2 new records are kept"):
        patch.setattr(file_records, "read_record", interrupted)
        read(n_threads=1)
    assert read()[2] == 2


def test_files_of_1000_records_are_written_as_they_are_made(read, folder, monkeypatch, tmp_path):
    monkeypatch.setattr(file_records, "RECORDS_PER_FILE", 3)
    read()
    assert len(list((tmp_path / "cache").iterdir())) == 2 and read()[2] == 0


@pytest.mark.parametrize("damage", [lambda text: text[:-20], lambda text: text.replace("320", "321"), lambda text: ""])
def test_a_damaged_cache_is_said_and_read_again(read, tmp_path, damage, capsys):
    records, _, _ = read()
    [file] = (tmp_path / "cache").iterdir()
    file.write_text(damage(file.read_text()))
    assert read() == (records, {}, 4) and "damaged, its files are read again" in capsys.readouterr().out


def test_what_other_code_read_is_not_used(read, monkeypatch):
    read()
    monkeypatch.setattr(file_records, "measured_by", lambda: {"code": "other"})
    assert read()[2] == 4


@linux_only
def test_a_name_that_is_no_unicode_is_kept_too(read, folder):
    (folder / "a.png").rename(folder / "\udcff.png")
    assert read()[2] == 4 and read()[2] == 0


def test_brightness_and_contrast_do_not_depend_on_the_format():
    random = np.random.default_rng(0)
    gray = cv2.resize(random.integers(0, 256, (40, 40), np.uint8), (640, 640), interpolation=cv2.INTER_CUBIC)
    small = file_records._small_gray(by_opencv(gray, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95))
    assert small.shape == (160, 160)  # a quarter of each side is decoded, and no more
    thumbnails = [cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA) for pixels in (gray, small)]
    assert np.abs(np.subtract(*thumbnails, dtype=int)).mean() < 2
