"""The built-in sample: its generators and their training, its sources and clips, and that it is whole or not there."""

import errno
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d, correlate2d
from video_clips import ffmpeg_program, needs_videos

from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import REPOSITORY
from deepfake_spectra.opencv import cv2
from deepfake_spectra.sample import build, generators, show
from deepfake_spectra.sample import train as training
from deepfake_spectra.sample.build import ALTERED_SOURCES, FAKE_SOURCES, PHOTOGRAPHS, REAL_SOURCES, photograph_of
from deepfake_spectra.sample.generators import generate, load_generator, read_weights, resynthesise
from deepfake_spectra.settings import run
from deepfake_spectra.splits import held_out_rows
from radial_spectrum import radial_spectrum

SOURCES = REAL_SOURCES + FAKE_SOURCES + ALTERED_SOURCES
NAMES = {photograph.name for photograph in PHOTOGRAPHS}
FEW = ("chelsea", "china", "coins")  # small ones, the second of which had been a JPEG
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

needs_torch = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="needs requirements-training.txt")


@pytest.fixture(scope="session")
def images(built_sample):
    """The sample's images."""
    return built_sample / "images"


@pytest.fixture(scope="session")
def videos(built_sample):
    """The sample's clips."""
    ffmpeg_program()  # without it there are none
    return built_sample / "videos"


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
    return np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]


def frames(path):
    """All frames of a clip, (n, height, width) float, one channel."""
    video = cv2.VideoCapture(str(path))
    result = []
    while (read_one := video.read())[0]:
        result.append(read_one[1][:, :, 0].astype(float))
    return np.stack(result)


# the generators


@pytest.mark.parametrize("n_in, n_out, side, stride", [(2, 3, 4, 2), (3, 2, 3, 1), (2, 4, 1, 1)])
def test_convolution_is_a_sum_of_correlations_with_zeros_beyond_the_border(n_in, n_out, side, stride):
    random = np.random.default_rng(0)
    features, weight = random.normal(size=(n_in, 8, 12)), random.normal(size=(n_out, n_in, side, side))
    bias = random.normal(size=n_out)
    padded = np.pad(features, ((0, 0), *[((side - 1) // 2,) * 2] * 2))
    expected = [
        sum(correlate2d(plane, kernel, "valid") for plane, kernel in zip(padded, kernels))[::stride, ::stride] + offset
        for kernels, offset in zip(weight, bias)
    ]
    np.testing.assert_allclose(generators._convolve(features, weight, bias, stride), expected, atol=1e-12)


def test_transposed_convolution_spreads_each_pixel_over_4x4_twice_as_far_apart():
    random = np.random.default_rng(0)
    features, weight, bias = (random.normal(size=shape) for shape in ((2, 5, 7), (2, 3, 4, 4), (3,)))
    apart = np.zeros((2, 9, 13))
    apart[:, ::2, ::2] = features
    expected = [
        sum(convolve2d(plane, kernel) for plane, kernel in zip(apart, weight[:, number]))[1:-1, 1:-1] + bias[number]
        for number in range(3)
    ]
    np.testing.assert_allclose(generators._convolve_transposed(features, weight, bias), expected, atol=1e-6)


@needs_torch
@pytest.mark.parametrize("name", FAKE_SOURCES)
def test_forward_pass_equals_torch(name):
    import torch

    weights = load_generator(name)
    layers = training.make_generator(name)
    layers.load_state_dict({layer: torch.from_numpy(value) for layer, value in weights.items()})
    picture = np.random.default_rng(0).uniform(-1, 1, (52, 68)).astype(np.float32)
    with torch.no_grad():
        expected = training.generate(layers, torch.from_numpy(picture)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(generate(picture, weights), expected, atol=1e-4)


@pytest.mark.parametrize("name", FAKE_SOURCES)
def test_shipped_weights_paint_what_they_painted_when_they_were_shipped(name):
    np.testing.assert_array_equal(resynthesise(pattern(), load_generator(name))[::16, ::16], PAINTED[name])


def test_every_kernel_of_the_linear_algebra_library_paints_the_same_to_the_last_bit():
    program = """
import hashlib, threadpoolctl
from deepfake_spectra.sample import build
from deepfake_spectra.sample.generators import generate, load_generator
picture = build.load_photograph("chelsea")[:128, :160] / 127.5 - 1
painted = [generate(picture, load_generator(name)).tobytes() for name in build.FAKE_SOURCES]
print(*{library.get("architecture") for library in threadpoolctl.threadpool_info()} - {None})
print(hashlib.sha256(b"".join(painted)).hexdigest())
"""
    kernels, hashes = zip(
        *(
            subprocess.run(
                [sys.executable, "-c", program],
                cwd=REPOSITORY, env=os.environ | {"OPENBLAS_CORETYPE": kernel},
                capture_output=True, text=True, check=True,
            ).stdout.split("\n", 1)
            for kernel in ("Nehalem", "Haswell")
        )
    )  # fmt: skip
    if kernels[0] == kernels[1]:
        pytest.skip(f"needs two kernels of OpenBLAS, found {kernels[0] or 'another library'}")
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("name", FAKE_SOURCES)
def test_no_sum_of_a_generator_is_too_large_to_be_exact(name, monkeypatch):
    largest = []

    def note(convolve):
        def noted(features, weight, bias, *stride):
            values = features * 2.0**generators.FEATURE_BITS, weight * 2.0**generators.WEIGHT_BITS
            assert all(np.array_equal(value, np.rint(value)) for value in values)
            from_each = np.abs(weight).sum(axis=(0, 2, 3) if "transposed" in convolve.__name__ else (1, 2, 3))
            largest.append(np.max(from_each * np.abs(features).max() + np.abs(bias)))
            return convolve(features, weight, bias, *stride)

        return noted

    for function in "_convolve", "_convolve_transposed":
        monkeypatch.setattr(generators, function, note(getattr(generators, function)))
    for photograph in FEW:
        resynthesise(build.load_photograph(photograph), load_generator(name))
    assert len(largest) == 11 * len(FEW)
    assert max(largest) < 2 ** (53 - generators.WEIGHT_BITS - generators.FEATURE_BITS)


@pytest.mark.parametrize("damage", ["cut", "edited", "removed"])
def test_other_weights_than_those_that_are_shipped_end_the_run_in_one_sentence(damage, tmp_path, monkeypatch):
    whole = (generators.WEIGHTS_FOLDER / "nearest_convolution.npz").read_bytes()
    monkeypatch.setattr(generators, "WEIGHTS_FOLDER", tmp_path)
    content = {"cut": whole[:-100], "edited": whole[:5000] + b"?" + whole[5001:]}
    if damage in content:
        (tmp_path / "nearest_convolution.npz").write_bytes(content[damage])
    with pytest.raises(ExperimentError, match="nearest_convolution.npz: not the weights that are shipped.*; restore"):
        load_generator("nearest_convolution")


@pytest.mark.parametrize("name", FAKE_SOURCES)
def test_zeros_beyond_the_padding_do_not_reach_the_picture(name):
    weights = load_generator(name)
    picture = np.random.default_rng(0).uniform(-1, 1, (136, 136)).astype(np.float32)
    wide = generate(picture, weights)
    cut = generate(picture[32:-32, 32:-32], weights)  # zeros come 32 pixels nearer
    reach = generators.PADDING
    np.testing.assert_allclose(cut[reach:-reach, reach:-reach], wide[64:-64, 64:-64], atol=1e-5)
    assert np.abs(cut[:4] - wide[32:36, 32:-32]).max() > 0.01  # without padding they would


@pytest.mark.parametrize("shape", [(64, 72), (66, 75), (37, 49)])
def test_a_picture_of_any_sides_keeps_them_and_stays_where_it_is(shape):
    gray = gaussian_filter(np.random.default_rng(0).normal(size=shape), 3)
    gray = np.uint8(np.interp(gray, (gray.min(), gray.max()), (20, 235)))
    painted = resynthesise(gray, load_generator("nearest_convolution"))
    assert painted.shape == shape and correlation(gray, painted) > 0.95


# the images


def test_every_source_holds_as_many_crops_of_every_photograph(images):
    counts = [Counter(photograph_of(path) for path in (images / source).iterdir()) for source in SOURCES]
    assert set(counts[0]) == NAMES and counts[0].total() == 73
    assert all(count == counts[0] for count in counts)
    assert sorted(path.name for path in images.iterdir() if path.is_dir()) == sorted(SOURCES)


def test_every_crop_is_an_8_bit_grey_png_of_128_pixels(images):
    for path in images.glob("*/*"):
        crop = read(path)
        assert (path.suffix, crop.shape, crop.dtype) == (".png", (128, 128), np.uint8)


def test_real_crops_are_the_photographs_own_pixels_each_once(images):
    camera = build.load_photograph("camera")
    tiles = [read(images / REAL_SOURCES[n % 2] / f"camera_{n // 2:02}.png") for n in range(16)]
    np.testing.assert_array_equal(np.block([tiles[row : row + 4] for row in range(0, 16, 4)]), camera)


def test_crops_of_other_sides_lie_in_the_middle_and_are_even_in_number():
    picture = np.arange(300 * 430).reshape(300, 430)
    cut = build.crops(picture)
    assert [int(crop[0, 0]) for crop in cut] == [430 * row + column for row in (22, 150) for column in (23, 151, 279)]
    assert len(build.crops(picture[:, :390])) == 6 and len(build.crops(picture[:200])) == 2  # of three


@pytest.mark.parametrize("real, fake", [*zip(REAL_SOURCES * 2, FAKE_SOURCES + ALTERED_SOURCES)])
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
    weights, camera = load_generator(source), build.load_photograph("camera")
    stored = read(images / source / f"camera_{(4 * row + column) // 256:02}.png").astype(int)
    surroundings = camera[row - 40 : row + 168, column - 40 : column + 168]
    np.testing.assert_array_equal(resynthesise(surroundings, weights)[40:-40, 40:-40], stored)
    alone = generate(camera[row : row + 128, column : column + 128] / np.float32(127.5) - 1, weights)
    assert np.abs((alone + 1) * 127.5 - stored)[0].max() > 3  # zeros around the crop itself would mark it


def test_blurred_crops_are_the_photographs_under_a_gaussian_of_0_8_pixels(images):
    blurred = gaussian_filter(build.load_photograph("camera").astype(float), 0.8)
    stored = read(images / "blur/camera_00.png")  # the second crop: the first row, 128 ... 255
    assert np.abs(stored[8:] - blurred[8:128, 128:256]).max() < 1.5


def test_bicubic_upsampling_keeps_a_ramp_and_loses_a_checkerboard():
    row, column = np.ogrid[:64, :48]
    ramp = (2 * row + column).astype(np.uint8)
    kept = build.upsample_bicubically(ramp)[8:-8, 8:-8].astype(int)
    assert np.abs(kept - ramp[8:-8, 8:-8]).max() <= 1  # nearest neighbour would double lines
    board = (200 * ((row + column) % 2)).astype(np.uint8)
    assert np.abs(build.upsample_bicubically(board)[8:-8, 8:-8].astype(int) - 100).max() <= 3  # no alias
    assert build.upsample_bicubically(ramp[:63, :47]).shape == (62, 46)


def test_the_pixels_are_those_that_the_numbers_in_the_docs_are_of(images, videos):
    digests = []
    for photograph in PHOTOGRAPHS:
        crops = [path for source in SOURCES for path in sorted((images / source).glob(f"{photograph.name}_*"))]
        digests.append(hashlib.sha256(b"".join(read(path).tobytes() for path in crops)).hexdigest())
    assert hashlib.sha256("".join(digests).encode()).hexdigest() == build.IMAGES_SHA256
    assert (images / build.DIGEST_FILE).read_text() == build.IMAGES_SHA256
    assert (videos / build.DIGEST_FILE).read_text() == build.CLIPS_SHA256


@pytest.mark.parametrize("left", ["", "\N{SNOWMAN}", None])
def test_a_sample_of_other_pixels_is_said_to_be_one(tmp_path, capsys, left):
    (tmp_path / "images").mkdir()
    if left is not None:
        (tmp_path / "images" / build.DIGEST_FILE).write_text(left, encoding="utf-8")
    build.build_image_sample(tmp_path / "images")
    assert "images: its pixels are not those of the numbers in the README" in capsys.readouterr().out


def test_the_sample_of_the_docs_is_used_without_a_word(images, videos, capsys):
    build.build_image_sample(images), build.build_video_sample(videos)
    assert capsys.readouterr().out == ""


def test_a_photograph_gives_the_same_bytes_again(images, tmp_path):
    build._write_images("chelsea", tmp_path)
    made = sorted(tmp_path.glob("*/*"))
    assert len(made) == 3 * len(SOURCES)
    for path in made:
        assert path.read_bytes() == (images / path.relative_to(tmp_path)).read_bytes()


def test_figures_show_each_real_crop_above_its_fake_and_whom_it_is_owed_to(images, monkeypatch):
    monkeypatch.setattr(build, "IMAGES_DIR", images)
    shown = show.shown_crops([path.relative_to(images).as_posix() for path in images.glob("*/*")])
    rows = list(shown.values())
    assert list(shown) == [REAL_SOURCES[0], FAKE_SOURCES[0], REAL_SOURCES[1], FAKE_SOURCES[1]]
    for real, fake in (rows[:2], rows[2:]):
        assert len(real) == len(fake) == len(show.SHOWN_PHOTOGRAPHS)
        assert all(correlation(*pair) > 0.6 for pair in zip(real, fake))  # of sky little more
    assert "china, danielbuechele, CC BY 2.0" in show.credit() and "flower" not in show.credit()


def test_every_photograph_is_credited_in_the_docs():
    readme = (REPOSITORY / "docs/data.md").read_text(encoding="utf-8")
    for photo in PHOTOGRAPHS:
        assert photo.name in readme and photo.author in readme


# whole or not there


def write_one_file(photograph, folder):
    """Stand in for the slow writers."""
    (folder / f"{photograph}.png").write_text("made")
    return f"digest of {photograph}"


def refuse_to_write(photograph, folder):
    """Stand in for a writer that must not be called, or fails."""
    raise AssertionError("built again")


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "sample").mkdir()
    build._build(tmp_path / "sample", refuse_to_write)


def test_a_failed_build_leaves_nothing(tmp_path):
    with pytest.raises(AssertionError, match="built again"):
        build._build(tmp_path / "new/sample", refuse_to_write)
    assert not list((tmp_path / "new").iterdir())


def test_after_a_kill_the_next_run_builds_and_a_later_one_clears_up(tmp_path):
    folder = tmp_path / "sample"
    call = f"""
import pathlib, time
from deepfake_spectra.sample import build
def write_slowly(photograph, folder):
    (folder / photograph).write_text("half")
    time.sleep(60)
build._build(pathlib.Path({str(folder)!r}), write_slowly)
"""
    process = subprocess.Popen([sys.executable, "-c", call], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob(".partial-*/sample/*")):
        assert process.poll() is None, "the build ended before it could be killed"
        time.sleep(0.02)
    process.kill()
    process.wait()
    (left_over,) = tmp_path.iterdir()
    build._build(folder, write_one_file)
    assert {path.stem for path in folder.glob("*.png")} == NAMES
    assert left_over.exists()  # it is young: it may be another run's
    os.utime(left_over, (0, 0))
    build._build(folder, refuse_to_write)
    assert list(tmp_path.iterdir()) == [folder]


def test_of_two_runs_at_once_the_slower_one_takes_what_the_faster_one_made(tmp_path):
    folder = tmp_path / "sample"

    def write_while_another_finishes(photograph, whole):
        folder.mkdir(exist_ok=True)
        (folder / f"{photograph}.png").write_text("by the faster one")
        return write_one_file(photograph, whole)

    build._build(folder, lambda photograph, folder: write_while_another_finishes(photograph, folder))
    assert {path.read_text() for path in folder.iterdir()} == {"by the faster one"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_full_disk_is_one_sentence_that_names_the_folder(tmp_path, capsys):
    def write_on_a_full_disk(photograph, folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(SystemExit) as end:
        run(lambda: build._build(tmp_path / "sample", write_on_a_full_disk))
    last = capsys.readouterr().err.splitlines()[-1]
    assert end.value.code == 1 and f"{tmp_path / 'sample'}: No space left on device; mend that" in last
    assert not list(tmp_path.iterdir())


# the clips


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


@pytest.mark.parametrize("number, left_at_first, left_at_last", [(0, 0, 256), (1, 256, 0)])
def test_clips_move_along_the_diagonals_and_show_the_grey_levels_there(videos, number, left_at_first, left_at_last):
    camera = build.load_photograph("camera")
    clip = frames(videos / "real" / f"camera_{number}.mp4")
    for frame, top, left in (clip[0], 0, left_at_first), (clip[-1], 256, left_at_last):
        window = camera[top : top + 256, left : left + 256]
        assert np.abs(frame - window).mean() < 6
        assert abs(frame.mean() - window.mean()) < 1


@pytest.mark.parametrize("number, left", [(0, 0), (1, 256)])
def test_fake_clips_are_painted_in_the_middle_by_the_generator_of_their_number(videos, number, left):
    real, fake = (frames(videos / label / f"camera_{number}.mp4") for label in ("real", "fake"))
    difference = np.abs(fake - real).mean(axis=0)
    corners = np.concatenate([difference[:32, :32], difference[-32:, -32:]])
    assert difference[96:160, 96:160].mean() > 2 * corners.mean()
    middle = np.s_[96:160, 96 + left : 160 + left]
    painted = [build._paint("camera")[1][name] for name in FAKE_SOURCES]
    errors = [np.abs(fake[0, 96:160, 96:160] - picture[middle]).mean() for picture in painted]
    assert errors[number] < 0.8 * errors[1 - number]


def test_real_and_fake_clips_carry_the_same_noise_and_other_clips_another():
    flat, bright = np.full((300, 300), 100, np.uint8), np.full((300, 300), 110, np.uint8)
    real, fake, other = (
        next(build._clip_frames("flat", flat, painted, number)).astype(float)
        for painted, number in ((flat, 0), (bright, 0), (flat, 1))
    )
    assert 1.9 < real.std() < 2.2 and abs(correlation(real, other)) < 0.02
    distance = np.hypot(*np.mgrid[-127.5:128, -127.5:128])
    np.testing.assert_array_equal((fake - real)[distance < 68], 10)
    np.testing.assert_array_equal((fake - real)[distance > 92], 0)


def test_clips_are_the_same_bytes_on_every_run(videos, tmp_path):
    build._write_clips("chelsea", tmp_path)
    made = sorted(tmp_path.glob("*/*"))
    assert len(made) == 4
    for clip in made:
        assert clip.read_bytes() == (videos / clip.relative_to(tmp_path)).read_bytes()


@needs_videos
def test_a_clip_that_ffmpeg_did_not_write_whole_ends_the_build(tmp_path):
    few = [np.zeros((256, 256), np.uint8)] * 3
    with pytest.raises(ExperimentError, match="a_0.mp4: ffmpeg wrote no whole file; is the disk full"):
        build._encode(tmp_path / "a_0.mp4", few)
    with pytest.raises(ExperimentError, match="a_0.mp4: ffmpeg wrote no whole file"):
        build._encode(tmp_path / "nowhere/a_0.mp4", few)


# the training


def test_patches_are_cut_from_everywhere_and_flipped_both_ways():
    photograph, random = np.arange(256, dtype=np.uint8).reshape(16, 16), np.random.default_rng(0)
    flips, rows, columns = set(), set(), set()
    for _ in range(200):
        patch = np.rint((training.random_patch([photograph], 12, random) + 1) * 127.5).astype(int)
        down, right = np.sign(patch[1, 0] - patch[0, 0]), np.sign(patch[0, 1] - patch[0, 0])
        upright = patch[::down, ::right]
        row, column = divmod(upright[0, 0], 16)
        np.testing.assert_array_equal(upright, photograph[row : row + 12, column : column + 12])
        flips.add((int(down), int(right))), rows.add(int(row)), columns.add(int(column))
    assert flips == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    assert rows == columns == set(range(5))


def test_in_the_report_photographs_alone_are_real_and_each_is_a_group_with_what_was_made_of_it():
    own, painted = pattern()[:48, :48], build.altered(pattern()[:48, :48])["blur"]
    dataset = training.dataset_of({"photographs/a_00": own, "blur/a_00": painted, "x_1/b_00": painted}, "jpeg 50")
    assert dataset.labels.tolist() == [0, 1, 1] and dataset.groups.tolist() == ["a", "a", "b"]
    assert dataset.sources.tolist() == ["photographs", "blur", "x_1"] and dataset.protocol == "by_photograph"
    encoded = cv2.imencode(".jpg", own, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    np.testing.assert_allclose(dataset.spectra[0], radial_spectrum(cv2.imdecode(encoded, 0)))


@needs_torch
def test_training_brings_a_generator_nearer_to_the_photographs_and_is_the_same_for_a_seed(tmp_path):
    coins = build.load_photograph("coins")
    recipe = {"batch_size": 4, "patch_side": 32, "learning_rate": 2e-3, "betas": (0.5, 0.99), "adversarial_weight": 0.1}
    made, errors = {}, {}
    for name, seed, steps in (("first", 0, 20), ("again", 0, 20), ("other", 1, 20), ("early", 0, 1)):
        settings = SimpleNamespace(steps=steps, l1_steps=18, **recipe)
        training.train("nearest_convolution", seed, settings, tmp_path / f"{name}.npz")
        made[name] = (tmp_path / f"{name}.npz").read_bytes()
        errors[name] = np.abs(resynthesise(coins, read_weights(tmp_path / f"{name}.npz")).astype(float) - coins).mean()
    assert made["first"] == made["again"] != made["other"]
    assert errors["first"] < 0.5 * errors["early"]


@needs_torch
def test_the_adversarial_loss_counts_after_the_first_steps_only(tmp_path):
    recipe = {"steps": 2, "batch_size": 2, "patch_side": 16, "learning_rate": 2e-3, "betas": (0.5, 0.99)}
    made = []
    for l1_steps, weight in ((1, 0.1), (1, 10.0), (2, 0.1), (2, 10.0)):
        settings = SimpleNamespace(l1_steps=l1_steps, adversarial_weight=weight, **recipe)
        training.train("transposed_convolution", 0, settings, tmp_path / "made.npz")
        made.append((tmp_path / "made.npz").read_bytes())
    assert made[0] != made[1] and made[2] == made[3] and made[0] != made[2]


@needs_torch
def test_a_generator_learns_to_paint_what_the_discriminator_takes_for_real(tmp_path, monkeypatch):
    import torch

    def bright_is_real():
        layer = torch.nn.Conv2d(1, 1, 1)
        torch.nn.init.ones_(layer.weight)
        return layer

    monkeypatch.setattr(training, "make_discriminator", bright_is_real)
    recipe = {"batch_size": 2, "patch_side": 16, "learning_rate": 2e-3, "betas": (0.5, 0.99)}
    settings = SimpleNamespace(steps=20, l1_steps=0, adversarial_weight=100.0, **recipe)
    training.train("transposed_convolution", 0, settings, tmp_path / "made.npz")
    assert resynthesise(pattern(), read_weights(tmp_path / "made.npz")).mean() > 200  # of 125


@pytest.mark.parametrize(
    "words, sentence",
    [
        (("--seeds",), "SEEDS is empty: expected at least one number"),
        (("--patch-side", "63"), "PATCH_SIDE is 63: expected a multiple of 4"),
        (("--betas", "0.5"), "BETAS is 0.5: expected two numbers"),
        (("--steps", "0"), "STEPS is 0: expected 1 to 1000000"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_a_wrong_call(call, words, sentence):
    ended = call("deepfake_spectra.sample.train", *words)
    assert ended.status == 2 and sentence in ended.err


class KilledPool(ProcessPoolExecutor):
    """Processes that end before their work."""

    def submit(self, *_):
        return super().submit(os._exit, 1)


@needs_torch
def test_a_training_that_was_killed_ends_in_one_sentence(call, monkeypatch):
    monkeypatch.setattr(training, "ProcessPoolExecutor", KilledPool)
    ended = call("deepfake_spectra.sample.train", "--steps", 1)
    assert (ended.status, ended.err.count("\n")) == (1, 1) and "want of memory; lower BATCH_SIZE" in ended.err


def test_without_torch_the_training_says_what_to_install(call, monkeypatch):
    monkeypatch.setattr("deepfake_spectra.packages.find_spec", lambda name: name != "torch")
    ended = call("deepfake_spectra.sample.train")
    assert ended.status == 1 and ended.err.endswith("run: pip install -r requirements-training.txt\n")


def damaged_weights(folder):
    """Yield (what is wrong, file) of weights that cannot be a trained generator's."""
    path, whole = folder / "nearest_convolution_0.npz", load_generator("nearest_convolution")
    path.write_bytes((generators.WEIGHTS_FOLDER / "nearest_convolution.npz").read_bytes()[:-100])
    yield "cut", path
    path.write_bytes(b"")
    yield "empty", path
    for wrong, value in (("a shape", np.zeros(2)), ("not a number", np.full_like(whole["output.bias"], np.nan))):
        np.savez(path, **whole | {"output.bias": value})
        yield wrong, path
    del whole["output.bias"]
    np.savez(path, **whole)
    yield "a layer is missing", path


@needs_torch
def test_damaged_weights_of_a_training_are_one_sentence(tmp_path):
    for wrong, path in damaged_weights(tmp_path):
        with pytest.raises(ExperimentError, match="nearest_convolution_0.npz: damaged, .*; remove it and run again"):
            training.read_trained(path)
            pytest.fail(f"taken: {wrong}")


@pytest.fixture
def trained(call, tmp_path, monkeypatch):
    """What the training script leaves of the shipped weights, as seed 5, on a few photographs, in two splits."""
    monkeypatch.setattr(training, "PHOTOGRAPHS", [photo for photo in PHOTOGRAPHS if photo.name in FEW])
    words = ["--seeds", 5, "--n-splits", 2, "--steps", 1, "--output-dir", tmp_path / "plots"]
    hardly = call("deepfake_spectra.sample.train", *words)
    assert hardly.status == 1 and "blank" in hardly.err and "train for more STEPS" in hardly.err
    for name in FAKE_SOURCES:
        (path,) = tmp_path.glob(f"repository/data/sample_generators/*/{name}_5.npz")
        weights = load_generator(name)
        if name == "nearest_convolution":  # not quite the shipped ones
            weights["output.bias"] = np.nextafter(weights["output.bias"], 1)
        np.savez(path, **weights)
    finished = call("deepfake_spectra.sample.train", *words)  # what is finished is not trained again
    assert finished.status == 0 and finished.out.startswith("0 of 2 generators to train")
    return tmp_path / "plots/built_in_sample"


def expected_recalls(names, real, trained, asked):
    """A linear SVM's recalls in two splits of photographs, by a loop of its own; `real`, ... give a name's crops."""
    from sklearn.svm import SVC

    def columns(crops_of, photographs):
        return [radial_spectrum(crop) for photograph in photographs for crop in crops_of(photograph)]

    scores = []
    for seed in range(2):
        in_test = held_out_rows(["any"] * len(names), names, 0.2, seed)
        sides = [[name for name, tested in zip(names, in_test) if tested == side] for side in (False, True)]
        (train_real, train_fake), (test_real, test_fake) = (
            (columns(real, side), columns(fake, side)) for side, fake in zip(sides, (trained, asked))
        )
        svm = SVC(kernel="linear").fit(train_real + train_fake, np.repeat([0, 1], len(train_real)))
        scores.append([1 - svm.predict(test_real).mean(), svm.predict(test_fake).mean()])
    return np.transpose(scores)


def jpeg_90(crops_of):
    """The same crops, each stored as a JPEG of quality 90."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
    return lambda name: [cv2.imdecode(cv2.imencode(".jpg", crop, quality)[1], 0) for crop in crops_of(name)]


@needs_torch
def test_report_tells_what_a_detector_of_one_generator_makes_of_all_else(trained):
    results = json.loads((trained / "sample_generators_results.json").read_text())
    found = {(row["table"], row["protocol"], row["condition"], row["metric"]): row for row in results["rows"]}
    real, bicubic, blurred = (
        lambda name, alter=alter: build.crops(alter(build.load_photograph(name)))
        for alter in (np.asarray, build.upsample_bicubically, lambda gray: cv2.GaussianBlur(gray, (0, 0), 0.8))
    )
    fakes = {source: lambda name, source=source: build.crops(build._paint(name)[1][source]) for source in FAKE_SOURCES}
    for own, other in (FAKE_SOURCES, FAKE_SOURCES[::-1]):
        fake = fakes[own]
        for condition, asked, expected in (
            ("the same generator", f"{own}_5", expected_recalls(FEW, real, fake, fake)),
            ("without china, flower, rocket", f"{own}_5", expected_recalls(("chelsea", "coins"), real, fake, fake)),
            ("all as JPEG 90", f"{own}_5", expected_recalls(FEW, *map(jpeg_90, (real, fake, fake)))),
            ("the other generator", f"{other}_5", expected_recalls(FEW, real, fake, fakes[other])),
            ("bicubic_upsampling", "bicubic_upsampling", expected_recalls(FEW, real, fake, bicubic)),
            ("blur", "blur", expected_recalls(FEW, real, fake, blurred)),
        ):
            for metric, scores in zip(("accuracy", "recall_real", "recall_fake"), (expected.mean(axis=0), *expected)):
                row = found[own, "by_photograph", condition, metric]
                assert row["scores"] == pytest.approx(scores), (own, condition, metric)
                assert row["train_sources"] == ["photographs", f"{own}_5"]
                assert row["test_sources"] == ["photographs", asked]
        for protocol, n_test in (("all_rows", {52}), ("held_out", {12, 28})):
            row = found[own, protocol, "the same generator", "accuracy"]
            assert row["classifier"] == "k_means" and set(row["n_test"]) <= n_test
    assert len({key[:3] for key in found}) == 2 * (6 + 2)

    report = (trained / "sample_generators_accuracy.md").read_text(encoding="utf-8")
    assert "photographs 26, transposed_convolution_5 26, nearest_convolution_5 26, bicubic_upsampling 26" in report
    assert "transposed_convolution_5 is the transposed_convolution that is shipped" in report
    assert "nearest_convolution_5 is not the nearest_convolution that is shipped" in report
    for name, section in zip(FAKE_SOURCES, report.split("\nTrained on ")[1:], strict=True):
        assert section.startswith(f"photographs and {name}, ") and f"| photographs + {name}_5" in section
    levels = [build._paint(name)[1]["transposed_convolution"] for name in FEW]
    brighter = np.mean([np.mean(build.crops(painted), axis=(1, 2)).sum() for painted in levels])
    brighter -= np.mean([np.mean(real(name), axis=(1, 2)).sum() for name in FEW])
    assert f"transposed_convolution_5 {3 * brighter / 26:+.1f}" in report
