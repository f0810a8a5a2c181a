"""Spectra on disk: never computed twice, never mixed up, never half a file, and never seen in the numbers."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import linux_only
from pictures import by_opencv, picture, write_source

from deepfake_spectra import image_spectra, spectrum_cache
from deepfake_spectra.dataset import Feature
from deepfake_spectra.files import REPOSITORY

OTHER_FEATURES = [
    Feature("centred"), Feature("published_2019"), Feature(crop="centre_third"), Feature(precision="float32"),
    Feature(alteration="blur 1"),
]  # fmt: skip


@pytest.fixture
def said(capsys):
    """Return a function that gives what the last load took from the cache, what it computed, and why."""

    def said():
        *_, (n_cached, n_computed, reason) = re.findall(
            r"^spectra: (\d+) from \S+, (\d+) computed(.*)$", capsys.readouterr().out, re.MULTILINE
        )
        return int(n_cached), int(n_computed), reason

    return said


def same(first, second):
    """Tell whether two data sets are equal to the last bit."""
    names = ("spectra", "labels", "sources", "groups", "headers")
    return (first.paths, first.remarks, first.feature) == (second.paths, second.remarks, second.feature) and all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in names
    )


def test_a_second_run_computes_nothing_and_gives_the_same(load, said, monkeypatch):
    first = load()
    assert said() == (0, 24, "") and same(first, load(cache="other"))
    monkeypatch.setattr(image_spectra, "_measure_file", None)
    assert same(load(), first) and said() == (24, 0, "")


def test_the_digest_of_each_file_is_its_sha256_also_out_of_the_cache(load, said, two_sources, monkeypatch):
    def expected(dataset):
        return [hashlib.sha256((two_sources / path).read_bytes()).hexdigest() for path in dataset.paths]

    first = load()
    assert first.digests == expected(first) and len(set(first.digests)) == 24
    rewrite(two_sources / "real/003.png")
    again = load()
    assert again.digests == expected(again) != first.digests
    monkeypatch.setattr(image_spectra, "_measure_file", None)
    assert load().digests == again.digests and said() == (24, 0, "")
    assert load(n_samples=8).digests == expected(load(n_samples=8))
    assert again.of_rows([5, 2]).digests == [again.digests[5], again.digests[2]]


def test_a_folder_that_was_moved_and_renamed_is_not_computed_again(load, said, two_sources, tmp_path):
    first = load()
    shutil.copytree(two_sources, tmp_path / "copy")  # with its times
    two_sources.rename(tmp_path / "renamed")
    for name in ("renamed", "copy"):
        assert same(load(folder=tmp_path / name), first) and said() == (24, 0, "")


def rewrite(path):
    """Put another picture in a file whose time of change is set back."""
    status = path.stat()
    path.write_bytes(by_opencv(picture(999)))
    assert path.stat().st_size != status.st_size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def touch(path):
    """Change nothing but the time of change, by as little as a file system can tell."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))


@pytest.mark.parametrize("change", [rewrite, touch])
def test_a_file_changed_in_size_or_time_is_computed_again_alone(load, said, two_sources, change):
    load()
    change(two_sources / "real/003.png")
    dataset = load()
    assert said() == (23, 1, "; 1 of them because the file has changed")
    assert same(dataset, load(cache="other"))
    load()
    assert said() == (24, 0, "")


def test_new_files_alone_are_computed(load, said, two_sources):
    load()
    write_source(two_sources / "real/more", 5, first_seed=50)
    load()
    assert said() == (24, 5, "")


def test_a_larger_draw_computes_the_difference(load, said):
    load(n_samples=10)
    load(n_samples=16)
    assert said() == (10, 6, "")


@pytest.mark.parametrize("other", OTHER_FEATURES, ids=str)
def test_another_feature_is_computed_anew_and_both_are_kept(load, said, other):
    first = load()
    dataset = load(other)
    assert said() == (0, 24, "; the cache holds other features only")
    assert not np.array_equal(dataset.spectra, first.spectra) and same(dataset, load(other, cache="other"))
    assert same(load(other), dataset) and said() == (24, 0, "")
    assert same(load(), first) and said() == (24, 0, "")


@pytest.mark.parametrize("rows", [{"n_bins": 20}, {"normalise": True}, {"n_bins": 60, "normalise": True}], ids=str)
def test_length_and_normalisation_change_the_rows_and_compute_nothing(load, said, rows):
    first = load()
    dataset = load(Feature(**rows))
    assert said() == (24, 0, "") and same(dataset, load(Feature(**rows), cache="other"))
    assert dataset.spectra.shape == (24, rows.get("n_bins", first.spectra.shape[1]))
    assert np.all(dataset.spectra[:, 0] == 1) == bool(rows.get("normalise"))


def test_files_of_the_cache_hold_a_thousand_images_at_most(load, said, tmp_path, monkeypatch):
    assert spectrum_cache.IMAGES_PER_CACHE_FILE == 1000
    monkeypatch.setattr(spectrum_cache, "IMAGES_PER_CACHE_FILE", 10)
    first = load()
    sizes = [len(np.load(path)["lengths"]) for path in sorted((tmp_path / "cache").iterdir())]
    assert sizes == [10, 10, 4]
    said()
    assert same(load(), first) and said() == (24, 0, "")


# --- what is damaged, cut off, or odd


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
    printed = capsys.readouterr().out
    assert f"{path}: damaged, its spectra are computed again\n" in printed and "24 computed" in printed


def test_bytes_changed_anywhere_in_a_cache_file_are_never_believed(load, tmp_path):
    first = load(n_samples=4)
    [path] = (tmp_path / "cache").iterdir()
    whole, random = path.read_bytes(), np.random.default_rng(0)
    directory = whole.index(b"PK\x01\x02")
    for position in [*random.integers(0, len(whole), 20), *random.integers(directory, len(whole), 80)]:
        for file in (tmp_path / "cache").iterdir():
            file.unlink()
        content = bytearray(whole)
        content[position] ^= random.integers(1, 256)
        path.write_bytes(content)
        assert same(load(n_samples=4, n_threads=1), first)


def test_what_a_kill_left_of_a_cache_file_is_no_cache(load, said, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/.partial-1-2-abc.npz").write_bytes(b"PK")
    load()
    assert said() == (0, 24, "")


def test_what_is_said_to_be_kept_at_an_interrupt_is_what_is_kept(load, said, monkeypatch):
    def interrupted(measure, keys, n_threads):
        yield from map(measure, keys[:7])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(image_spectra, "in_threads", interrupted)
        with pytest.raises(KeyboardInterrupt, match="^7 new spectra are kept in .*cache$"):
            load()
    load()
    assert said() == (7, 17, "")


SLOW_RUN = """
import sys, time
from pathlib import Path
from deepfake_spectra import image_spectra, spectrum_cache
from deepfake_spectra.dataset import Feature, ImageFolder
from deepfake_spectra.settings import run

spectrum_cache.IMAGES_PER_CACHE_FILE = 10
measure = image_spectra._measure_file

def measure_slowly(path, feature):
    time.sleep(0.01)
    return measure(path, feature)

image_spectra._measure_file = measure_slowly
data_dir, cache = map(Path, sys.argv[1:])
images = ImageFolder(data_dir, {"real": 0, "fake": 1}, cache)
run(lambda: len(image_spectra.load_spectra(images, Feature(), n_threads=2)) and 0)
"""


@linux_only
@pytest.mark.parametrize("end", ["SIGKILL", "SIGINT"])
def test_a_run_that_was_ended_halfway_goes_on_where_it_stopped(load, said, two_sources, tmp_path, end):
    for number in range(12, 150):
        for source in ("real", "fake"):
            os.link(two_sources / source / f"{number % 12:03}.png", two_sources / source / f"{number:03}.png")
    command = [sys.executable, "-c", SLOW_RUN, two_sources, tmp_path / "cache"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=REPOSITORY, **streams) as process:
        while len([*(tmp_path / "cache").glob("[!.]*.npz")]) < 3:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.Signals[end])
        output, error = process.communicate()
    dataset = load()
    n_kept, n_computed, _ = said()
    assert 30 <= n_kept < 300 and n_kept + n_computed == 300
    assert same(dataset, load(cache="other"))
    if end == "SIGKILL":
        assert process.returncode == -signal.SIGKILL and n_kept % 10 == 0
    else:
        assert process.returncode == 130 and output == "" and "Traceback" not in error
        kept = f"{n_kept} new spectra are kept in {tmp_path / 'cache'}"
        assert error.splitlines()[-1] == f"-c: interrupted; {kept}; run the same command again to go on"


@linux_only
@pytest.mark.parametrize(
    "name", [b"with space", "Zoë".encode(), b"new\nline", b"undecodable \xff\xfe", b'"quote"', b"-dash", b"n" * 240]
)
def test_any_file_name_is_listed_computed_and_found_in_the_cache(load, said, two_sources, name):
    os.rename(two_sources / "real/003.png", os.fsencode(two_sources / "real") + b"/" + name)
    first = load()
    assert f"real/{os.fsdecode(name)}" in first.paths
    said()
    assert same(load(), first) and said() == (24, 0, "")
