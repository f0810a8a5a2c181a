"""Each image gives one figure of its own; what cannot be drawn is named, and the rest is drawn."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from conftest import linux_only
from pictures import by_opencv

from deepfake_spectra import plots
from deepfake_spectra.files import figure_name
from draw_spectrum import highest_frequencies
from radial_spectrum import log_power_plane, radial_spectrum

AWKWARD_NAMES = ("-dash, é\nand $\\frac$.png", ".中文 \udcff", "#" * 240)


def noise(height, width, seed=0):
    """Return grey noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def write(path, gray):
    """Write a grey PNG under any name, also one that OpenCV would not open."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(by_opencv(gray))
    return path


@pytest.fixture
def draw(call, tmp_path, monkeypatch):
    """Return a function that runs the script in `tmp_path`; figures go to its sub-folder `drawn`."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: call("draw_spectrum", "--output-dir", tmp_path / "drawn", *words)


def figures(folder):
    """Return the paths of the figures, as the script prints them: from the folder that it is started in."""
    return sorted(str(Path("drawn", figure.name)) for figure in (folder / "drawn").glob("*"))


@linux_only
def test_every_name_is_drawn_once_under_a_name_that_is_safe_everywhere(clone, tmp_path):
    for seed, name in enumerate(AWKWARD_NAMES):
        write(tmp_path / name, noise(16, 20, seed))
    asked = [*AWKWARD_NAMES, AWKWARD_NAMES[1]]
    command = [sys.executable, clone / "draw_spectrum.py", "--output-dir", "drawn", "--", *asked]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    names = [figure_name(tmp_path / name) for name in AWKWARD_NAMES]
    assert done.stdout.splitlines() == [str(Path("drawn", name)) for name in names]
    assert figures(tmp_path) == sorted(done.stdout.splitlines())
    assert all(name.isprintable() and " " not in name and name[0] not in "-." for name in names)
    pixels = [matplotlib.image.imread(tmp_path / figure) for figure in figures(tmp_path)]
    assert all(image.shape[1] == 2160 and image.std() > 0.1 for image in pixels)  # 7.2 inches at 300 dots


def test_images_of_one_name_in_two_folders_or_formats_get_two_figures(draw, tmp_path, monkeypatch):
    ours = b"Software\0deepfake-spectra"
    monkeypatch.setattr(plots, "image_figure", lambda path, *others: path.write_bytes(ours))
    (tmp_path / "drawn").mkdir()
    paths = [write(tmp_path / name, noise(16, 16)) for name in ("a/face.png", "b/face.png", "b/face.jpg")]
    assert draw(*paths).status == 0 and len(figures(tmp_path)) == 3
    monkeypatch.chdir(tmp_path / "a")
    assert draw("face.png").status == 0 and len(figures(tmp_path)) == 3


@pytest.mark.parametrize("convention", ["published", "centred"])
def test_the_figure_is_of_the_image_its_spectra_and_its_highest_frequencies(draw, tmp_path, monkeypatch, convention):
    drawn = []
    monkeypatch.setattr(plots, "image_figure", lambda *arguments: drawn.append(arguments))
    gray = noise(31, 48)
    path = write(tmp_path / "face.png", gray)
    assert draw("face.png", "--convention", convention, "--cut-off", 0.7).status == 0
    [(figure, image, plane, spectrum, named, highest, cut_off, title)] = drawn
    assert figure == tmp_path / "drawn" / figure_name(path)
    assert np.array_equal(image, gray) and np.array_equal(plane, log_power_plane(gray))
    assert np.array_equal(spectrum, radial_spectrum(gray, convention)) and (named, cut_off) == (convention, 0.7)
    assert np.array_equal(highest, highest_frequencies(gray, 0.7))
    assert title == "face.png, 48 × 31 pixels"


@linux_only
def test_what_cannot_be_drawn_is_named_in_a_sentence_and_the_rest_is_drawn(draw, tmp_path):
    whole = write(tmp_path / "whole.png", noise(9, 40)).read_bytes()
    (tmp_path / "cut short.png").write_bytes(whole[:200])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder").mkdir()
    write(tmp_path / "small.png", noise(8, 40))
    write(tmp_path / "blank\n.png", np.full((16, 16), 7, np.uint8))
    reasons = {"cut short.png": "cut short or damaged PNG", "text.jpg": "not an image", "empty.png": "empty file",
               "small.png": "40x8", "blank\\n.png": "blank: every pixel is 7", "missing.png": "No such file",
               "folder": "not a regular file"}  # fmt: skip
    done = draw(*(name.replace("\\n", "\n") for name in reasons), "whole.png")
    assert done.status == 1
    for sentence, (name, reason) in zip(done.err.splitlines(), reasons.items(), strict=True):
        assert sentence.startswith(f"draw_spectrum.py: {name}: ") and reason in sentence
    assert figures(tmp_path) == done.out.splitlines() == [str(Path("drawn", figure_name(tmp_path / "whole.png")))]


@pytest.mark.parametrize(
    "words, reason",
    [
        ([], "IMAGES"),
        (["a.png", "--cut-off", "1.5"], "CUT_OFF is 1.5"),
        (["a.png", "--convention", "central"], "'central'"),
        (["-a.png"], "IMAGES"),
    ],
)
def test_a_wrong_call_ends_in_status_2_and_one_sentence(draw, tmp_path, words, reason):
    done = draw(*words)
    assert (done.status, done.out, figures(tmp_path)) == (2, "", [])
    assert done.err.count("\n") == 1 and reason in done.err


def test_a_folder_that_cannot_be_made_is_one_sentence(draw, tmp_path):
    write(tmp_path / "a.png", noise(16, 16))
    (tmp_path / "file").touch()
    done = draw("a.png", "--output-dir", "file/drawn")
    assert (done.status, done.out) == (1, "") and done.err.count("\n") == 1 and "file" in done.err


@pytest.mark.parametrize("shape", [(32, 32), (31, 33), (24, 40)])
def test_highest_frequencies_keep_what_lies_beyond_the_cut_and_nothing_else(shape):
    height, width = shape
    y, x = np.indices(shape)
    low, high = np.cos(2 * np.pi * 3 * x / width), np.cos(2 * np.pi * (13 * x / width + 11 * y / height))
    cut_off = 10 / (np.hypot(height, width) / 2)  # between radius 3 and radius 17
    np.testing.assert_allclose(highest_frequencies(100 + 20 * low + 5 * high, cut_off), 5 * high, atol=1e-10)
    gray = noise(*shape)
    np.testing.assert_allclose(highest_frequencies(gray, 0), gray, atol=1e-10)


def test_a_damaged_image_is_drawn_and_said_to_be_damaged(draw, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "image_figure", lambda path, *others: None)
    (tmp_path / "odd.jpg").write_bytes(by_opencv(noise(16, 20), ".jpg")[:-2] + bytes(range(99)) + b"\xff\xd9")
    done = draw("odd.jpg")
    assert (done.status, done.err.count("\n")) == (0, 1)
    assert done.err.startswith("draw_spectrum.py: odd.jpg: damaged: a strict reader")


def test_what_libpng_prints_of_a_chunk_that_does_no_harm_does_not_reach_the_terminal(clone, tmp_path):
    whole = by_opencv(noise(16, 20))
    chunk = b"tIME" + bytes([0, 1, 77, 1, 1, 1, 1])  # a month 77
    content = whole[:33] + struct.pack(">I", 7) + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[33:]
    (tmp_path / "odd.png").write_bytes(content)
    program = "import sys, cv2; cv2.imread(sys.argv[1])"
    said = subprocess.run([sys.executable, "-c", program, tmp_path / "odd.png"], capture_output=True).stderr
    assert said.startswith(b"libpng warning")
    command = [sys.executable, clone / "draw_spectrum.py", "--output-dir", "drawn", "odd.png", "missing.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        "draw_spectrum.py: missing.png: No such file or directory; not drawn\n",
    )
    assert len(figures(tmp_path)) == 1
