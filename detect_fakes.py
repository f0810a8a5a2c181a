"""Is my image, my folder, my video fake? Asks a detector that was trained on the spectra of an experiment.

    python detect_fakes.py photo.jpg holiday/ clip.mp4
    python detect_fakes.py --face --csv verdicts.csv --plot portrait.jpg
    python detect_fakes.py --experiment deepfake_detection clip.mp4
    python detect_fakes.py --spectra from_a_colleague.npz holiday/

The spectra are those that a train script left in data/spectra/; where none was run on its data, those of the built-in
sample, made in ten seconds if need be: they show how it works, and every line says so. An image is read and cropped as
in that experiment, its spectrum resampled, the image itself never. Of a video, face crops of some frames are judged.

Prints a line for each file: verdict, score (the probability of fake; calibrated as the first lines say), path, and in
brackets in what the file is unlike the training images: such a verdict is not to be believed. --csv and --json write
the same; --plot draws each spectrum over those of the training images into plots/detected/, with the frequencies that
decided. Folders are searched recursively, hidden files passed over. Status 1 if some file could not be judged.
"""

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from deepfake_spectra.settings import REPOSITORY, ExperimentError, UsageError, read_settings, run, settings_record
from deepfake_spectra.face_crops import VIDEO_ENDINGS, Detector, Frame, NoCrops, face_crops, sampled_frames
from deepfake_spectra.detector import FakeDetector
from deepfake_spectra.file_names import figure_name, figure_title, printable
from deepfake_spectra.image_files import UnreadableImage, decode_gray, list_images, looks_like_image, read_gray, visible_files
from deepfake_spectra.opencv import cv2
from deepfake_spectra.spectra_file import Experiment, KnownSpectra, load_spectra_file, save_spectra_file, spectra_path
from deepfake_spectra.image_spectra import CLASS_NAMES, FAKE, REAL
from deepfake_spectra.files import whole_file
from deepfake_spectra.parallel import in_threads

# the judge
EXPERIMENT: Experiment = "faces_hq"  # whose last run judges
SPECTRA: Path | None = None  # a file of spectra, instead of the experiment's last run
SEED: int = 0  # draws the folds of the calibration

# images and videos
FACE: bool = False  # cut the largest face out of images first
FRAMES_PER_VIDEO: int = 20  # evenly over the video
FACE_DETECTOR: Detector = "centerface"  # "centre": the middle of the image or frame, no detector
FACE_MARGIN: float = 1.3  # side of the crop over the longer side of the face's box
N_THREADS: int = -1  # files at a time; -1: one per core

# output
CSV: Path | None = None  # write the verdicts there
JSON: Path | None = None  # write the verdicts, and what judged, there
PLOT: bool = False  # draw a figure of each file
OUTPUT_DIR: Path = Path("plots/detected")  # for the figures
SAVE_SPECTRA: Path | None = None  # write the spectra that judge there, to give them to others

REMARKS = {  # of `image_files.read_gray`; a grey image is as good as a coloured one
    "16-bit": "16 bits a channel, reduced to 8",
    "alpha": "transparency ignored",
    "CMYK": "CMYK, converted to grey",
    "turned": "turned or mirrored as its EXIF tag asks",
}


class File(NamedTuple):
    """A file to be judged, or the reason why it cannot be."""

    path: Path
    kind: Literal["image", "video", ""]
    error: str = ""


class Judgement(NamedTuple):
    """What is said of a file; the fields up to `error` are the columns of the CSV; None: nothing to say."""

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


COLUMNS = Judgement._fields[:-1]


def check_settings(settings: SimpleNamespace) -> None:
    """End the run where a setting has a value that it cannot have."""
    if settings.frames_per_video < 1 or not settings.face_margin > 0 or settings.n_threads == 0:
        raise UsageError("FRAMES_PER_VIDEO must be at least 1, FACE_MARGIN above 0 and N_THREADS not 0")
    if not 0 <= settings.seed < 2**32:
        raise UsageError(f"SEED is {settings.seed}: expected 0 to 4294967295")
    written = [path for path in (settings.csv, settings.json, settings.save_spectra) if path]
    for path in written:
        if path.is_dir() or written.count(path) > 1:
            raise UsageError(f"{path}: a folder, or named twice; name a file of its own for each of --csv, --json, "
                             "--save-spectra")  # fmt: skip


def choose_spectra(settings: SimpleNamespace) -> KnownSpectra:
    """Return the spectra to judge by: of the file named, else the experiment's last run, else the built-in sample."""
    if settings.spectra:
        return load_spectra_file(settings.spectra)
    own, sample = (spectra_path(settings.experiment, is_sample) for is_sample in (False, True))
    if own.is_file():
        return load_spectra_file(own)
    if not sample.is_file():
        make_sample_spectra(settings.experiment)
    return load_spectra_file(sample)


def make_sample_spectra(experiment: Experiment) -> None:
    """Run the experiment's script on the built-in sample, for its spectra only."""
    script = f"train_{experiment}.py"
    if (REPOSITORY / "data" / experiment).is_dir():
        raise ExperimentError(f"data/{experiment} is there, but not its spectra: run `python {script}` first")
    print(f"no spectra of {experiment} are there: making those of the built-in sample", flush=True)
    few = ["--n-splits", "1"] + ["--fakes-altered", "--both-altered"] * (experiment == "celeba")
    with tempfile.TemporaryDirectory() as folder:  # tables of so few splits are not for plots/
        command = [sys.executable, str(REPOSITORY / script), *few, "--output-dir", folder]
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
            raise ExperimentError(f"the built-in sample could not be made: run `python {script}` to see why")


def description(detector: FakeDetector) -> str:
    """Return what judges, how an image comes to it, and what a score is, a line each."""
    known = detector.known
    sample = " on the built-in sample, which shows how it works and knows no faces" * known.is_sample
    sources = ", ".join(f"{name} {n}" for name, n in known.dataset.counts().items())
    crop = "the middle third of each face crop" if known.features.crop == "centre_third" else "the whole image"
    normalised = ", divided by the first" * known.normalise
    classifier = ", ".join(f"{key} {value}" for key, value in known.classifier.items() if key != "name")
    right = " and ".join(
        f"{detector.n_right[label]} of {detector.n_held_out[label]} {CLASS_NAMES[label]}" for label in (REAL, FAKE)
    )
    return (
        f"judge: {known.experiment}{sample}: {known.classifier['name']} ({classifier}) on {sources}\n"
        f"any size: the spectrum of {crop} (never resized) is resampled to {len(detector.low)} values{normalised}\n"
        f"score: probability of fake, Platt scaling on decision values held out in {detector.n_folds} folds; there "
        f"{right} images fall on the right side of 0.5"
    )


def list_files(names: list[str]) -> list[File]:
    """Return the files that the arguments name, once each, those of a folder sorted by path."""
    files = {}
    for path in map(Path, names):
        try:
            found = files_in(path) if path.is_dir() else [named_file(path)]
        except OSError as error:
            found = [File(path, "", error.strerror)]
        for file in found:
            files.setdefault(file.path, file)
    return list(files.values())


def files_in(folder: Path) -> list[File]:
    """Return the images and videos under a folder, and the files that only pretend to be images."""
    images, others = list_images(folder)
    files = [File(path, "image") for path in images] + [File(path, "image", reason) for path, reason in others]
    known = {file.path for file in files}
    files += [
        File(path, "video")
        for path in visible_files(folder)
        if path.suffix.lower() in VIDEO_ENDINGS and path not in known
    ]
    return sorted(files) or [File(folder, "", "found no image and no video in this folder")]


def named_file(path: Path) -> File:
    """Return a file that was named itself: whatever is wrong with it is to be said."""
    if not path.is_file():
        return File(path, "", "not a file" if path.exists() else "no such file or folder")
    if looks_like_image(path):
        return File(path, "image")
    if path.suffix.lower() in VIDEO_ENDINGS:
        return File(path, "video")
    return File(path, "", "neither an image nor a video" if path.stat().st_size else "empty file")


def judge(file: File, detector: FakeDetector, settings: SimpleNamespace) -> Judgement:
    """Return what the detector says of a file, or why it cannot."""
    judgement = Judgement(str(file.path), file.kind, error=file.error or None)
    if file.error:
        return judgement
    try:
        judged = (judge_image if file.kind == "image" else judge_video)(file.path, detector, settings)
    except (UnreadableImage, NoCrops) as reason:
        return judgement._replace(error=str(reason))
    verdict = CLASS_NAMES[FAKE if judged["score"] >= 0.5 else REAL]
    warnings = (*judged.pop("warnings"), *general_warnings(file.kind, detector.known, settings))
    return judgement._replace(verdict=verdict, warnings=warnings, **judged)


def judge_image(path: Path, detector: FakeDetector, settings: SimpleNamespace) -> dict:
    """Return fields of a Judgement for an image, or for the face in it."""
    gray, header, remarks = read_gray(path)
    fields = {}
    if settings.face:
        colour = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        (crop,) = face_crops([Frame(0, 0.0, colour)], settings.face_detector, settings.face_margin)
        gray = through_png(crop.image).gray
        header = header.copy()
        header["width"] = header["height"] = crop.size  # format and quality stay those of the file
        fields = {"n_frames": 1, "n_faces": int(crop.score is not None)}
    spectrum = detector.spectrum(gray)
    warnings = [*detector.warnings(spectrum, header).values(), *(REMARKS[key] for key in remarks if key in REMARKS)]
    return fields | {"score": detector.score(spectrum), "warnings": warnings, "spectrum": spectrum}


def judge_video(path: Path, detector: FakeDetector, settings: SimpleNamespace) -> dict:
    """Return fields of a Judgement for a video, from the face crops of some of its frames."""
    n_frames = n_faces = 0
    scores, spectra, warnings, reason = [], [], {}, None

    def counted_frames():
        nonlocal n_frames
        for frame in sampled_frames(path, settings.frames_per_video):
            n_frames += 1
            yield frame

    for crop in face_crops(counted_frames(), settings.face_detector, settings.face_margin):
        n_faces += crop.score is not None
        image = through_png(crop.image)
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


def through_png(crop: np.ndarray):
    """Return a crop as training read it: `extract_video_frames.py` writes PNG, and the reader makes grey of that."""
    return decode_gray(cv2.imencode(".png", crop)[1].tobytes())


def general_warnings(kind: str, known: KnownSpectra, settings: SimpleNamespace) -> Iterator[str]:
    """Yield what is to be known of every verdict on files of this kind."""
    if known.experiment == "deepfake_detection":
        if kind == "image":
            advice = "" if settings.face else "; --face cuts the face out"
            yield f"an image, by a detector of face crops of videos{advice}"
    elif kind == "video":
        yield "face crops of a video, by a detector of whole still images"
    elif settings.face:
        yield "a face crop, by a detector of whole images"
    if known.is_sample:
        yield "judged by the built-in sample"


def terminal_line(judgement: Judgement) -> str:
    """Return a judgement on one line."""
    line = f"{judgement.verdict}  {judgement.score:.3f}  {printable(judgement.path)}"
    if judgement.kind == "video":
        share = judgement.share_fake
        vote = CLASS_NAMES[FAKE if share > 0.5 else REAL]
        with_face = f"{judgement.n_faces} of {judgement.n_frames} frames with a face"
        line += f"  vote: {vote}, {100 * share:.0f} % of crops fake, {with_face}"
    return line + (f"  [{'; '.join(judgement.warnings)}]" if judgement.warnings else "")


@contextmanager
def csv_rows(path: Path) -> Iterator[Callable[[Judgement], None]]:
    """Yield a function that writes a judgement into a CSV, which is there, whole, when the block ends well."""
    with whole_file(path) as temporary:
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            yield lambda judgement: writer.writerow(judgement._asdict() | {"warnings": "; ".join(judgement.warnings)})


@contextmanager
def json_rows(path: Path, head: dict) -> Iterator[Callable[[Judgement], None]]:
    """Yield a function that writes a judgement into a JSON file behind what judged; whole when the block ends well."""
    separator = ""

    def write(judgement):
        nonlocal separator
        row = {column: getattr(judgement, column) for column in COLUMNS}
        file.write(f"{separator}\n  {json.dumps(row, allow_nan=False)}")  # ASCII: holds undecodable names, too
        separator = ","

    with whole_file(path) as temporary:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(head, indent=1, allow_nan=False)[:-2] + ',\n "files": [')
            yield write
            file.write("\n ]\n}\n")


def json_head(detector: FakeDetector, settings: SimpleNamespace) -> dict:
    """Return what the JSON file says of the judge."""
    known = detector.known
    return {
        "experiment": known.experiment,
        "built_in_sample": known.is_sample,
        "features": vars(known.features) | {"n_bins": len(detector.low), "normalise": known.normalise},
        "classifier": known.classifier,
        "sources": known.dataset.counts(),
        "calibration": {
            "method": "Platt scaling on held-out decision values",
            "n_folds": detector.n_folds,
            "n_held_out": {CLASS_NAMES[label]: int(n) for label, n in detector.n_held_out.items()},
            "n_right": {CLASS_NAMES[label]: int(n) for label, n in detector.n_right.items()},
        },
        "settings": settings_record(settings),
    }


@contextmanager
def drawn_figures(detector: FakeDetector, folder: Path) -> Iterator[Callable[[Judgement], None]]:
    """Yield a function that draws a judgement's spectrum; prints in the end where the figures are."""
    from deepfake_spectra.plots import frequency_axis, judged_figure, spectrum_label

    dataset = detector.known.dataset
    x, x_label = frequency_axis(dataset, detector.known.features)
    bands = {
        label: np.quantile(dataset.spectra[dataset.labels == label], (0.05, 0.5, 0.95), axis=0)
        for label in (REAL, FAKE)
    }

    def draw(judgement):
        path = Path(judgement.path)
        sample = ", judged by the built-in sample" * detector.known.is_sample
        judged_figure(
            folder / figure_name(path),
            x,
            (x_label, spectrum_label(dataset.spectra)),
            bands,
            judgement.spectrum,
            detector.evidence(judgement.spectrum),
            f"{figure_title(path)}: {judgement.verdict}, score {judgement.score:.3f}{sample}",
        )

    yield draw
    print(f"figures: {folder}")


def judge_all(files: list[File], detector: FakeDetector, settings: SimpleNamespace) -> dict[str | None, int]:
    """Judge the files, write and print each as it comes, and return {verdict: how many}."""
    counts = dict.fromkeys((*CLASS_NAMES, None), 0)
    with ExitStack() as stack:
        rows = [stack.enter_context(csv_rows(settings.csv))] if settings.csv else []
        rows += [stack.enter_context(json_rows(settings.json, json_head(detector, settings)))] if settings.json else []
        figures = [stack.enter_context(drawn_figures(detector, settings.output_dir))] if settings.plot else []
        judged = stack.enter_context(
            closing(in_threads(lambda file: judge(file, detector, settings), files, settings.n_threads))
        )
        try:
            for judgement in tqdm(judged, "judging", len(files), unit="file", disable=None, smoothing=0.05):
                counts[judgement.verdict] += 1
                if judgement.error:
                    tqdm.write(f"{Path(sys.argv[0]).name}: {printable(judgement.path)}: {judgement.error}; not judged",
                               file=sys.stderr)  # fmt: skip
                else:
                    tqdm.write(terminal_line(judgement), file=sys.stdout)
                for write in rows + figures * (judgement.error is None):
                    write(judgement)
        except KeyboardInterrupt:
            unwritten = " and ".join(str(path) for path in (settings.csv, settings.json) if path)
            left = f", {unwritten} not written" if unwritten else ""
            raise KeyboardInterrupt(f"{sum(counts.values())} of {len(files)} files judged{left}") from None
    return counts


def main():
    settings = read_settings(__name__, positional=("paths", "images, videos, and folders of them"))
    check_settings(settings)
    known = choose_spectra(settings)
    detector = FakeDetector(known, settings.seed, settings.n_threads)
    print(description(detector))
    if settings.save_spectra:
        save_spectra_file(settings.save_spectra, known)
        print(f"{settings.save_spectra}: the spectra of this judge")
    counts = judge_all(list_files(settings.paths), detector, settings)
    if sum(counts.values()) > 1:
        print(f"{counts['fake']} fake, {counts['real']} real" + f", {counts[None]} not judged" * (counts[None] > 0))
    return 1 if counts[None] else 0


if __name__ == "__main__":
    run(main)
