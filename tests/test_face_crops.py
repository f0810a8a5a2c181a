"""Frames of videos, faces in them, and the squares that are cut out. The face is NASA's astronaut, of scikit-image."""

import os

import numpy as np
import pytest
import skimage.data
from conftest import linux_only
from video_clips import H264, ffmpeg, needs_videos, stairs, step_of, write_clip

from deepfake_spectra.errors import NoCrops
from deepfake_spectra.face_crops import Face, Frame, detect_faces, face_crops, face_square, image_crops, sampled_frames
from deepfake_spectra.opencv import cv2

FACE_X, FACE_Y = 223, 120  # middle of the astronaut's face, by eye
pytestmark = needs_videos

N_FRAMES = 60
ENCODERS = {
    "h264.mp4": H264,
    "h264.mkv": H264,
    "h264.mov": H264,
    "mpeg4.avi": ("-c:v", "mpeg4", "-q:v", "2"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
    "h264_10_bit.mp4": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"),
    "hevc_10_bit.mp4": ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=0"),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with a whole clip and many a broken one."""
    folder = tmp_path_factory.mktemp("clips")
    whole = write_clip(folder / "whole.mp4", noise(), *H264)
    first = write_clip(folder / "index_first.mp4", noise(), *H264, "-movflags", "+faststart")
    matroska = write_clip(folder / "whole.mkv", noise(), *H264)
    for path in (whole, first, matroska):
        content = path.read_bytes()
        path.with_stem(path.stem + "_cut_short").write_bytes(content[: len(content) // 2])
    content = bytearray(first.read_bytes())
    content[len(content) // 2 : len(content) * 3 // 4] = bytes(len(content) * 3 // 4 - len(content) // 2)
    (folder / "zeroed.mp4").write_bytes(content)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("not a video\n" * 100)
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(folder / "audio.mp4"))
    write_clip(folder / "av1.mp4", noise(10), "-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "loglevel=0")
    return folder


def noise(n_frames=N_FRAMES):
    """Frames that do not compress, so that half of the file is half of the frames."""
    return np.random.default_rng(0).integers(0, 256, (n_frames, 48, 64), dtype=np.uint8)


def astronaut(scale=1):
    """The photograph, blue first."""
    image = np.ascontiguousarray(skimage.data.astronaut()[..., ::-1])
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def placed(x, y, scale=1, shape=(720, 1280)):
    """The photograph with its upper left corner at (x, y) of a grey image; what stands out is cut off."""
    image = np.full((*shape, 3), 128, np.uint8)
    portrait = astronaut(scale)[: shape[0] - y, : shape[1] - x]
    image[y : y + portrait.shape[0], x : x + portrait.shape[1]] = portrait
    return image


def as_frames(images):
    """Images as the frames of a video."""
    return [Frame(index, index / 25, image) for index, image in enumerate(images)]


def middle(face):
    """(x, y) of the middle of a box or a square."""
    width, height = (face.width, face.height) if isinstance(face, Face) else (face.size, face.size)
    return np.array([face.x + width / 2, face.y + height / 2])


@pytest.mark.parametrize("name", ENCODERS)
def test_frames_come_from_the_middles_of_equal_parts_in_every_container(name, tmp_path):
    path = write_clip(tmp_path / name, stairs(N_FRAMES), *ENCODERS[name])
    frames = list(sampled_frames(path, 20))
    assert [frame.index for frame in frames] == list(range(1, 60, 3))
    assert [step_of(frame.image) for frame in frames] == list(range(1, 60, 3))
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(1, 60, 3)], abs=0.002)
    assert frames[0].image.shape == (48, 64, 3) and frames[0].image.dtype == np.uint8


def test_a_short_video_gives_each_frame_once(tmp_path):
    path = write_clip(tmp_path / "short.mp4", stairs(7))
    assert [step_of(frame.image) for frame in sampled_frames(path, 20)] == list(range(7))


def test_one_frame_is_the_middle_one(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", stairs(9))
    assert [frame.index for frame in sampled_frames(path, 1)] == [4]


def test_frames_of_unequal_length_are_counted_as_frames_and_keep_their_times(tmp_path):
    kept = [*range(20), *range(20, 60, 5)]
    drop = ("-vf", "select='lt(n,20)+not(mod(n,5))'", "-fps_mode", "vfr")
    path = write_clip(tmp_path / "clip.mp4", stairs(60), *drop, *H264)
    frames = list(sampled_frames(path, 28))
    assert [frame.index for frame in frames] == list(range(28))
    assert [step_of(frame.image) for frame in frames] == kept
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in kept], abs=0.002)


def joined(folder, *clips):
    """MPEG transport streams one after the other, as one file."""
    path = folder / "joined.ts"
    parts = [write_clip(folder / f"{number}.ts", frames, *H264) for number, frames in enumerate(clips)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("container", ["ts", "mkv", "mp4"])
def test_a_clip_whose_pictures_change_their_size_is_refused(tmp_path, container):
    path = joined(tmp_path, stairs(10), stairs(10, 96, 128))
    if container != "ts":
        path = path.with_suffix(f".{container}")
        ffmpeg("-i", str(path.with_suffix(".ts")), "-c", "copy", str(path))
    with pytest.raises(NoCrops, match="pictures of 2 sizes, 64x48 and 128x96; split it where the size changes"):
        list(sampled_frames(path, 20))


def test_times_go_on_where_those_of_a_joined_clip_start_again(tmp_path):
    frames = list(sampled_frames(joined(tmp_path, stairs(10), stairs(10), stairs(5)), 25))
    assert [step_of(frame.image) for frame in frames] == [*range(10), *range(10), *range(5)]
    assert [frame.time for frame in frames] == pytest.approx(np.arange(25) / 25, abs=0.002)


def test_a_clip_whose_clock_starts_late_is_not_taken_for_truncated(tmp_path):
    whole = write_clip(tmp_path / "whole.mkv", stairs(10))
    ffmpeg("-itsoffset", "3600", "-i", str(whole), "-c", "copy", str(tmp_path / "late.mkv"))
    assert len(list(sampled_frames(tmp_path / "late.mkv", 20))) == 10


def test_a_huge_number_of_frames_gives_each_frame_once_and_costs_nothing(tmp_path):
    path = write_clip(tmp_path / "short.mp4", stairs(7))
    assert [frame.index for frame in sampled_frames(path, 10**15)] == list(range(7))


def test_rotation_by_a_phone_is_applied(tmp_path):
    frames = np.zeros((10, 48, 64), np.uint8)
    frames[:, :, 32:] = 255  # right half white
    upright = write_clip(tmp_path / "upright.mp4", frames)
    ffmpeg("-display_rotation", "90", "-i", str(upright), "-c", "copy", str(tmp_path / "turned.mp4"))
    image = next(sampled_frames(tmp_path / "turned.mp4", 1)).image
    assert image.shape == (64, 48, 3)
    assert image[:28].mean() > 250 and image[36:].mean() < 5  # counter-clockwise: what was right is on top


def test_a_clip_trimmed_without_encoding_gives_the_frames_it_shows(tmp_path):
    whole = write_clip(tmp_path / "whole.mp4", stairs(60), *H264, "-g", "12")
    ffmpeg("-ss", "1.08", "-i", str(whole), "-c", "copy", str(tmp_path / "trimmed.mp4"))  # frame 27, key frame 24
    frames = list(sampled_frames(tmp_path / "trimmed.mp4", 12))
    assert len(frames) >= 10
    assert [step_of(frame.image) for frame in frames] == [27 + frame.index for frame in frames]
    assert set(np.diff([frame.index for frame in frames])) == {3}


def test_a_clip_of_which_little_is_shown_is_refused(tmp_path):
    whole = write_clip(tmp_path / "whole.mp4", stairs(60), *H264, "-g", "60")
    ffmpeg("-ss", "1.6", "-i", str(whole), "-c", "copy", str(tmp_path / "trimmed.mp4"))
    with pytest.raises(NoCrops, match="only 20 of 60 frames can be decoded: damaged, or trimmed"):
        list(sampled_frames(tmp_path / "trimmed.mp4", 12))


def test_a_frame_without_a_time_comes_one_step_of_the_rate_after_the_last(tmp_path):
    path = write_clip(tmp_path / "packed.avi", stairs(60), "-c:v", "libxvid", "-bf", "2")  # its last frame has none
    times = [frame.time for frame in sampled_frames(path, 60)]
    assert np.diff(times[:-1]) == pytest.approx(1 / 25, abs=0.001)
    assert times[-1] == pytest.approx(times[-2] + 1 / 25)


@linux_only
def test_a_name_that_is_not_unicode_is_read(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9 \n.mp4")
    write_clip(tmp_path / "clip.mp4", stairs(5)).rename(path)
    assert len(list(sampled_frames(path, 5))) == 5


@pytest.mark.parametrize(
    "name, reason",
    [
        ("empty.mp4", "empty file"),
        ("text.mp4", "not a video"),
        ("audio.mp4", "audio only"),
        ("av1.mp4", "av1 video that OpenCV cannot decode"),
        ("whole_cut_short.mp4", "truncated: its index is missing"),
        ("index_first_cut_short.mp4", r"truncated: breaks off after \d\d of 60 frames"),
        ("whole_cut_short.mkv", r"truncated: breaks off after \d\d of 60 frames"),
        ("zeroed.mp4", "truncated|damaged"),
        ("missing.mp4", "No such file"),
    ],
)
def test_a_video_that_cannot_be_read_says_why_and_nothing_else(clips, name, reason, capfd):
    with pytest.raises(NoCrops, match=reason):
        list(sampled_frames(clips / name, 20))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["whole.mp4", "index_first.mp4", "whole.mkv"])
def test_flipped_bits_give_frames_or_a_reason_and_nothing_else(clips, tmp_path, name, capfd):
    random = np.random.default_rng(0)
    for n_flips in (1, 3, 10, 30, 100):
        content = np.fromfile(clips / name, np.uint8)
        content[random.integers(0, min(len(content), 4000), n_flips)] ^= 1 << random.integers(0, 8, n_flips, np.uint8)
        content.tofile(tmp_path / name)
        try:
            times = [frame.time for frame in sampled_frames(tmp_path / name, 5)]
            assert times == sorted(times) and times
        except NoCrops as reason:
            assert str(reason)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("width, height", [(1, 1), (64, 1), (3, 5)])
def test_pictures_of_a_few_pixels_are_pictures(tmp_path, width, height):
    path = write_clip(tmp_path / "tiny.avi", np.full((3, height, width), 200, np.uint8), "-c:v", "ffv1")
    crops = list(face_crops(sampled_frames(path, 20), "centre"))
    assert [crop.image.shape for crop in crops] == [(min(width, height), min(width, height), 3)] * 3


def test_the_face_is_found_where_it_is():
    face, *others = detect_faces(astronaut())
    assert not others
    assert middle(face) == pytest.approx((FACE_X, FACE_Y), abs=15)
    assert 80 < face.width < face.height < 180
    assert face.score > 0.8


@pytest.mark.parametrize("scale, shape", [(1, (720, 1280)), (2, (1080, 1920)), (1, (1280, 720)), (0.5, (300, 517))])
def test_boxes_are_in_pixels_of_the_full_image_whatever_its_size(scale, shape):
    x, y = shape[1] // 5, shape[0] // 30
    face = detect_faces(placed(x, y, scale, shape))[0]
    expected = (x + scale * FACE_X, y + scale * FACE_Y)
    assert middle(face) == pytest.approx(expected, abs=15 * scale)
    assert 80 * scale < face.width < face.height < 180 * scale


def test_the_detector_sees_red_green_blue_and_averages_of_pixels(monkeypatch):
    seen = []

    def detector(image, threshold):
        seen.append(image)
        return np.empty((0, 5), np.float32), None

    monkeypatch.setattr("deepfake_spectra.face_crops._center_face", lambda: detector)
    blue = np.zeros((100, 200, 3), np.uint8)
    blue[..., 0] = 255
    assert detect_faces(blue) == []
    assert seen[0].shape == (128, 224, 3)
    assert np.array_equal(seen[0][0, 0], [0, 0, 255])
    stripes = np.zeros((640, 1280, 3), np.uint8)
    stripes[:, ::2] = 254
    detect_faces(stripes)
    assert seen[1].shape == (320, 640, 3) and (seen[1] == 127).all()  # halved, and no pixel left out


def test_the_largest_face_comes_first():
    image = placed(0, 0, 0.5)
    image[100:612, 600:1112] = astronaut()
    large, small = detect_faces(image)
    assert large.x > 600 > small.x
    assert large.width * large.height > 2 * small.width * small.height


@pytest.mark.parametrize(
    "face, square",
    [
        ((100, 60, 40, 60, 1), (81, 51, 78)),  # 1.3 times the longer side, about the same middle
        ((0, 60, 40, 60, 1), (0, 51, 78)),  # left border: moved, not shrunk
        ((280, 170, 40, 70, 1), (229, 149, 91)),  # lower right corner
        ((100, 10, 150, 200, 1), (55, 0, 240)),  # larger than the image: as large as fits
        ((100.4, 60.4, 39.6, 59.7, 1), (81, 51, 78)),
    ],
)
def test_square_of_a_face(face, square):
    assert face_square(Face(*face), 1.3, (240, 320, 3)) == square


def test_a_box_of_no_size_and_a_huge_margin_give_a_square_in_the_image():
    assert face_square(Face(10, 20, 0, 0, 1), 1.3, (48, 64)) == (10, 20, 1)
    assert face_square(Face(10, 20, 9, 9, 1), 1e308, (48, 64)) == (0, 0, 48)


def test_a_crop_holds_the_pixels_of_its_frame():
    frame = Frame(7, 0.28, placed(300, 100))
    (crop,) = face_crops([frame])
    face = detect_faces(frame.image)[0]
    assert (crop.index, crop.time, crop.score) == (7, 0.28, face.score)
    assert crop.size == round(1.3 * max(face.width, face.height))
    assert middle(crop) == pytest.approx(middle(face), abs=1)
    assert np.array_equal(crop.image, frame.image[crop.y : crop.y + crop.size, crop.x : crop.x + crop.size])
    assert crop.image.base is None  # so that a kept crop does not keep its frame


def test_an_image_gives_a_crop_of_each_face_and_the_first_is_that_of_a_frame():
    image = np.zeros((700, 1200, 3), np.uint8)
    image[100:612, 600:1112] = astronaut()
    image[300:556, 100:356] = astronaut(0.5)
    first, second = image_crops(image)
    [of_frame] = face_crops([Frame(0, 0.0, image)])
    assert first[:6] == of_frame[:6] and np.array_equal(first.image, of_frame.image)
    assert first.x >= 600 > 356 > second.x + second.size / 2 and first.size > second.size
    assert [crop[2:5] for crop in image_crops(image, "centre")] == [(250, 0, 700)]
    with pytest.raises(NoCrops, match="^no face found$"):
        image_crops(np.zeros_like(image))


def test_margin_scales_the_square():
    small, large = (next(face_crops([Frame(0, 0, placed(300, 100))], margin=margin)) for margin in (1.0, 2.0))
    assert large.size == pytest.approx(2 * small.size, abs=1)


def moved(*lefts):
    """The photograph, small, on the same height of an image each time; a larger one elsewhere where `left` is None."""
    shape = (288, 512)
    return as_frames(placed(240, 0, 0.7, shape) if left is None else placed(left, 100, 0.4, shape) for left in lefts)


@pytest.mark.parametrize("lefts", [(40, 40, 40, None, 40, 40), (None, 40, 40, 40, 40, None)])
def test_a_false_hit_in_the_middle_or_at_an_end_does_not_move_the_box(lefts):
    frames = moved(*lefts)
    assert detect_faces(frames[lefts.index(None)].image)[0].x > 300  # the hit is there, and the largest
    crops = list(face_crops(frames))
    assert [crop.index for crop in crops] == list(range(6))
    assert len({(crop.x, crop.y, crop.size) for crop in crops}) == 1 and crops[0].x < 150


def test_a_face_that_moves_is_followed():
    lefts = range(0, 280, 40)
    crops = list(face_crops(moved(*lefts)))
    for left, crop in list(zip(lefts, crops))[2:-2]:  # at either end the median has neighbours on one side only
        assert middle(crop) == pytest.approx((left + 0.4 * FACE_X, 100 + 0.4 * FACE_Y), abs=10)


def test_frames_without_a_face_are_left_out():
    frames = moved(40, 40, 44)
    blank = np.full_like(frames[0].image, 128)
    images = [blank, frames[0].image, blank, frames[2].image, blank]
    assert [crop.index for crop in face_crops(as_frames(images))] == [1, 3]


@pytest.mark.parametrize("n_frames, reason", [(1, "no face found"), (4, "no face in any of 4 frames")])
def test_no_face_at_all_is_said(n_frames, reason):
    blank = np.full((90, 160, 3), 128, np.uint8)
    with pytest.raises(NoCrops, match=reason):
        list(face_crops(as_frames([blank] * n_frames)))


@pytest.mark.parametrize("shape, square", [((48, 64), (8, 0, 48)), ((65, 48), (0, 8, 48)), ((9, 9), (0, 0, 9))])
def test_centre_crop_is_the_largest_square_in_the_middle(shape, square):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    (crop,) = face_crops([Frame(0, 0, image)], "centre")
    x, y, size = square
    assert (crop.x, crop.y, crop.size, crop.score) == (x, y, size, None)
    assert np.array_equal(crop.image, image[y : y + size, x : x + size])


def test_few_frames_are_held_at_a_time():
    taken = []
    frames = (taken.append(frame.index) or frame for frame in moved(*[40] * 6))
    next(face_crops(frames))
    assert taken == [0, 1, 2]
