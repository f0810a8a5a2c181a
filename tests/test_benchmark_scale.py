"""The benchmark of many images has every stage in its table, and leaves nothing behind, however it ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from conftest import linux_only
from outputs import table_lines
from processes import in_this_process

from benchmark_scale import MADE, with_cluster
from deepfake_spectra.files import REPOSITORY
from deepfake_spectra.fresh_processes import in_fresh_processes
from deepfake_spectra.simulation import image_folder, write_images

SMALL = (
    "--n-rows", 400, "--n-bins", 40, "--n-added", 8, "--file-counts", 12, 4, "--side", 32, "--n-images", 12,
    "--workers-side", 32, "--n-threads", 1,
)  # fmt: skip
STAGES = [
    "making files and shards", "listing", "loading: all is known", "listing and loading: 8 are new",
    "splitting, training, asking", "scoring, with intervals", "k-means, fitted twice", "drawing two figures",
    "writing results",
]  # fmt: skip


@pytest.fixture
def benchmark(call, tmp_path, monkeypatch):
    """Return a function that runs the script in `tmp_path` with all its stages in this process."""
    monkeypatch.chdir(tmp_path)
    in_this_process(monkeypatch)
    return lambda *words: call("benchmark_scale", *SMALL, "--output-dir", "plots", "--work-dir", "work", *words)


def numbers_of(line):
    """Return the numbers in the cells of a line."""
    return [float(cell) for cell in line if cell]


def test_the_tables_have_every_stage_count_and_way_and_nothing_is_left_behind(benchmark, tmp_path):
    done = benchmark()
    text = (tmp_path / "plots/benchmark_scale.md").read_text(encoding="utf-8")
    assert (done.status, done.err) == (0, "") and text.removeprefix("# Many images\n\n") in done.out
    assert [path.name for path in tmp_path.iterdir() if path.name != "repository"] == ["plots"]
    _, *stages = table_lines(text, "## 400 files, simulated")
    assert [line[0] for line in stages] == STAGES
    assert all(min(numbers_of(line[1:])) >= 0 and len(numbers_of(line[1:3])) == 2 for line in stages)
    _, *counts = table_lines(text, "## Time an image, 32x32")
    assert [line[0] for line in counts] == ["4", "12"]
    assert all(len(numbers_of(line)) == 5 and min(numbers_of(line)) >= 0 for line in counts)  # 0.00 s are rounded
    _, *ways = table_lines(text, "## 12 images of 32x32, by workers")
    assert [line[:2] for line in ways] == [[way, n] for way in ("threads", "parts", "dask") for n in "12"]
    assert all(numbers_of(line[2:])[0] >= 0 < numbers_of(line[2:])[1] for line in ways[:4])
    assert [line[2:] for line in ways[4:]] == 2 * [["not installed: requirements-dask.txt", ""]]
    assert "Spectra of 40 values: 0.00 GB" in text and "python benchmark_scale.py --n-rows 400" in text


def test_every_stage_does_what_it_is_named_after(benchmark, monkeypatch):
    from deepfake_spectra import fresh_processes

    found, here = {}, fresh_processes.in_fresh_processes

    def noted(stage, calls):
        done = here(stage, calls)
        found.setdefault(getattr(calls[0][0], "__name__", ""), []).append(done[0].value)
        return done

    monkeypatch.setattr(fresh_processes, "in_fresh_processes", noted)
    assert benchmark().status == 0
    [listed], [added] = found["list_files"], found["load_added"]
    assert [sum(map(len, images.listing.files.values())) for images in (listed, added)] == [400, 408]
    assert found["load_known"][0][0] == 400 * 40 * 8  # bytes
    [predictions], [rows] = found["train"], found["score"]
    assert {name: len(said.rows) for name, [said] in predictions.items()} == {
        "svm_linear": 80,
        "logistic_regression": 80,
    }
    assert {row["classifier"] for row in rows} == set(predictions)
    assert {row["protocol"] for row in found["cluster"][0]} == {"all_rows", "held_out"}


@pytest.mark.skipif(not find_spec("distributed"), reason="needs requirements-dask.txt")
def test_dask_measures_all_files(tmp_path):
    write_images(tmp_path / "images", range(8), 32, seed=0)
    [done] = in_fresh_processes(with_cluster, [(image_folder(tmp_path, "by_dask"), 1)])
    assert len(done.value) == 8 and [*(tmp_path / "by_dask").glob("*.npz")]


def test_too_little_disk_ends_the_run_in_a_sentence_before_anything_is_made(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2_000_000_000))
    done = benchmark("--n-rows", 1_000_000, "--n-bins", 722)
    assert done.status == 1 and done.out == "" and done.err.count("\n") == 1
    assert "work: 2.0 GB are free there, need 6.8; lower N_ROWS, or set WORK_DIR to a folder on another" in done.err
    assert not (tmp_path / "work").exists() and not (tmp_path / "plots").exists()


def test_what_a_killed_run_left_is_removed_and_the_users_files_stay(benchmark, tmp_path):
    (tmp_path / "work" / MADE / "million/images").mkdir(parents=True)
    (tmp_path / "work/mine.txt").write_text("mine")
    assert benchmark().status == 0
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["mine.txt"]


@linux_only
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_in_a_sentence_and_leaves_nothing(end, tmp_path):
    words = map(str, (*SMALL, "--n-rows", 100_000, "--work-dir", "work", "--output-dir", "plots"))
    command = [sys.executable, REPOSITORY / "benchmark_scale.py", *words]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True, **streams) as process:
        while not [*(tmp_path / "work").rglob("*.npz")]:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        if end == signal.SIGINT:  # which a terminal sends to all
            os.killpg(process.pid, end)
        else:
            process.send_signal(end)
        output, error = process.communicate()
    assert (process.returncode, output, error.count("\n")) == (128 + end, "", 1)
    assert error.startswith("benchmark_scale.py: interrupted; nothing is kept") and [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "words, reason",
    [
        ("--n-rows 99", "N_ROWS is 99: expected 100 to 100000000"),
        ("--n-bins 6000", "N_BINS: no image of at most 60,000,000 pixels has a spectrum of 6000 values"),
        ("--file-counts 3", "FILE_COUNTS is 3: expected at least one number, each 4 to 1000000"),
        ("--work-dir file.txt", "WORK_DIR is ../file.txt: expected a folder"),
    ],
)
def test_a_wrong_call_ends_in_status_2_and_one_sentence(words, reason, benchmark, tmp_path):
    (tmp_path / "file.txt").write_text("")
    done = benchmark(*words.split())
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1) and reason in done.err
