"""The benchmark compares like with like, refuses to time a wrong answer, and says what it measured."""

import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from outputs import table_lines
from pictures import by_opencv, picture

import benchmark_spectrum
from benchmark_spectrum import KINDS, WAYS, decode, make_images, measure_speeds, speed_table, straightforward_spectrum
from radial_spectrum import radial_spectrum

SMALL = ("--side", 64, "--n-images", 3, "--n-repeats", 2)


def made(folder, **changed):
    """Return images as the script makes them."""
    folder.mkdir()
    settings = {"n_images": 2, "side": 64, "jpeg_quality": 75, "seed": 0} | changed
    return make_images(folder, SimpleNamespace(**settings))["JPEG"]


@pytest.fixture
def benchmark(call, tmp_path, monkeypatch):
    """Return a function that runs the script in `tmp_path`, on one thread, in this process."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: call("benchmark_spectrum", "--output-dir", tmp_path / "plots", "--n-threads", 1, *words)


def test_the_table_has_every_way_on_one_thread_and_on_all_and_the_circumstances(clone, tmp_path):
    words = ["--output-dir", "plots", *map(str, SMALL), "--n-threads", "2"]
    command = [sys.executable, clone / "benchmark_spectrum.py", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "plots/benchmark.md").read_text(encoding="utf-8")
    title, body = text.split("\n\n", 1)
    assert title == "# Speed" and body in done.stdout and done.stdout.endswith("written: plots/benchmark.md\n")
    _, *rows = table_lines(text, "# Speed")
    assert [tuple(row[:3]) for row in rows] == [(kind, name, n) for kind in KINDS for n in "12" for name in WAYS]
    assert all(float(row[3]) > 0 and bool(row[6]) == row[1].startswith("ours") for row in rows)
    assert "3 images of 64x64" in text and "2 turns" in text and "made by the script" in text
    assert f"numpy {np.__version__}" in text and f"python benchmark_spectrum.py {' '.join(words)}" in text
    float64, float32 = map(float, re.search(r"on these images: (\S+) in float64, (\S+) in float32", text).groups())
    assert 0 < float64 <= 1e-9 < float32 <= 1e-3


def test_a_folder_of_mixed_sizes_is_measured_and_named(benchmark, tmp_path):
    made(tmp_path / "images", n_images=1)
    (tmp_path / "images/other.png").write_bytes(by_opencv(picture(0, (33, 48))))
    done = benchmark("--images-dir", "images", "--n-repeats", 1)
    assert done.status == 0 and "4 images of 48x33, 64x64" in done.out and "made by the script" not in done.out


def test_speeds_are_of_the_way_and_the_threads_they_are_named_after(tmp_path, monkeypatch):
    asked, clock = [], [0.0]
    monkeypatch.setattr(benchmark_spectrum, "WAYS", {"slow": 4.0, "fast": 0.5})

    def run_way(seconds, paths, n_threads):
        asked.append((seconds, n_threads))
        clock[0] += seconds / n_threads * len(paths)

    monkeypatch.setattr(benchmark_spectrum, "run_way", run_way)
    monkeypatch.setattr(benchmark_spectrum.time, "perf_counter", lambda: clock[0])
    speeds = measure_speeds(["a", "b", "c"], [1, 2], 4)
    expected = {("slow", 1): 0.25, ("fast", 1): 2, ("slow", 2): 0.5, ("fast", 2): 4}
    assert {name: measured.tolist() for name, measured in speeds.items()} == {
        name: pytest.approx([speed] * 4) for name, speed in expected.items()
    }
    assert len({tuple(asked[4 * turn : 4 * turn + 4]) for turn in range(4)}) == 4  # each turn from another start


def test_the_table_tells_medians_and_the_ratio_turn_by_turn():
    speeds = {
        ("straightforward", 1): np.array([1.0, 2, 4]),
        ("ours, float32", 2): np.array([10.0, 10, 60]),
        ("limit: decoding + rfft2, float32", 2): np.array([20.0, 15, 60]),
    }
    assert table_lines(speed_table({"PNG": speeds}), "") == [
        ["files", "from the file on", "threads", "images/s", "ms/image", "speed to straightforward", "time to limit"],
        ["PNG", "straightforward", "1", "2.0", "500.00", "1.0 (1.0–1.0)", ""],
        ["PNG", "ours, float32", "2", "10.0", "100.00", "10.0 (5.0–15.0)", "1.50 (1.00–2.00)"],
        ["PNG", "limit: decoding + rfft2, float32", "2", "20.0", "50.00", "15.0 (7.5–20.0)", ""],
    ]


@pytest.mark.parametrize("shape", [(64, 64), (33, 48), (31, 31), (178, 218)])
def test_the_straightforward_code_gives_the_published_spectrum(tmp_path, shape):
    gray = picture(0, shape)
    (tmp_path / "x.png").write_bytes(by_opencv(gray))
    np.testing.assert_allclose(straightforward_spectrum(tmp_path / "x.png"), radial_spectrum(gray), rtol=1e-9)


@pytest.mark.parametrize(
    "fault, complaint",
    [
        (lambda spectrum: spectrum * (1 + 1e-8), "float64 differs from the straightforward code by 1.0e-08"),
        (lambda spectrum: np.roll(spectrum, 1), "float64 differs from the straightforward code by"),
        (lambda spectrum: spectrum[1:], "float64 gives 42 values, the straightforward code 43"),
        (lambda spectrum: spectrum * np.nan, "float64 differs from the straightforward code by nan"),
    ],
    ids=["nearly", "shifted", "cut", "nan"],
)
def test_a_wrong_spectrum_is_not_timed(fault, complaint, benchmark, tmp_path, monkeypatch):
    right = benchmark_spectrum.measure_spectrum
    monkeypatch.setattr(benchmark_spectrum, "measure_spectrum", lambda *arguments: fault(right(*arguments)))
    done = benchmark(*SMALL)
    assert (done.status, done.out) == (1, "") and not (tmp_path / "plots").exists()
    assert f"0000.jpg: {complaint}" in done.err and done.err.count("\n") == 1


def test_a_wrong_float32_is_not_timed(benchmark, monkeypatch):
    right = benchmark_spectrum.measure_spectrum

    def rough(gray, feature):
        return right(gray, feature) * (1.002 if feature.precision == "float32" else 1)

    monkeypatch.setattr(benchmark_spectrum, "measure_spectrum", rough)
    done = benchmark(*SMALL)
    assert done.status == 1 and "0000.jpg: float32 differs from the straightforward code by 2.0e-03" in done.err


def test_the_images_are_the_same_in_every_run_differ_from_each_other_and_fall_off_like_photographs(tmp_path):
    first, again = (made(tmp_path / name, side=256, jpeg_quality=95) for name in ("first", "again"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert first[0].read_bytes() != first[1].read_bytes()
    assert made(tmp_path / "other", seed=1)[0].read_bytes() != made(tmp_path / "zero")[0].read_bytes()
    spectrum = radial_spectrum(decode(first[0]))
    radii = np.arange(len(spectrum)) + 1.5
    slope = np.polyfit(np.log(radii[3:90]), spectrum[3:90], 1)[0]
    assert slope == pytest.approx(-20, abs=2)  # 20 ln(1/f): amplitude falls as 1/f


BLANK = by_opencv(np.zeros((64, 64), np.uint8))


@pytest.mark.parametrize(
    "content, reason",
    [(BLANK, "blank"), (by_opencv(picture(0, (8, 8))), "8x8"), (by_opencv(picture())[:-200], "cut short")],
    ids=["blank", "small", "cut"],
)
def test_an_image_without_a_spectrum_is_named(content, reason, benchmark, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/bad.png").write_bytes(content)
    done = benchmark("--images-dir", "images")
    assert done.status == 1 and done.err.count("\n") == 1
    assert "bad.png" in done.err and reason in done.err and not (tmp_path / "plots").exists()


@pytest.mark.parametrize(
    "words, reason",
    [
        ("--images-dir missing", "missing: no such folder"),
        ("--images-dir empty", "empty: found no image"),
        ("--n-images 0", "N_IMAGES is 0: expected 1 to 10000"),
        ("--n-repeats 0", "N_REPEATS is 0: expected 1 to 1000"),
        ("--side 8", "SIDE is 8: expected 9 to 8192"),
        ("--jpeg-quality 101", "JPEG_QUALITY is 101: expected 1 to 100"),
        ("--n-threads 0", "N_THREADS is 0"),
    ],
)
def test_a_wrong_call_ends_in_status_2_and_one_sentence(words, reason, benchmark, tmp_path):
    (tmp_path / "empty").mkdir()
    done = benchmark(*words.split())
    assert done.status == 2 and done.err.count("\n") == 1 and reason in done.err
