"""Spectra on disk: never computed twice, never mixed up, never half a file, and never seen in the numbers."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import linux_only
from ended_runs import end_halfway
from pictures import by_opencv, by_pillow, colour_picture, picture, write_source
from PIL import ExifTags, Image

from deepfake_spectra import image_spectra, missing_spectra, spectrum_cache
from deepfake_spectra.dataset import Feature
from deepfake_spectra.errors import ExperimentError
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
            r"^spectra.*: (\d+) from \S+, (\d+) computed(.*)$", capsys.readouterr().out, re.MULTILINE
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
    monkeypatch.setattr(missing_spectra, "measure_features", None)
    assert same(load(), first) and said() == (24, 0, "")


def test_the_digest_of_each_file_is_its_sha256_also_out_of_the_cache(load, said, two_sources, monkeypatch):
    def expected(dataset):
        return [hashlib.sha256((two_sources / path).read_bytes()).hexdigest() for path in dataset.paths]

    first = load()
    assert first.digests == expected(first) and len(set(first.digests)) == 24
    rewrite(two_sources / "real/003.png")
    again = load()
    assert again.digests == expected(again) != first.digests
    monkeypatch.setattr(missing_spectra, "measure_features", None)
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


def test_a_file_changed_in_size_is_computed_again_alone(load, said, two_sources):
    load()
    rewrite(two_sources / "real/003.png")
    dataset = load()
    assert said() == (23, 1, "; 1 of them because the file has changed")
    assert same(dataset, load(cache="other"))
    load()
    assert said() == (24, 0, "")


def test_a_file_that_was_only_touched_renamed_or_copied_into_another_folder_is_known_by_its_sha256(
    load, said, two_sources
):
    first = load()
    touch(two_sources / "real/003.png")
    assert same(load(), first) and said() == (24, 0, "; 1 known by their SHA-256")
    assert same(load(), first) and said() == (24, 0, "")
    shutil.copytree(two_sources / "real", two_sources / "fake/copies", copy_function=shutil.copyfile)  # with new times
    dataset = load()
    assert said() == (36, 0, "; 12 known by their SHA-256")
    spectra = dict(zip(dataset.paths, dataset.spectra))
    for number in range(12):
        np.testing.assert_array_equal(spectra[f"fake/copies/{number:03}.png"], spectra[f"real/{number:03}.png"])


def test_another_picture_of_the_same_name_and_size_is_not_taken_for_the_one_before(load, said, two_sources):
    path = two_sources / "real/003.bmp"
    path.write_bytes(by_opencv(picture(3), ".bmp"))
    load()
    size = path.stat().st_size
    path.write_bytes(by_opencv(picture(999), ".bmp"))
    assert path.stat().st_size == size
    dataset = load()
    assert said() == (24, 1, "; 1 of them because the file has changed") and same(dataset, load(cache="other"))


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
    assert said() == (0, 24, "")
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


def test_shards_hold_some_four_thousand_images_at_most(load, said, tmp_path, monkeypatch):
    assert spectrum_cache.IMAGES_PER_SHARD == 4096
    monkeypatch.setattr(spectrum_cache, "IMAGES_PER_SHARD", 10)
    first = load()
    sizes = [len(np.load(path)["lengths"]) for path in sorted((tmp_path / "cache").glob("*.npz"))]
    assert sizes == [10, 10, 4]
    said()
    assert same(load(), first) and said() == (24, 0, "")


# --- what is damaged, cut off, or odd


@pytest.mark.parametrize("ending", [".npz", ".npy"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"\x93NUMPX" + content,
        lambda content: b"garbage" * 1000,
        lambda content: content[:-200] + bytes(100) + content[-100:],
        lambda content: content.replace(content[2000:2008], b"\0\1\2\3\4\5\6\7", 1),
    ],
)
def test_a_damaged_shard_is_said_once_and_computed_again(load, tmp_path, capsys, damage, ending):
    first = load()
    [index] = (tmp_path / "cache").glob("*.npz")
    path = index.with_suffix(ending)
    path.write_bytes(damage(path.read_bytes()))
    capsys.readouterr()
    assert same(load(), first)
    damaged, computed = capsys.readouterr().out.splitlines()
    assert damaged == f"{index}: damaged, its spectra are computed again" and "24 computed" in computed


@pytest.mark.parametrize("ending", [".npz", ".npy"])
def test_half_a_shard_is_none(load, said, tmp_path, ending):
    """What a kill between the two files of a shard leaves, or somebody who tidied up."""
    first = load()
    [path] = (tmp_path / "cache").glob(f"*{ending}")
    path.unlink()
    said()
    assert same(load(), first) and said()[:2] == (0, 24)


@pytest.mark.parametrize("ending", [".npz", ".npy"])
def test_bytes_changed_anywhere_in_a_shard_are_never_believed(load, tmp_path, ending):
    first = load(n_samples=4)
    [path] = (tmp_path / "cache").glob(f"*{ending}")
    pair = {file: file.read_bytes() for file in (tmp_path / "cache").iterdir()}
    whole, random = pair[path], np.random.default_rng(0)
    directory = whole.index(b"PK\x01\x02") if ending == ".npz" else 0
    for position in [*random.integers(0, len(whole), 20), *random.integers(directory, len(whole), 80)]:
        for file in (tmp_path / "cache").iterdir():
            file.unlink()
        for file, content in pair.items():
            file.write_bytes(content)
        content = bytearray(whole)
        content[position] ^= random.integers(1, 256)
        path.write_bytes(content)
        assert same(load(n_samples=4, n_threads=1), first)


def kinds_of_wrong(name, array):
    """Yield other values of an array of a cache file: missing (None), of other forms, and impossible ones."""
    yield from (None, np.array(5), np.array("x"), np.array(b"x"), np.array([{}]), np.array([]), np.zeros((2, 2, 2)))
    if array.ndim:
        yield from (array[:-1], np.concatenate([array, array[:1]]), array[None], np.array(["x"] * len(array)))
    if array.dtype.kind in "if":
        negative = array.astype(np.int64)
        negative.flat[0] = -2000
        yield from (negative, negative.astype(np.float64), array.astype(np.float32), array.astype(np.int32))
    if name == "values":
        yield from (
            np.where(np.arange(len(array)) == 7, value, array) for value in (np.nan, np.inf, -np.inf, 1e5, -1e3)
        )
    if name == "lengths":
        yield from (
            array + np.array([1, -1, 0, 0]),
            np.array([array.sum(), 0, 0, 0]),
            array - np.array([array[0], 0, 0, 0]),
        )
    if name == "headers":
        for field, value in (
            ("width", 0), ("width", -5), ("width", 70), ("height", 2**30), ("format", "XCF"), ("format", "\x1b[2J"),
            ("jpeg_quality", -1), ("jpeg_quality", 101), ("subsampling", "4:x:0"), ("subsampling", "\x1b"),
        ):  # fmt: skip
            wrong = array.copy()
            wrong[field][1] = value
            yield wrong
        yield array.astype([(name, "i8" if kind == "<i4" else kind) for name, kind in array.dtype.descr])
        yield array.astype([(f"{name}s", kind) for name, kind in array.dtype.descr])
    if name == "remarks":
        yield from (np.array([text, "", "", ""]) for text in ("sharpened", "grey;turned", "\x1b[31m", "Grey"))
    if name == "paths":
        paths = json.loads(array.tobytes())
        for wrong in (paths[:-1], [*paths, "more"], [*paths[:-1], paths[0]], [*paths[:-1], 5], dict.fromkeys(paths, 1)):
            yield np.frombuffer(json.dumps(wrong).encode(), np.uint8)
        for text in ("", "[", "[" * 100_000, f"[{json.dumps(paths)}]"):
            yield np.frombuffer(text.encode(), np.uint8)


def write_shard(index, columns, values):
    """Write a shard with columns that are None left out, and with the digests that belong to it."""
    held = {name: array for name, array in columns.items() if array is not None}
    np.save(index.with_suffix(".npy"), values)
    np.savez(index, **{"seal": np.array(spectrum_cache.seal_of(held))} | held)


def test_whatever_a_shard_holds_it_is_checked_and_nothing_wrong_is_used(load, tmp_path, capsys):
    first = load(n_samples=4, n_threads=1)
    [index] = (tmp_path / "cache").glob("*.npz")
    values = np.load(index.with_suffix(".npy"))
    with np.load(index) as file:
        right = {name: file[name] for name in file if name != "seal"}
    wrong_ones = [(name, wrong) for name in right for wrong in kinds_of_wrong(name, right[name])]
    wrong_ones += [("seal", wrong) for wrong in kinds_of_wrong("seal", np.array(spectrum_cache.seal_of(right)))][1:]
    wrong_ones += [("values", wrong) for wrong in kinds_of_wrong("values", values)][1:]
    assert len(wrong_ones) > 100
    for name, wrong in wrong_ones:
        for file in (tmp_path / "cache").iterdir():
            file.unlink()
        if name == "values":
            digest = hashlib.sha256(np.ascontiguousarray(wrong).tobytes()).hexdigest()
            write_shard(index, right | {"values_sha256": np.array(digest)}, wrong)
        else:
            write_shard(index, right | {name: wrong}, values)
        capsys.readouterr()
        assert same(load(n_samples=4, n_threads=1), first), (name, wrong)
        printed = capsys.readouterr()
        assert printed.out.startswith(f"{index}: damaged, its spectra are computed again\n"), (name, wrong)
        [_, computed] = printed.out.splitlines()
        assert computed.endswith(", 4 computed") and printed.err == "", (name, wrong)


def test_a_value_that_could_be_right_is_not_believed_if_it_is_not_what_was_written(load, tmp_path, capsys):
    first = load(n_samples=4)
    [path] = (tmp_path / "cache").glob("*.npy")
    values = np.load(path)
    values[5] += 1e-9
    np.save(path, values)
    assert same(load(n_samples=4), first) and ": damaged, " in capsys.readouterr().out


def test_shards_are_float32_where_the_feature_is_and_a_value_then_is_off_by_half_its_last_bit(load, tmp_path):
    exact = load(n_samples=4).spectra
    kept = load(Feature(precision="float32"), 4, cache="single").spectra
    [path] = (tmp_path / "single").glob("*.npy")
    assert np.load(path).dtype == np.float32 and kept.dtype == np.float64
    assert 0 < np.abs(kept / exact - 1).max() < 1e-5


def test_a_cache_file_as_it_was_written_passes_its_checks_whatever_the_feature_and_the_image(load, said, two_sources):
    (two_sources / "real/colour.jpg").write_bytes(by_pillow(colour_picture(5, (40, 60)), "JPEG", quality=80))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = by_pillow(picture(6, (48, 80)), "JPEG", exif=exif)
    (two_sources / "fake/turned.jpg").write_bytes(turned)
    extreme = np.zeros((48, 64), np.uint8)
    extreme[::2] = 255  # most frequencies are empty, DC and one other are as strong as they can be
    (two_sources / "fake/stripes.png").write_bytes(by_opencv(extreme))
    for feature in (
        Feature(),
        *OTHER_FEATURES,
        Feature("centred", "centre_third", alteration="crop 40x39 + resize 60x50"),
    ):
        first = load(feature, n_threads=1)
        assert same(load(feature), first) and said() == (27, 0, "")


def test_a_shard_that_goes_while_a_run_needs_it_ends_the_run_and_is_no_row_of_nothing(load, tmp_path, monkeypatch):
    def measured_and_gone(*arguments):
        outcome = missing_spectra.measure_missing(*arguments)
        next((tmp_path / "cache").glob("*.npz")).unlink()
        return outcome

    monkeypatch.setattr(image_spectra, "measure_missing", measured_and_gone)
    with pytest.raises(ExperimentError, match="measured, and gone from .*cache since; run again"):
        load()


# --- the code and the packages that measured


@pytest.mark.parametrize(
    "changed, reason",
    [
        ({"code": "other"}, "; the code that measures has changed since the cache was written"),
        ({"numpy": "0.1"}, "; numpy 0.1 has become {numpy} since the cache was written"),
        ({"opencv": "\x1b[2J", "code": "x"}, "; opencv \\x1b[2J has become {opencv} since the cache was written"),
    ],
)
def test_what_other_code_measured_is_not_used_and_that_is_said(load, said, monkeypatch, changed, reason):
    now = spectrum_cache.measured_by()
    with monkeypatch.context() as patch:
        patch.setattr(spectrum_cache, "measured_by", lambda: now | changed)
        load()
    first = load()
    assert said() == (0, 24, reason.format(**now))
    assert same(load(), first) and said() == (24, 0, "")  # both lie there


def test_the_digest_of_the_code_changes_with_what_it_does_and_not_with_what_it_says(tmp_path, monkeypatch):
    def digest_of(source):
        (tmp_path / "module.py").write_text(source, encoding="utf-8")
        module = SimpleNamespace(__file__=tmp_path / "module.py")
        monkeypatch.setattr(spectrum_cache, "MEASURING_MODULES", (module,))
        return spectrum_cache.measured_by.__wrapped__()["code"]

    source = '"""Text."""\n\n\ndef double(x):\n    """Return twice x."""\n    return 2 * x\n'
    as_is = digest_of(source)
    assert as_is == digest_of(source.replace("Return twice", "Give two times").replace("2 * x", "2 * x  # why"))
    assert as_is == digest_of(source.replace('"""Text."""', "# no text\n"))
    assert as_is != digest_of(source.replace("2 * x", "3 * x"))


def test_every_module_that_measuring_imports_belongs_to_the_key():
    measuring = {module.__name__ for module in spectrum_cache.MEASURING_MODULES}
    program = "import sys, deepfake_spectra.measurement; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    ours = {name for name in ended.stdout.split() if name.startswith("deepfake_spectra.")}
    measure_nothing = ("interrupts", "console", "errors", "files", "packages", "dataset", "duplicates")
    others = {f"deepfake_spectra.{name}" for name in measure_nothing}
    assert ours == (measuring | others) - {"radial_spectrum", "deepfake_spectra.spectrum_cache"}


def test_what_a_kill_left_of_a_cache_file_is_no_cache(load, said, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/.partial-1-2-abc.npz").write_bytes(b"PK")
    load()
    assert said() == (0, 24, "")


def test_what_is_said_to_be_kept_at_an_interrupt_is_what_is_kept(load, said, monkeypatch):
    def interrupted(measure, keys, n_threads):
        yield from map(measure, list(keys)[:7])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(missing_spectra, "in_threads", interrupted)
        with pytest.raises(KeyboardInterrupt, match="^7 new spectra are kept in .*cache$"):
            load()
    load()
    assert said() == (7, 17, "")


SLOW_SPECTRA = """
spectrum_cache.IMAGES_PER_SHARD = 10
missing_spectra.measure_features = slowed(missing_spectra.measure_features)
run(lambda: len(image_spectra.load_spectra(images, Feature(), n_threads=2)) and 0)
"""


@linux_only
@pytest.mark.parametrize("end", ["SIGKILL", "SIGINT"])
def test_a_run_that_was_ended_halfway_goes_on_where_it_stopped(load, said, two_sources, tmp_path, end):
    status, output, error = end_halfway(SLOW_SPECTRA, 0.01, two_sources, tmp_path / "cache", 3, end)
    dataset = load()
    n_kept, n_computed, _ = said()
    assert 30 <= n_kept < 300 and n_kept + n_computed == 300
    assert same(dataset, load(cache="other"))
    if end == "SIGKILL":
        assert status == -signal.SIGKILL and n_kept % 10 == 0
    else:
        assert status == 130 and output == "" and "Traceback" not in error
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
