"""Spectra measured by parts and by dask: the same rows to the last bit, whoever measured and whatever died."""

import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from clusters import needs_dask
from conftest import linux_only
from ended_runs import end_halfway
from pictures import by_opencv, picture

from deepfake_spectra import missing_spectra
from deepfake_spectra.dataset import FAKE, REAL, Feature, ImageFolder
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import REPOSITORY
from deepfake_spectra.image_spectra import load_altered, load_spectra, measure_part
from deepfake_spectra.missing_spectra import falls_to, measure_task
from deepfake_spectra.spectrum_cache import measured_by

FEATURES = (Feature(), Feature(alteration="jpeg 50"))


@pytest.fixture
def images(two_sources, tmp_path):
    """Return the image folder of two sources of 12 pictures."""
    return ImageFolder(two_sources, {"real": REAL, "fake": FAKE}, tmp_path / "cache")


def measure(part, images, n_samples=None):
    """Measure a part of the images, as they are and as JPEG."""
    measure_part(part, images, FEATURES[0], n_samples, FEATURES[1:], n_samples)


def same(first, second):
    """Tell whether two data sets have the same rows to the last bit."""
    return (first.paths, first.digests) == (second.paths, second.digests) and np.array_equal(
        first.spectra, second.spectra
    )


# --- parts


@pytest.mark.parametrize("n_parts", [1, 2, 3, 16])
def test_every_file_falls_to_one_part_wherever_its_folder_lies(n_parts):
    paths = [f"real/{number:03}.png" for number in range(200)] + ["fake/undecodable \udcff\n.png"]
    parts = [[path for path in paths if falls_to(f"{number}/{n_parts}", path)] for number in range(1, n_parts + 1)]
    assert sorted(sum(parts, [])) == sorted(paths) and all(parts)
    assert falls_to("7/16", "123456789")  # on every machine: CRC-32's check value is CBF43926


def test_a_run_finds_what_the_parts_measured_and_gives_the_same(images, load, capsys):
    for number in (3, 1, 2):
        measure(f"{number}/3", images)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3 and all(" of 24 images, spectra of each: 1; 0 from " in line for line in said)
    for feature in FEATURES:
        dataset = load_spectra(images, feature)
        assert ": 24 from " in capsys.readouterr().out and same(dataset, load(feature, cache="other"))
        capsys.readouterr()


def test_a_part_measures_of_the_draw_alone_and_only_what_is_not_there(images, capsys):
    load_spectra(images, Feature(), 8)
    measure("1/1", images, 10)
    of_each = "10 of 10 images, spectra of each: 1"
    assert f"part 1/1 is done: {of_each}; {of_each}; 8 from " in (said := capsys.readouterr().out)
    assert said.endswith(", 12 computed\n")
    load_spectra(images, Feature(), 24)
    assert ": 10 from " in capsys.readouterr().out


def test_a_part_names_what_has_no_spectrum(images, two_sources, capsys):
    (two_sources / "real/003.png").write_bytes(by_opencv(np.full((48, 64), 7, np.uint8)))
    measure("1/1", images)
    assert capsys.readouterr().out.endswith("without a spectrum: real/003.png (blank: every pixel is 7)\n")


PART = """
import sys
from pathlib import Path
from deepfake_spectra.dataset import Feature, ImageFolder
from deepfake_spectra.image_spectra import measure_part
images = ImageFolder(Path(sys.argv[1]), {"real": 0, "fake": 1}, Path(sys.argv[2]))
measure_part("1/1", images, Feature(), others=[Feature(alteration="jpeg 50")])
"""


def test_two_processes_at_the_same_part_do_each_other_no_harm(images, load, capsys):
    command = [sys.executable, "-c", PART, images.path, images.cache_dir]
    processes = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    for feature in FEATURES:
        dataset = load_spectra(images, feature)
        assert capsys.readouterr().out.count("\n") == 1 and same(dataset, load(feature, cache="other"))
        capsys.readouterr()


def test_of_unequal_sources_other_states_are_measured_in_equal_numbers_alone(images, two_sources, capsys):
    for number in range(4, 12):
        (two_sources / f"fake/{number:03}.png").unlink()
    measure("1/1", images, 24)
    assert "16 of 16 images, spectra of each: 1; 8 of 8 images, " in capsys.readouterr().out
    dataset = load_spectra(images, Feature(), 24).of_draw(8)
    list(load_altered(images, dataset, ["jpeg 50"]))
    assert capsys.readouterr().out.count(", 0 computed") == 2


def test_a_part_to_which_no_file_falls_is_done_and_says_so(images, capsys):
    paths = [f"{source}/{number:03}.png" for source in ("real", "fake") for number in range(12)]
    part = next(part for number in range(1, 30) if not any(falls_to(part := f"{number}/29", path) for path in paths))
    measure(part, images)
    none = "0 of 24 images, spectra of each: 1"
    assert capsys.readouterr().out.startswith(f"part {part} is done: {none}; {none}; 0 from ")
    assert not images.cache_dir.exists()


def with_a_bit_flipped(content):
    """Return a file's bytes with the first bit behind the header of its last array changed."""
    place = content.rindex(b"\x93NUMPY") + 128
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("ending", [".npz", ".npy"])
@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], with_a_bit_flipped], ids=["truncated", "flipped"]
)
@pytest.mark.parametrize("again", ["the part", "the run"])
def test_a_shard_damaged_between_two_parts_is_said_and_measured_again(images, load, capsys, damage, ending, again):
    measure_part("1/2", images, Feature())
    [index] = images.cache_dir.glob("*.npz")
    path = index.with_suffix(ending)
    path.write_bytes(damage(path.read_bytes()))
    measure_part("2/2", images, Feature())
    if again == "the part":
        measure_part("1/2", images, Feature())
    capsys.readouterr()
    dataset = load_spectra(images, Feature())
    damaged, said = capsys.readouterr().out.splitlines()
    n_lost = 0 if again == "the part" else sum(falls_to("1/2", path) for path in dataset.paths)
    assert damaged.startswith(f"{index}: damaged, ") and said.endswith(f", {n_lost} computed")
    assert same(dataset, load(cache="other"))


SLOW_PART = """
spectrum_cache.IMAGES_PER_SHARD = 10
missing_spectra.measure_features = slowed(missing_spectra.measure_features)
run(lambda: image_spectra.measure_part("1/2", images, Feature(), others=[Feature(alteration="jpeg 50")], n_threads=2))
"""


@linux_only
@pytest.mark.parametrize("end", ["SIGKILL", "SIGINT"])
def test_a_part_that_was_ended_in_the_middle_goes_on_when_it_is_run_again(images, load, two_sources, capsys, end):
    status, output, error = end_halfway(SLOW_PART, 0.01, two_sources, images.cache_dir, 3, end)
    assert output == "" and status == (-9 if end == "SIGKILL" else 130)
    for part in ("1/2", "2/2"):
        measure(part, images)
    first, second = capsys.readouterr().out.splitlines()
    n_kept = int(first.split("; ")[-1].split()[0])
    assert 30 <= n_kept < 300 and "; 0 from " in second
    assert end == "SIGKILL" or f"{n_kept} new spectra are kept in" in error
    for feature in FEATURES:
        assert same(load_spectra(images, feature), load(feature, cache="other"))


# --- dask


def write_large(folder, n, shape=(700, 700)):
    """Fill two sources with pictures that take some 20 ms each to measure."""
    for source in ("real", "fake"):
        for number in range(n):
            (folder / source / f"large_{number:03}.png").write_bytes(by_opencv(picture(number, shape)))


@needs_dask
@linux_only
def test_workers_give_the_same_to_the_last_bit_also_when_one_is_killed_in_the_middle(
    cluster, images, load, monkeypatch, capsys
):
    shutil.rmtree(images.path)
    for source in ("real", "fake"):
        (images.path / source).mkdir(parents=True)
    write_large(images.path, 60)
    monkeypatch.setattr(missing_spectra, "FILES_PER_TASK", 6)
    victim, _ = cluster.add_worker(), cluster.add_worker()

    def kill_in_the_middle():
        while len([*images.cache_dir.glob("*.npz")]) < 5:
            time.sleep(0.01)
        victim.kill()

    killer = threading.Thread(target=kill_in_the_middle, daemon=True)
    killer.start()
    dataset = load_spectra(images, Feature(), scheduler=cluster.address)
    killer.join(timeout=10)
    assert victim.wait() == -9 and ": 0 from " in (said := capsys.readouterr().out) and ", 120 computed" in said
    assert 20 <= len([*images.cache_dir.glob("*.npz")]) <= 22  # the killed one's task was done by the other
    assert same(dataset, load(cache="other"))
    assert same(load_spectra(images, Feature()), dataset)


@needs_dask
def test_what_dask_began_threads_end_and_the_other_way_round(cluster, images, load, capsys):
    cluster.add_worker()
    measure_part("1/2", images, Feature())
    dataset = load_spectra(images, Feature(), scheduler=cluster.address)
    assert same(dataset, load(cache="other"))
    capsys.readouterr()
    states = list(load_altered(images, dataset, ["jpeg 50"], scheduler=cluster.address))
    assert "0 from" in capsys.readouterr().out
    np.testing.assert_array_equal(states[0], load(Feature(alteration="jpeg 50"), cache="other").spectra)
    assert "24 computed" in capsys.readouterr().out


@needs_dask
def test_two_runs_at_once_on_one_cluster_do_each_other_no_harm(cluster, images, load, two_sources):
    write_large(two_sources, 10)
    cluster.add_worker()
    cluster.add_worker()
    command = PART.replace(
        'measure_part("1/1", images, Feature(), others=[Feature(alteration="jpeg 50")])',
        f"""
from deepfake_spectra.image_spectra import load_spectra
for alteration in ("", "jpeg 50"):
    load_spectra(images, Feature(alteration=alteration), scheduler="{cluster.address}")
""",
    )
    run = [sys.executable, "-c", command, images.path, images.cache_dir]
    processes = [subprocess.Popen(run, cwd=REPOSITORY, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    for feature in FEATURES:
        assert same(load_spectra(images, feature), load(feature, cache="other"))


@needs_dask
def test_an_unreadable_file_ends_no_worker_and_is_replaced(cluster, images, load, two_sources):
    (two_sources / "real/003.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"garbage" * 9)
    cluster.add_worker()
    dataset = load_spectra(images, Feature(), scheduler=cluster.address, max_unreadable=0.2)
    [(path, _)] = dataset.skipped
    assert path == "real/003.png" and same(dataset, load(cache="other", max_unreadable=0.2))


@needs_dask
def test_a_worker_outside_of_the_repository_is_told_of(cluster, images, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    cluster.add_worker(cwd=tmp_path / "elsewhere")
    with pytest.raises(ExperimentError, match="start it in the repository's folder"):
        load_spectra(images, Feature(), scheduler=cluster.address)


@needs_dask
def test_a_scheduler_that_is_not_there_or_has_no_worker_ends_the_run_in_a_sentence(cluster, images, monkeypatch):
    monkeypatch.setattr(missing_spectra, "PATIENCE", 5)
    for address, words in (
        ("tcp://127.0.0.1:1", "no dask scheduler answers there"),
        ("nonsense", "no dask scheduler answers there"),
        (cluster.address, "has no worker; start one: python -m dask worker tcp://127.0.0.1"),
    ):
        with pytest.raises(ExperimentError, match=words):
            load_spectra(images, Feature(), scheduler=address)


def test_a_worker_with_another_disk_or_other_packages_measures_nothing(images, tmp_path):
    with pytest.raises(ExperimentError, match="not there for the dask worker on .*need the same folders"):
        measure_task({}, tmp_path / "nowhere", images.cache_dir, FEATURES, measured_by())
    with pytest.raises(ExperimentError, match="has another numpy than this run; install the same there"):
        measure_task({}, images.path, images.cache_dir, FEATURES, measured_by() | {"numpy": "0.1"})
