"""The benchmark compares like with like, says what it measured, and leaves other sections of its file alone."""

import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark_spectrum import HEADING, WAYS, decode, make_images, straightforward_spectrum
from deepfake_spectra.settings import REPOSITORY
from deepfake_spectra.opencv import cv2
from radial_spectrum import radial_spectrum

SMALL = ["--side", "64", "--n-images", "3", "--n-repeats", "2"]


def benchmark(folder, *arguments):
    """Run the script in a folder as a user does."""
    command = [sys.executable, REPOSITORY / "benchmark_spectrum.py", "--output-dir", "plots", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def made(folder, **changed):
    """Return images as the script makes them."""
    folder.mkdir()
    return make_images(folder, SimpleNamespace(**{"n_images": 2, "side": 64, "jpeg_quality": 75, "seed": 0} | changed))


def test_the_table_has_every_way_on_one_thread_and_on_all_and_the_circumstances(tmp_path):
    done = benchmark(tmp_path, *SMALL, "--n-threads", "2")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "plots" / "benchmark.md").read_text()
    title, heading, body = text.split("\n\n", 2)
    assert (title, heading) == ("# Speed", HEADING) and body in done.stdout
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert [(row[0], row[1]) for row in cells[2:]] == [(name, threads) for threads in "12" for name in WAYS]
    for _, _, speed, milliseconds, ratio in cells[2:]:
        median, low, high = map(float, re.fullmatch(r"(\S+) \((\S+)–(\S+)\)", ratio).groups())
        assert float(speed) > 0 and low <= median <= high
        assert float(speed) * float(milliseconds) == pytest.approx(1000, rel=0.2)  # both are rounded
    assert cells[2][4] == "1.0 (1.0–1.0)"
    assert "3 images of 64x64" in text and "2 turns" in text and "made by the script" in text
    assert f"numpy {np.__version__}" in text and "python benchmark_spectrum.py --output-dir plots --side 64" in text
    float64, float32 = map(float, re.search(r"from it: (\S+) in float64, (\S+) in float32", text).groups())
    assert float64 <= 1e-9 and 1e-9 < float32 <= 1e-3


def test_a_second_run_replaces_its_own_section_and_leaves_the_others(tmp_path):
    path = tmp_path / "plots" / "benchmark.md"
    path.parent.mkdir()
    before, after = "# Speed\n\n## Before\n\nfirst\n\n", "\n\n## Videos to frames\n\nlast\n"
    path.write_text(f"{before}{HEADING}\n\nold\n\n### old part{after}")
    assert benchmark(tmp_path, *SMALL, "--n-threads", "1").returncode == 0
    text = path.read_text()
    assert "old" not in text and text.count(HEADING) == 1 and text.count("| straightforward") == 1
    assert text.startswith(f"{before}{HEADING}\n\n| ") and text.endswith(after)


def test_a_folder_of_mixed_sizes_is_measured_and_named(tmp_path):
    made(tmp_path / "images")
    cv2.imwrite(str(tmp_path / "images" / "other.png"), np.random.default_rng(0).integers(0, 256, (33, 48), np.uint8))
    done = benchmark(tmp_path, "--images-dir", "images", "--n-repeats", "1", "--n-threads", "1")
    text = (tmp_path / "plots" / "benchmark.md").read_text()
    assert done.returncode == 0 and "3 images of 48x33, 64x64" in text and "made by the script" not in text


@pytest.mark.parametrize("shape", [(64, 64), (33, 48), (31, 31), (178, 218)])
def test_the_straightforward_code_gives_the_published_spectrum(tmp_path, shape):
    gray = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "noise.png"
    cv2.imwrite(str(path), gray)
    np.testing.assert_allclose(straightforward_spectrum(path), radial_spectrum(gray), rtol=1e-9)


def test_the_images_are_the_same_in_every_run_differ_from_each_other_and_fall_off_like_photographs(tmp_path):
    first, again = (made(tmp_path / name, side=256, jpeg_quality=95) for name in ("first", "again"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert first[0].read_bytes() != first[1].read_bytes()
    assert made(tmp_path / "other", seed=1)[0].read_bytes() != made(tmp_path / "zero")[0].read_bytes()
    spectrum = radial_spectrum(decode(first[0]))
    radii = np.arange(len(spectrum)) + 1.5
    slope = np.polyfit(np.log(radii[3:90]), spectrum[3:90], 1)[0]
    assert slope == pytest.approx(-20, abs=2)  # 20 ln(1/f): amplitude falls as 1/f


def blank(folder):
    cv2.imwrite(str(folder / "bad.png"), np.zeros((64, 64), np.uint8))


def too_small(folder):
    cv2.imwrite(str(folder / "bad.png"), np.arange(64, dtype=np.uint8).reshape(8, 8))


def cut_short(folder):
    path = made(folder / "inner")[0]
    path.rename(folder / "bad.png").write_bytes(path.with_name("0001.jpg").read_bytes()[:-200])


@pytest.mark.parametrize("make_bad, words", [(blank, "blank"), (too_small, "8x8"), (cut_short, "cut short")])
def test_an_image_without_a_spectrum_is_named(tmp_path, make_bad, words):
    (tmp_path / "images").mkdir()
    make_bad(tmp_path / "images")
    done = benchmark(tmp_path, "--images-dir", "images")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "bad.png" in done.stderr and words in done.stderr and not (tmp_path / "plots").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--images-dir missing", "missing: no such folder"),
        ("--images-dir .", "found no image"),
        ("--n-images 0", "--n-images 0, expected at least 1"),
        ("--n-repeats 0", "--n-repeats 0, expected at least 1"),
        ("--side 8", "--side 8, expected at least 9"),
        ("--n-threads 0", "--n-threads 0"),
    ],
)
def test_a_wrong_call_ends_in_status_2_and_one_sentence(tmp_path, arguments, words):
    done = benchmark(tmp_path, *arguments.split())
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and words in done.stderr
