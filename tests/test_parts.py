"""Scripts that measure by parts and on a cluster: nothing is left to compute, the same files to the last bit."""

import json
import re
import shutil

import pytest
from clusters import Cluster, needs_dask
from conftest import linux_only
from frames import write_frames
from pictures import write_source

from deepfake_spectra import missing_spectra
from deepfake_spectra.files import REPOSITORY

IMAGES = ("--data-dir", "faces", "--real-sources", "real_a", "real_b", "--fake-sources", "fake_a", "fake_b")
SPLITS = ("--n-splits", 2)
FRAMES = ("--frames-dir", "frames")
PANELS = ("--panels", "blur {1,2}", "{web}", "--trained-altered", "noise 3", "--learning-altered", "jpeg 75")
RUNS = {  # script and flags: few images, several states of them
    "train_faces_hq": (*IMAGES, *SPLITS, "--sample-sizes", 40, 20, "--both-altered", "jpeg 50"),
    "train_celeba": (*IMAGES, *SPLITS, "--sample-sizes", 40, "--both-altered", "jpeg 50", "--fakes-altered", "blur 1"),
    "train_deepfake_detection": (*FRAMES, *SPLITS, "--sample-sizes", 40),
    "train_resaved": (*IMAGES, "--trained", "jpeg 98", "jpeg 75", "--tested", "jpeg 75", "jpeg 50", "--n-bins", 20),
    "measure_robustness": (*IMAGES, *SPLITS, *PANELS, "--n-samples", 40, "--before", "jpeg 95"),
    "measure_robustness --videos": (*FRAMES, *SPLITS, *PANELS, "--n-samples", 40, "--video-panels"),
}
COMPARED = (".md", ".csv", ".json", ".gz", ".txt")  # all but figures and the judge, which knows its command
LEAST_COMPUTED = 48  # spectra, in each of the runs


@pytest.fixture
def start(call, drawn, tmp_path, monkeypatch):
    """Return a function that runs one of RUNS with more flags; it gives what was printed and what was written."""
    monkeypatch.chdir(tmp_path)
    for number, source in enumerate(IMAGES[3:5] + IMAGES[6:]):
        write_source(tmp_path / "faces" / source, 12, first_seed=100 * number, blur=1 + (number > 1))
    (tmp_path / "faces/fake_a/000.png").rename(tmp_path / "faces/fake_a/Zoë 0.png")
    write_frames(tmp_path / "frames", [f"{label}/c23/{n}.mp4" for label in ("real", "fake") for n in range(6)], 4)

    def start(run, *flags):
        script, *words = run.split()
        done = call(script, *words, *RUNS[run], "--n-threads", 1, "--output-dir", "written", *flags)
        assert (done.status, done.err) == (0, "")
        files = [path for path in (tmp_path / "written").glob("*") if path.suffix in COMPARED]
        written = {path.name: path.read_bytes() for path in files}
        shutil.rmtree(tmp_path / "written", ignore_errors=True)
        return done.out, written

    return start


def computed(printed):
    """Return how many spectra a run says it computed, one number a line."""
    return [int(number) for number in re.findall(r"(\d+) computed", printed)]


def forget(repository):
    """Remove all spectra."""
    shutil.rmtree(repository / "data/spectra")


@pytest.mark.parametrize("run", RUNS)
def test_what_two_parts_measured_a_run_finds_and_writes_the_same_files(start, tmp_path, run):
    printed, alone = start(run)
    n_spectra = sum(computed(printed))
    assert n_spectra >= LEAST_COMPUTED and len(alone) == 5
    forget(tmp_path / "repository")
    of_parts = 0
    for part in ("2/2", "1/2"):
        printed, written = start(run, "--part", part)
        [line] = printed.splitlines()
        assert line.startswith(f"part {part} is done: ") and written == {}
        of_parts += sum(computed(line))
    assert of_parts == n_spectra
    printed, whole = start(run)
    assert computed(printed) and not any(computed(printed))
    assert whole == alone


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """Return the address of a cluster with two workers."""
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    cluster.add_worker()
    cluster.add_worker()
    yield cluster.address
    cluster.stop()


@needs_dask
@linux_only
@pytest.mark.parametrize("run", RUNS)
def test_a_run_on_a_cluster_measures_nothing_itself_and_writes_the_same_but_the_scheduler(
    start, tmp_path, two_workers, monkeypatch, run
):
    printed, alone = start(run)
    n_spectra = sum(computed(printed))
    forget(tmp_path / "repository")
    monkeypatch.setattr(missing_spectra, "measure_features", None)  # here; the workers are other processes
    printed, of_cluster = start(run, "--scheduler", two_workers)
    assert sum(computed(printed)) == n_spectra >= LEAST_COMPUTED
    results = next(name for name in alone if name.endswith("_results.json"))
    both = json.loads(alone.pop(results)), json.loads(of_cluster.pop(results))
    assert both[0].pop("settings") | {"SCHEDULER": two_workers} == both[1].pop("settings") and both[0] == both[1]
    assert alone == of_cluster and len(alone) == 4


SCRIPTS = sorted({run.split()[0] for run in RUNS})


def test_the_scripts_here_are_all_that_have_parts_and_all_have_both():
    for path in REPOSITORY.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert ("\nPART: " in text) == ("\nSCHEDULER: " in text) == (path.stem in SCRIPTS), path.stem


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("part", ["0/4", "5/4", "a/b", "half", "", "-1/4", "1/2/3", "1.0/2", "1/" + "9" * 5000, "٣/٤"])
def test_a_part_that_cannot_be_is_refused_in_one_sentence(call, script, part):
    ended = call(script, f"--part={part}")
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "expected two numbers as 3/16, the first from 1 to the second" in ended.err and len(ended.err) < 1500


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_part_is_measured_here_and_not_on_a_cluster(call, script):
    ended = call(script, "--part", "1/2", "--scheduler", "tcp://a:1")
    assert (ended.status, ended.out) == (2, "") and "found both PART and SCHEDULER: name one of them" in ended.err


@pytest.mark.parametrize("run", RUNS)
def test_more_parts_than_files_leave_nothing_to_most_of_them(start, run):
    printed, _ = start(run, "--part", "7/999999999")
    assert printed.startswith("part 7/999999999 is done: 0 of ") and sum(computed(printed)) == 0
