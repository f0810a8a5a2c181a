"""Images, videos and folders of them -> what a detector says of each, and why it cannot."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from deepfake_spectra.dataset import BUILT_IN_SAMPLE, CLASS_NAMES, FAKE, REAL
from deepfake_spectra.detector import FakeDetector
from deepfake_spectra.errors import NoCrops, UnreadableImage
from deepfake_spectra.face_crops import VIDEO_ENDINGS, Frame, face_crops, sampled_frames
from deepfake_spectra.image_files import (
    REMARKS,
    decode_gray,
    list_images,
    looks_like_image,
    read_colour,
    read_gray,
    unread_kind,
    visible_files,
)
from deepfake_spectra.opencv import cv2
from deepfake_spectra.video_crops import CropOptions


class File(NamedTuple):
    """A file to be judged, or the reason why it cannot be."""

    path: Path
    kind: Literal["image", "video", ""]
    error: str | None = None


class Judgement(NamedTuple):
    """What is said of a file; None: nothing to say."""

    path: str
    kind: str
    verdict: str | None = None  # "real" or "fake"
    score: float | None = None  # probability of fake; of a video, the mean over its crops
    n_frames: int | None = None  # that were looked at for a face
    n_faces: int | None = None  # frames with a face
    share_fake: float | None = None  # of the crops of a video, those with a score of at least 0.5
    warnings: tuple[str, ...] = ()
    error: str | None = None
    spectrum: np.ndarray | None = None  # of a video, the mean over its crops


def list_files(names: Iterable[str]) -> list[File]:
    """Return the files that the arguments name, once each, those of a folder sorted by path."""
    files = {}
    for path in map(Path, names):
        try:
            found = _files_in(path) if path.is_dir() else [_named_file(path)]
        except OSError as error:
            found = [File(path, "", error.strerror)]
        for file in found:
            files.setdefault(file.path.absolute(), file)
    return list(files.values())


def judge(file: File, detector: FakeDetector, options: CropOptions, face: bool = False) -> Judgement:
    """Return what a detector says of a file, or why it cannot.

    Parameters
    ----------
    file : File
    detector : FakeDetector
    options : CropOptions
        How faces are cut out of the frames of videos.
    face : bool
        Whether the largest face is cut out of images, too.
    """
    judgement = Judgement(str(file.path), file.kind, error=file.error)
    if file.error:
        return judgement
    try:
        judged = _judge_video(file.path, detector, options) if file.kind == "video" else _judge_image(
            file.path, detector, options if face else None
        )  # fmt: skip
    except (UnreadableImage, NoCrops) as reason:
        return judgement._replace(error=str(reason))
    verdict = CLASS_NAMES[FAKE if judged["score"] >= 0.5 else REAL]
    warnings = (*judged.pop("warnings"), *_general_warnings(file.kind, detector, face))
    return judgement._replace(verdict=verdict, warnings=warnings, **judged)


def _judge_image(path, detector, face_options):
    """Return fields of a Judgement for an image, or for the face in it."""
    gray, header, remarks, _ = read_gray(path)
    fields = {}
    if face_options:
        frames = [Frame(0, 0.0, read_colour(path))]
        (crop,) = face_crops(frames, face_options.face_detector, face_options.face_margin)
        gray = _through_png(crop.image).gray
        header = header.copy()
        header["width"] = header["height"] = crop.size  # format and quality stay those of the file
        fields = {"n_frames": 1, "n_faces": int(crop.score is not None)}
    spectrum = detector.spectrum(gray)
    changes = [REMARKS[key] for key in remarks if key != "grey"]  # a grey image is as good as a coloured one
    warnings = [*detector.warnings(spectrum, header).values(), *changes]
    return fields | {"score": detector.score(spectrum), "warnings": warnings, "spectrum": spectrum}


def _judge_video(path, detector, options):
    """Return fields of a Judgement for a video, from the face crops of some of its frames."""
    n_frames = n_faces = 0
    scores, spectra, warnings, reason = [], [], {}, None

    def counted_frames():
        nonlocal n_frames
        for frame in sampled_frames(path, options.frames_per_video):
            n_frames += 1
            yield frame

    for crop in face_crops(counted_frames(), options.face_detector, options.face_margin):
        n_faces += crop.score is not None
        image = _through_png(crop.image)
        try:
            spectrum = detector.spectrum(image.gray)
        except UnreadableImage as error:
            reason = error
            warnings.setdefault("left out", []).append(f"left out: {error}")
            continue
        spectra.append(spectrum)
        scores.append(detector.score(spectrum))
        for key, text in detector.warnings(spectrum, image.header).items():
            warnings.setdefault(key, []).append(text)
    if not scores:
        raise reason
    return {
        "score": float(np.mean(scores)),
        "n_frames": n_frames,
        "n_faces": n_faces,
        "share_fake": float(np.mean(np.array(scores) >= 0.5)),
        "warnings": [
            f"{texts[0]}{' or the like' if len(set(texts)) > 1 else ''} ({len(texts)} of {n_frames} frames)"
            for texts in warnings.values()
        ],
        "spectrum": np.mean(spectra, axis=0),
    }


def _through_png(crop):
    """Return a crop as training read it: `extract_video_frames.py` writes PNG, and the reader makes grey of that."""
    return decode_gray(cv2.imencode(".png", crop)[1].tobytes())


def _general_warnings(kind, detector, face) -> Iterator[str]:
    """Yield what is to be known of every verdict on files of this kind."""
    if detector.experiment == "deepfake_detection":
        if kind == "image":
            yield "an image, by a detector of face crops of videos" + ("" if face else "; --face cuts the face out")
    elif kind == "video":
        yield "face crops of a video, by a detector of whole still images"
    elif face:
        yield "a face crop, by a detector of whole images"
    if detector.dataset.origin is BUILT_IN_SAMPLE:
        yield "judged by the built-in sample"


def _files_in(folder):
    """Return the images and videos under a folder, and the files that only pretend to be images."""
    images, skipped = list_images(folder)
    files = [File(path, "image") for path in images] + [File(path, "image", reason) for path, reason in skipped]
    known = {file.path for file in files}
    files += [
        File(path, "video")
        for path in visible_files(folder)
        if path.suffix.lower() in VIDEO_ENDINGS and path not in known
    ]
    return sorted(files, key=lambda file: file.path) or [File(folder, "", "found no image and no video in this folder")]


def _named_file(path):
    """Return a file that was named itself: whatever is wrong with it is to be said."""
    if not path.is_file():
        return File(path, "", "not a file" if path.exists() else "no such file or folder")
    if reason := unread_kind(path):
        return File(path, "image", reason)
    if looks_like_image(path):
        return File(path, "image")
    if path.suffix.lower() in VIDEO_ENDINGS:
        return File(path, "video")
    return File(path, "", "neither an image nor a video" if path.stat().st_size else "empty file")
