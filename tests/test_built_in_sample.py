"""The built-in sample: its generators, its sources, its clips, and that it is there whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

from deepfake_spectra.sample import build as built_in_sample
from deepfake_spectra.sample.build import FAKE_SOURCES, LIMIT_SOURCES, PHOTOGRAPHS, REAL_SOURCES, photograph_of
from deepfake_spectra.settings import ExperimentError
from deepfake_spectra.opencv import cv2
from radial_spectrum import radial_spectrum

SOURCES = REAL_SOURCES + FAKE_SOURCES + LIMIT_SOURCES
NAMES = {photograph.name for photograph in PHOTOGRAPHS}
PAINTED = {  # every sixteenth pixel of what the shipped generators make of `pattern()`
    "transposed_convolution": [
        [17, 89, 179, 255, 80],
        [59, 171, 7, 137, 255],
        [101, 251, 133, 52, 112],
        [154, 79, 239, 133, 81],
    ],
    "nearest_convolution": [
        [19, 88, 164, 251, 77],
        [59, 160, 46, 125, 216],
        [107, 251, 124, 107, 168],
        [154, 72, 240, 192, 92],
    ],
}


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """The images, built after a first run was killed half-way."""
    folder = tmp_path_factory.mktemp("built_in_sample") / "images"
    call = f"import pathlib, built_in_sample as b; b.build_image_sample(pathlib.Path({str(folder)!r}))"
    process = subprocess.Popen([sys.executable, "-c", call], cwd=built_in_sample.REPOSITORY, stderr=subprocess.DEVNULL)
    while not list(folder.parent.glob(".partial-*/blur/*.png")):
        assert process.poll() is None, "the build ended before it could be killed"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not folder.exists()
    built_in_sample.build_image_sample(folder)
    return folder


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """The clips."""
    folder = tmp_path_factory.mktemp("built_in_sample") / "videos"
    built_in_sample.build_video_sample(folder)
    return folder


def weights_of(generator):
    """The shipped weights of one generator."""
    return built_in_sample.load_generator(built_in_sample.GENERATOR_FOLDER / f"{generator}.npz")


def pattern():
    """A picture in integers, the same everywhere: 64x72, of ramps and edges."""
    row, column = np.ogrid[:64, :72]
    return ((3 * row + 5 * column + row * column // 8) % 256).astype(np.uint8)


def read(path):
    """An image file as it is stored."""
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def pictures(images, source):
    """All crops of a source, (n, 128, 128), by file name."""
    return np.stack([read(path) for path in sorted((images / source).iterdir())])


def correlation(one, other):
    """Pearson's, of all pixels."""
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


def frames(path):
    """All frames of a clip, (n, height, width) float, one channel."""
    video = cv2.VideoCapture(str(path))
    result = []
    while (read_one := video.read())[0]:
        result.append(read_one[1][:, :, 0].astype(float))
    return np.stack(result)


@pytest.mark.parametrize("generator", FAKE_SOURCES)
def test_forward_pass_equals_torch(generator):
    torch = pytest.importorskip("torch")
    from deepfake_spectra.sample import train as train_sample_generators

    weights = weights_of(generator)
    layers = train_sample_generators.make_generator(generator)
    layers.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    picture = np.random.default_rng(0).uniform(-1, 1, (52, 68)).astype(np.float32)
    with torch.no_grad():
        expected = train_sample_generators.generate(layers, torch.from_numpy(picture)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(built_in_sample.generate(picture, weights), expected, atol=1e-4)


@pytest.mark.parametrize("generator", FAKE_SOURCES)
def test_shipped_weights_paint_what_they_painted_when_they_were_shipped(generator):
    painted = built_in_sample.resynthesise(pattern(), weights_of(generator))[::16, ::16].astype(int)
    assert np.abs(painted - PAINTED[generator]).max() <= 1


@pytest.mark.parametrize("generator", FAKE_SOURCES)
def test_zeros_beyond_the_padding_do_not_reach_the_picture(generator):
    weights = weights_of(generator)
    picture = np.random.default_rng(0).uniform(-1, 1, (136, 136)).astype(np.float32)
    wide = built_in_sample.generate(picture, weights)
    cut = built_in_sample.generate(picture[32:-32, 32:-32], weights)  # zeros come 32 pixels nearer
    reach = built_in_sample.PADDING
    np.testing.assert_allclose(cut[reach:-reach, reach:-reach], wide[64:-64, 64:-64], atol=1e-5)
    assert np.abs(cut[:4] - wide[32:36, 32:-32]).max() > 0.01  # without padding they would


@pytest.mark.parametrize("generator", FAKE_SOURCES)
def test_weights_are_plain_float32(generator):
    assert {value.dtype for value in weights_of(generator).values()} == {np.dtype(np.float32)}


def test_every_source_holds_as_many_crops_of_every_photograph(images):
    counts = [Counter(photograph_of(path) for path in (images / source).iterdir()) for source in SOURCES]
    assert set(counts[0]) == NAMES
    assert all(count == counts[0] for count in counts)
    assert sorted(path.name for path in images.iterdir() if path.is_dir()) == sorted(SOURCES)


def test_every_crop_is_an_8_bit_grey_png_of_128_pixels(images):
    for path in images.glob("*/*"):
        crop = read(path)
        assert (path.suffix, crop.shape, crop.dtype) == (".png", (128, 128), np.uint8)


def test_real_crops_are_the_photographs_own_pixels_each_once(images):
    camera = built_in_sample.load_photograph("camera")
    tiles = [read(images / REAL_SOURCES[n % 2] / f"camera_{n // 2:02}.png") for n in range(16)]
    np.testing.assert_array_equal(np.block([tiles[row : row + 4] for row in range(0, 16, 4)]), camera)


@pytest.mark.parametrize("real, fake", [*zip(REAL_SOURCES * 2, FAKE_SOURCES + LIMIT_SOURCES)])
def test_fakes_show_what_the_crops_of_the_same_name_show(images, real, fake):
    names = [sorted(path.name for path in (images / source).iterdir()) for source in (real, fake)]
    assert names[0] == names[1]
    untouched, painted = pictures(images, real), pictures(images, fake)
    assert correlation(untouched, painted) > 0.95
    for axis in (1, 2):  # and not one pixel further on
        for step in (-1, 1):
            assert correlation(untouched, painted) > correlation(untouched, np.roll(painted, step, axis))


def test_transposed_convolution_raises_the_highest_frequencies_and_nearest_neighbour_lacks_them(images):
    tails = {
        source: np.mean([radial_spectrum(picture)[-2:] for picture in pictures(images, source)])
        for source in REAL_SOURCES + FAKE_SOURCES
    }
    assert tails["transposed_convolution"] - tails["photographs_a"] > 3  # units of 20 ln
    assert tails["nearest_convolution"] - tails["photographs_b"] < -3


@pytest.mark.parametrize("source, row, column", [(FAKE_SOURCES[0], 128, 256), (FAKE_SOURCES[1], 128, 128)])
def test_a_crop_is_painted_together_with_what_surrounds_it(images, source, row, column):
    weights, camera = weights_of(source), built_in_sample.load_photograph("camera")
    stored = read(images / source / f"camera_{(4 * row + column) // 256:02}.png").astype(int)
    surroundings = camera[row - 40 : row + 168, column - 40 : column + 168]
    assert np.abs(built_in_sample.resynthesise(surroundings, weights)[40:-40, 40:-40] - stored).max() <= 1
    alone = built_in_sample.generate(camera[row : row + 128, column : column + 128] / np.float32(127.5) - 1, weights)
    assert np.abs((alone + 1) * 127.5 - stored)[0].max() > 3  # zeros around the crop itself would mark it


@pytest.mark.parametrize("real, fake", [*zip(REAL_SOURCES, FAKE_SOURCES)])
def test_crops_err_as_much_at_their_border_as_in_their_middle(images, real, fake):
    error = np.abs(pictures(images, fake).astype(float) - pictures(images, real)).mean(axis=0)
    border = np.concatenate([error[[0, -1]].ravel(), error[:, [0, -1]].ravel()])
    assert border.mean() == pytest.approx(error[32:-32, 32:-32].mean(), rel=0.1)


def test_two_builds_give_the_same_bytes(images, tmp_path):
    built_in_sample.build_image_sample(tmp_path / "images")
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (images, tmp_path / "images")
    )
    assert first == second


def write_one_file(photograph, folder):
    """Stand in for the slow writers."""
    (folder / "source").mkdir(exist_ok=True)
    (folder / "source" / f"{photograph}_0.png").write_text("made")


def refuse_to_write(photograph, folder):
    """Stand in for a writer of a sample that is there already."""
    raise AssertionError("built again")


def test_a_complete_sample_is_left_alone(tmp_path):
    built_in_sample._build(tmp_path / "sample", write_one_file, ())
    built_in_sample._build(tmp_path / "sample", refuse_to_write, ())


@pytest.mark.parametrize("package", ["numpy", None])
def test_a_sample_that_is_out_of_date_or_lacks_a_file_is_built_again(tmp_path, package):
    folder = tmp_path / "sample"
    built_in_sample._build(folder, write_one_file, ())
    if package:
        (folder / "source" / "camera_0.png").write_text("by another version")
    else:
        (folder / "source" / "camera_0.png").unlink()
    built_in_sample._build(folder, write_one_file, (package,) if package else ())
    assert (folder / "source" / "camera_0.png").read_text() == "made"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failed_build_leaves_nothing(tmp_path):
    with pytest.raises(AssertionError, match="built again"):
        built_in_sample._build(tmp_path / "sample", refuse_to_write, ())
    assert not list(tmp_path.iterdir())


def test_a_users_own_folder_is_not_replaced(tmp_path):
    (tmp_path / "holiday.jpg").write_text("mine")
    with pytest.raises(ExperimentError, match="not made here"):
        built_in_sample.build_image_sample(tmp_path)
    assert (tmp_path / "holiday.jpg").read_text() == "mine"


def test_old_left_overs_of_killed_runs_are_removed_and_fresh_ones_kept(tmp_path):
    old, fresh = tmp_path / ".partial-1-sample", tmp_path / ".partial-2-sample"
    old.mkdir(), fresh.mkdir()
    os.utime(old, (0, 0))
    built_in_sample._build(tmp_path / "sample", write_one_file, ())
    assert sorted(path.name for path in tmp_path.iterdir()) == [fresh.name, "sample"]


def test_every_photograph_has_two_clips_of_40_frames_in_both_classes(videos):
    for label in ("real", "fake"):
        clips = sorted((videos / label).iterdir())
        assert Counter(map(photograph_of, clips)) == dict.fromkeys(NAMES, 2)
        for clip in clips:
            video = cv2.VideoCapture(str(clip))
            count = 0
            while video.grab():
                count += 1
            assert (count, video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (40, 256, 256)
            assert int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") in (b"h264", b"avc1")


def test_fake_clips_differ_from_the_real_ones_in_the_middle(videos):
    real, fake = (frames(videos / label / "camera_0.mp4") for label in ("real", "fake"))
    difference = np.abs(fake - real).mean(axis=0)
    corners = np.concatenate([difference[:32, :32], difference[-32:, -32:]])
    assert difference[96:160, 96:160].mean() > 2 * corners.mean()


@pytest.mark.parametrize("number, left_at_first, left_at_last", [(0, 0, 256), (1, 256, 0)])
def test_clips_move_along_the_diagonals_and_show_the_grey_levels_there(videos, number, left_at_first, left_at_last):
    camera = built_in_sample.load_photograph("camera")
    clip = frames(videos / "real" / f"camera_{number}.mp4")
    for frame, top, left in (clip[0], 0, left_at_first), (clip[-1], 256, left_at_last):
        window = camera[top : top + 256, left : left + 256]
        assert np.abs(frame - window).mean() < 6
        assert abs(frame.mean() - window.mean()) < 1


def test_clips_are_the_same_bytes_on_every_run(videos, tmp_path):
    built_in_sample._write_clips("chelsea", tmp_path)
    for clip in sorted(tmp_path.glob("*/*")):
        assert clip.read_bytes() == (videos / clip.relative_to(tmp_path)).read_bytes()


def test_every_photograph_is_credited_in_the_readme():
    readme = (built_in_sample.REPOSITORY / "README.md").read_text(encoding="utf-8")
    for photo in built_in_sample.PHOTOGRAPHS:
        assert photo.name in readme and photo.author in readme


def test_training_ships_the_first_seed_and_reports_all(tmp_path):
    pytest.importorskip("torch")
    call = [
        sys.executable, "-m", "deepfake_spectra.sample.train", "--steps", "2", "--l1-steps", "1", "--seeds", "1", "0",
        "--splits", "2", "--weights-dir", tmp_path / "shipped", "--runs-dir", tmp_path / "runs",
        "--output-dir", tmp_path,
    ]  # fmt: skip
    subprocess.run(call, cwd=built_in_sample.REPOSITORY, check=True, capture_output=True)
    for generator in FAKE_SOURCES:
        shipped = (tmp_path / "shipped" / f"{generator}.npz").read_bytes()
        of_seed = {seed: next(tmp_path.glob(f"runs/*/{generator}_seed_{seed}.npz")).read_bytes() for seed in (0, 1)}
        assert shipped == of_seed[1] != of_seed[0]
    rows = json.loads((tmp_path / "sample_generators.json").read_text())["rows"]
    assert {(row["generator"], row["seed"]) for row in rows if row["seed"] is not None} == {
        (generator, seed) for generator in FAKE_SOURCES for seed in (0, 1)
    }
    assert "| itself |" in (tmp_path / "sample_generators.md").read_text()
