"""Images, videos and folders of them -> what a detector says of each, and why it cannot."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from deepfake_spectra.alterations import alter
from deepfake_spectra.answers import UNSURE
from deepfake_spectra.dataset import BUILT_IN_SAMPLE
from deepfake_spectra.detector import FakeDetector
from deepfake_spectra.errors import NoCrops, UnreadableImage, UsageError
from deepfake_spectra.face_crops import VIDEO_ENDINGS, face_crops, image_crops, sampled_frames
from deepfake_spectra.file_remarks import file_remarks
from deepfake_spectra.image_files import (
    REMARKS,
    decode_gray,
    file_content,
    list_images,
    looks_like_image,
    read_colour,
    unread_kind,
    visible_files,
)
from deepfake_spectra.opencv import cv2
from deepfake_spectra.video_crops import CropOptions

COPIES: dict[str, Callable[[int, int], str]] = {  # what happens to pictures: (height, width) -> steps of `alter`
    "JPEG 90": lambda height, width: "jpeg 90",
    "JPEG 75": lambda height, width: "jpeg 75",
    "JPEG 60": lambda height, width: "jpeg 60",
    "scaled by 0.75": lambda height, width: f"resize {round(0.75 * width)}x{round(0.75 * height)}",
    "scaled by 0.5": lambda height, width: f"resize {round(0.5 * width)}x{round(0.5 * height)}",
    "8 pixels cut off": lambda height, width: f"crop {width - 16}x{height - 16}",  # of each edge
}


MOST_MOMENTS = 3  # of a video that are named


class File(NamedTuple):
    """A file to be judged, or the reason why it cannot be."""

    path: Path
    kind: Literal["image", "video", ""]
    error: str | None = None


class Moment(NamedTuple):
    """A frame of a video, and what its crop alone scores."""

    seconds: float
    score: float

    def __str__(self) -> str:
        """Return minutes and seconds, as players show them."""
        minutes, seconds = divmod(int(self.seconds), 60)
        return f"{minutes:02}:{seconds:02}"


class Judgement(NamedTuple):
    """What is said of a file, or of one of several faces in an image; None: nothing to say."""

    path: str
    kind: str
    verdict: str | None = None  # "real", "fake" or "unsure"
    score: float | None = None  # probability of fake; of a video, the mean over its crops
    reasons: tuple[str, ...] = ()  # for "unsure": "size", "format", "jpeg_quality", "range", "kind", "score", "copies"
    lowest_copy: float | None = None  # the lowest score of the file and its copies, where some were asked for
    highest_copy: float | None = None
    flipped_by: tuple[str, ...] = ()  # copies whose score lies on the other side of one half
    n_frames: int | None = None  # that were looked at for a face
    n_faces: int | None = None  # frames with a face
    share_fake: float | None = None  # of the crops of a video, those with a score of at least 0.5
    decided_at: tuple[Moment, ...] = ()  # the frames of a video that pull its score most to its side, in order of time
    face: int | None = None  # of several in an image, from 1
    box: tuple[int, int, int] | None = None  # of the face's square in an image: x, y, size in pixels
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()  # of images: what the file says of itself, see `file_remarks`; no verdict rests on it
    error: str | None = None
    spectrum: np.ndarray | None = None  # of a video, the mean over its crops

    @property
    def name(self) -> str:
        """Return the path, and behind # which face it is."""
        return f"{self.path}#{self.face}" if self.face else self.path


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


def judge(
    file: File, detector: FakeDetector, options: CropOptions, face: bool = False, stability: bool = False
) -> list[Judgement]:
    """Return what a detector says of a file, or of each face in an image, or why it cannot.

    Parameters
    ----------
    file : File
    detector : FakeDetector
    options : CropOptions
        How faces are cut out of the frames of videos.
    face : bool
        Whether faces are cut out of images, too; of several each is judged, the largest first.
    stability : bool
        Whether COPIES are asked, too: an answer that does not survive them is none.
    """
    blank = Judgement(str(file.path), file.kind, error=file.error)
    if file.error:
        return [blank]
    copies = COPIES if stability else {}
    try:
        if file.kind == "video":
            judged = [_judge_video(file.path, detector, options, copies)]
        else:
            judged = _judge_image(file.path, detector, options if face else None, copies)
    except (UnreadableImage, NoCrops) as reason:
        return [blank._replace(error=str(reason))]
    return [_with_verdict(blank, fields, detector, face) for fields in judged]


def _with_verdict(judgement, judged, detector, face):
    """Return a judgement with its fields and the verdict; `judged` holds what it rests on, too, or an error."""
    if "error" in judged:
        return judgement._replace(**judged)
    unlike, warnings, scores = (judged.pop(name) for name in ("unlike", "warnings", "copies"))
    said, reasons = detector.answer(judged["score"], unlike)
    if "score" in reasons:
        warnings.append(_unsure_text(judged["score"], detector.limits))
    if scores:
        judged |= _survival(judged["score"], scores)
        reasons += ("copies",) * bool(judged["flipped_by"])
    if kinds := list(_kind_warnings(judgement.kind, detector, face)):
        reasons += ("kind",)
    if detector.dataset.origin is BUILT_IN_SAMPLE:
        kinds.append("judged by the built-in sample")
    verdict = UNSURE if reasons else said
    return judgement._replace(verdict=verdict, reasons=reasons, warnings=(*warnings, *kinds), **judged)


def deciding_moments(moments: Sequence[Moment], score: float) -> tuple[Moment, ...]:
    """Return, in order of time, the few moments that lie farthest on the side of a video's score."""
    own_side = [moment for moment in moments if (moment.score >= 0.5) == (score >= 0.5)]
    farthest = sorted(own_side, key=lambda moment: abs(moment.score - 0.5), reverse=True)
    return tuple(sorted(farthest[:MOST_MOMENTS]))


def _unsure_text(score, limits):
    """Return why a score is no answer."""
    if score >= 0.5:
        return "held-out real images score as high" if limits.fake_above < 1 else "only one real source in training"
    return "held-out fake images score as low" if limits.real_below > 0 else "only one fake source in training"


def _survival(score, scores_of_copies):
    """Return fields of a Judgement: what the score of a file became in its copies, {name: score}."""
    scores = [score, *scores_of_copies.values()]
    flipped_by = tuple(name for name, of_copy in scores_of_copies.items() if (of_copy >= 0.5) != (score >= 0.5))
    return {"lowest_copy": min(scores), "highest_copy": max(scores), "flipped_by": flipped_by}


def _copy_scores(gray, detector, copies):
    """Return {name: score} of copies of a grey image, less those for which it is too small or too large."""
    scores = {}
    for name, steps_for in copies.items():
        try:
            scores[name] = detector.score(detector.spectrum(alter(gray, steps_for(*gray.shape))))
        except (UnreadableImage, UsageError):
            continue
    return scores


def _judge_image(path, detector, face_options, copies):
    """Return a list of fields of a Judgement: of an image, or of each face in it."""
    content = file_content(path)
    image = decode_gray(content)
    remarks = file_remarks(content, image)
    if not face_options:
        return [_measured(image, detector, copies) | {"remarks": remarks}]
    crops = image_crops(read_colour(path), face_options.face_detector, face_options.face_margin)
    judged = []
    for number, crop in enumerate(crops, 1):
        header = image.header.copy()
        header["width"] = header["height"] = crop.size  # format and quality stay those of the file
        cut = image._replace(gray=_through_png(crop.image).gray, header=header)
        fields = {"n_frames": 1, "n_faces": int(crop.score is not None), "box": crop[2:5], "remarks": remarks}
        if len(crops) > 1:
            fields["face"] = number
        try:
            fields |= _measured(cut, detector, copies)
        except UnreadableImage as reason:
            fields["error"] = str(reason)
        judged.append(fields)
    return judged


def _measured(image, detector, copies):
    """Return fields of a Judgement that come from the pixels and the header of an image, or of a face in it."""
    spectrum = detector.spectrum(image.gray)
    changed = [REMARKS[key] for key in image.remarks if key != "grey"]  # a grey image is as good as a coloured one
    warnings = detector.warnings(spectrum, image.header)
    return {
        "score": detector.score(spectrum),
        "unlike": [*warnings],
        "warnings": [*warnings.values(), *changed],
        "copies": _copy_scores(image.gray, detector, copies),
        "spectrum": spectrum,
    }


def _judge_video(path, detector, options, copies):
    """Return fields of a Judgement for a video, from the face crops of some of its frames."""
    n_frames = n_faces = 0
    moments, spectra, warnings, of_copies, reason = [], [], {}, {}, None

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
        moments.append(Moment(crop.time, detector.score(spectrum)))
        for key, text in detector.warnings(spectrum, image.header).items():
            warnings.setdefault(key, []).append(text)
        for name, score in _copy_scores(image.gray, detector, copies).items():
            of_copies.setdefault(name, []).append(score)
    if not moments:
        raise reason
    scores = np.array([moment.score for moment in moments])
    score = float(scores.mean())
    return {
        "score": score,
        "n_frames": n_frames,
        "n_faces": n_faces,
        "share_fake": float(np.mean(scores >= 0.5)),
        "decided_at": deciding_moments(moments, score),
        "unlike": [key for key, texts in warnings.items() if 2 * len(texts) > len(scores)],
        "warnings": [
            f"{texts[0]}{' or the like' if len(set(texts)) > 1 else ''} ({len(texts)} of {n_frames} frames)"
            for texts in warnings.values()
        ],
        "copies": {name: float(np.mean(own)) for name, own in of_copies.items()},
        "spectrum": np.mean(spectra, axis=0),
    }


def _through_png(crop):
    """Return a crop as training read it: `extract_video_frames.py` writes PNG, and the reader makes grey of that."""
    return decode_gray(cv2.imencode(".png", crop)[1].tobytes())


def _kind_warnings(kind, detector, face) -> Iterator[str]:
    """Yield in what files of this kind are not what the detector was trained on."""
    if detector.experiment == "deepfake_detection":
        if kind == "image":
            yield "an image, by a detector of face crops of videos" + ("" if face else "; --face cuts the face out")
    elif kind == "video":
        yield "face crops of a video, by a detector of whole still images"
    elif face:
        yield "a face crop, by a detector of whole images"


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
