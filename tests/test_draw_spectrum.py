"""Each image gives one figure of its own; what cannot be drawn is named, and the rest is drawn."""

import os
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest

from draw_spectrum import figure_name, highest_frequencies
from deepfake_spectra.settings import REPOSITORY
from deepfake_spectra.opencv import cv2


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def write(path, gray):
    """Write a grey PNG under any name, also one that OpenCV would not open."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(cv2.imencode(".png", gray)[1].tobytes())
    return path


def draw(folder, *arguments):
    """Run the script in a folder as a user does; figures go to its sub-folder `drawn`."""
    command = [sys.executable, REPOSITORY / "draw_spectrum.py", "--output-dir", "drawn", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def figures(folder):
    return sorted((folder / "drawn").iterdir()) if (folder / "drawn").exists() else []


AWKWARD_NAMES = [
    "-dash and é.png",
    "line\nbreak.png",
    "$\\frac$.png",
    ".中文",
    "#" * 240,
    os.fsdecode(b"no utf-8 \xff"),
]


def test_every_name_is_drawn_once_under_a_name_that_is_safe_everywhere(tmp_path):
    for seed, name in enumerate(AWKWARD_NAMES):
        write(tmp_path / name, noise(16, 20, seed))
    done = draw(tmp_path, "--", *AWKWARD_NAMES)
    assert (done.returncode, done.stderr) == (0, "")
    names = [figure_name(tmp_path / name) for name in AWKWARD_NAMES]
    assert done.stdout.splitlines() == [str(tmp_path / "drawn" / name) for name in names]
    assert len(figures(tmp_path)) == len(AWKWARD_NAMES)
    for figure in figures(tmp_path):
        assert figure.name.isprintable() and " " not in figure.name and figure.name[0] not in "-."
        pixels = matplotlib.image.imread(figure)
        assert pixels.shape[1] == 2160 and pixels.std() > 0.1  # 7.2 inches at 300 dots; something is drawn


def test_images_of_one_name_in_two_folders_or_formats_get_two_figures(tmp_path):
    paths = [write(tmp_path / name, noise(16, 16)) for name in ("a/face.png", "b/face.png", "b/face.jpg")]
    done = draw(tmp_path, *map(str, paths))
    assert done.returncode == 0 and len(figures(tmp_path)) == 3
    assert draw(tmp_path / "a", "--output-dir", "../drawn", "face.png").returncode == 0
    assert len(figures(tmp_path)) == 3


def test_what_cannot_be_drawn_is_named_in_a_sentence_and_the_rest_is_drawn(tmp_path):
    whole = write(tmp_path / "whole.png", noise(9, 40)).read_bytes()
    (tmp_path / "cut short.png").write_bytes(whole[:200])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").touch()
    write(tmp_path / "small.png", noise(8, 40))
    write(tmp_path / "blank\n.png", np.full((16, 16), 7, np.uint8))
    reasons = {"cut short.png": "cut short or damaged PNG", "text.jpg": "damaged header", "empty.png": "empty file",
               "small.png": "40x8", "blank\\n.png": "blank: every pixel is 7", "missing.png": "No such file",
               ".": "Is a directory"}  # fmt: skip
    done = draw(tmp_path, *(name.replace("\\n", "\n") for name in reasons), "whole.png")
    sentences = done.stderr.splitlines()
    assert done.returncode == 1 and len(sentences) == len(reasons)
    for sentence, (name, reason) in zip(sentences, reasons.items()):
        assert sentence.startswith(f"draw_spectrum.py: {name}: ") and reason in sentence
    assert [str(figure) for figure in figures(tmp_path)] == done.stdout.splitlines() == [
        str(tmp_path / "drawn" / figure_name(tmp_path / "whole.png"))
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "IMAGES"),
        (["a.png", "--cut-off", "1.5"], "--cut-off 1.5"),
        (["a.png", "--convention", "central"], "'central'"),
        (["-a.png"], "IMAGES"),
    ],
)
def test_a_wrong_call_ends_in_status_2_and_one_sentence(tmp_path, arguments, words):
    done = draw(tmp_path, *arguments)
    assert done.returncode == 2 and done.stdout == "" and figures(tmp_path) == []
    assert done.stderr.count("\n") == 1 and words in done.stderr


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    write(tmp_path / "a.png", noise(16, 16))
    (tmp_path / "drawn").touch()
    done = draw(tmp_path, "a.png")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "drawn" in done.stderr


def test_a_large_image_in_the_other_convention_is_drawn(tmp_path):
    write(tmp_path / "large.png", noise(4100, 1001))
    done = draw(tmp_path, "--convention", "centred", "large.png")
    assert (done.returncode, done.stderr) == (0, "") and len(figures(tmp_path)) == 1


@pytest.mark.parametrize("shape", [(32, 32), (31, 33), (24, 40)])
def test_highest_frequencies_keep_what_lies_beyond_the_cut_and_nothing_else(shape):
    height, width = shape
    y, x = np.indices(shape)
    low, high = np.cos(2 * np.pi * 3 * x / width), np.cos(2 * np.pi * (13 * x / width + 11 * y / height))
    cut_off = 10 / (np.hypot(height, width) / 2)  # between radius 3 and radius 17
    np.testing.assert_allclose(highest_frequencies(100 + 20 * low + 5 * high, cut_off), 5 * high, atol=1e-10)
    gray = noise(*shape)
    np.testing.assert_allclose(highest_frequencies(gray, 0), gray, atol=1e-10)
