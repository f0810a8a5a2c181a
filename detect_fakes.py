"""Is my image, my folder, my video fake? Asks a detector that was trained on the spectra of an experiment.

    python detect_fakes.py photo.jpg holiday/ clip.mp4
    python detect_fakes.py --face --csv verdicts.csv --plot portrait.jpg
    python detect_fakes.py --experiment deepfake_detection clip.mp4
    python detect_fakes.py --spectra from_a_colleague.safetensors holiday/

The spectra are those that a train script left in data/spectra/; where Faces-HQ was never run, those of the built-in
sample, made in ten seconds: they show how it works, and every line says so. An image is read and cropped as in that
experiment, its spectrum resampled, the image itself never. Of a video, face crops of some frames are judged.

Prints a line for each file: verdict, score (the probability of fake; calibrated as the first lines say), path, and in
brackets in what the file is unlike the training images: such a verdict is not to be believed. --csv and --json write
the same; --plot draws each spectrum over those of the training images into plots/detected/, with the frequencies that
decided. Folders are searched recursively, hidden files passed over. Status 1 if some file could not be judged.
"""

import csv
import io
import json
import os
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from deepfake_spectra.dataset import BUILT_IN_SAMPLE, CLASS_NAMES, FAKE, REAL, Feature
from deepfake_spectra.detector import FakeDetector
from deepfake_spectra.detector_file import detector_path, load_detector, save_detector
from deepfake_spectra.errors import UsageError
from deepfake_spectra.face_crops import Detector, require_for_crops
from deepfake_spectra.files import display_path, figure_name, figure_title, printable, write_text
from deepfake_spectra.image_spectra import load_spectra
from deepfake_spectra.judgement import Judgement, judge, list_files
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.sample.build import sample_images
from deepfake_spectra.settings import read_settings, run, settings_record
from deepfake_spectra.video_crops import CropOptions

# the judge
EXPERIMENT: Literal["faces_hq", "celeba", "deepfake_detection"] = "faces_hq"  # whose last run judges
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

COLUMNS = Judgement._fields[:-1]  # all but the spectrum


def choose_detector(settings):
    """Return the detector to judge by: of the file named, else of the experiment's last run, else of the sample."""
    own, of_sample = (detector_path(settings.experiment, is_sample) for is_sample in (False, True))
    path = settings.spectra or next(filter(Path.is_file, (own, of_sample)), None)
    if path:
        return load_detector(path, settings.seed, settings.n_threads)
    if settings.experiment != "faces_hq":
        raise UsageError(f"{display_path(own)}: no such file; run `python train_{settings.experiment}.py` first")
    dataset = load_spectra(sample_images("faces_hq"), Feature(), n_threads=settings.n_threads)
    return FakeDetector(dataset, "faces_hq", {"kernel": "linear", "C": 1.0}, settings.seed, settings.n_threads)


def description(detector):
    """Return what judges, how an image comes to it, and what a score is, a line each."""
    dataset = detector.dataset
    is_sample = dataset.origin is BUILT_IN_SAMPLE
    sample = " on the built-in sample, which shows how it works and knows no faces" if is_sample else ""
    sources = ", ".join(f"{name} {n}" for name, n in dataset.counts().items())
    crop = "the middle third of each face crop" if dataset.feature.crop == "centre_third" else "the whole image"
    length = f"{dataset.feature.n_bins} values{', divided by the first' if dataset.feature.normalise else ''}"
    classifier = ", ".join(f"{name} {value}" for name, value in detector.classifier.items())
    right = " and ".join(
        f"{detector.n_right[label]} of {detector.n_held_out[label]} {CLASS_NAMES[label]}" for label in (REAL, FAKE)
    )
    return (
        f"judge: {detector.experiment}{sample}: SVM ({classifier}) on {sources}\n"
        f"any size: the spectrum of {crop} (never resized) is resampled to {length}\n"
        f"score: probability of fake, Platt scaling on decision values held out in {detector.n_folds} folds; there "
        f"{right} images fall on the right side of 0.5"
    )


def judge_all(files, detector, settings):
    """Judge the files, print and draw each as it comes, and return the judgements, less their spectra."""
    options = CropOptions(settings.frames_per_video, settings.face_detector, settings.face_margin)
    draw = figure_maker(detector, settings.output_dir) if settings.plot else None
    judgements = []
    judged = in_threads(lambda file: judge(file, detector, options, settings.face), files, settings.n_threads)
    with closing(judged):
        try:
            for judgement in tqdm(judged, "judging", len(files), unit="file", disable=None, smoothing=0.05):
                judgements.append(judgement._replace(spectrum=None))
                tqdm.write(terminal_line(judgement), sys.stderr if judgement.error else sys.stdout)
                if draw and not judgement.error:
                    draw(judgement)
        except KeyboardInterrupt:
            unwritten = " and ".join(str(path) for path in (settings.csv, settings.json) if path)
            left = f", {unwritten} not written" if unwritten else ""
            raise KeyboardInterrupt(f"{len(judgements)} of {len(files)} files judged{left}") from None
    return judgements


def terminal_line(judgement):
    """Return a judgement on one line."""
    if judgement.error:
        return f"{Path(sys.argv[0]).name}: {printable(judgement.path)}: {judgement.error}; not judged"
    line = f"{judgement.verdict}  {judgement.score:.3f}  {printable(judgement.path)}"
    if judgement.kind == "video":
        share = judgement.share_fake
        vote = CLASS_NAMES[FAKE if share > 0.5 else REAL]
        with_face = f"{judgement.n_faces} of {judgement.n_frames} frames with a face"
        line += f"  vote: {vote}, {100 * share:.0f} % of crops fake, {with_face}"
    return f"{line}  [{'; '.join(judgement.warnings)}]" if judgement.warnings else line


def figure_maker(detector, folder):
    """Return a function that draws the spectrum of a judgement over those of the training images."""
    from deepfake_spectra.plots import frequency_axis, judged_figure, spectrum_label

    dataset = detector.dataset
    x, x_label = frequency_axis(dataset)
    bands = {
        label: np.quantile(dataset.spectra[dataset.labels == label], (0.05, 0.5, 0.95), axis=0)
        for label in (REAL, FAKE)
    }
    sample = ", judged by the built-in sample" if dataset.origin is BUILT_IN_SAMPLE else ""

    def draw(judgement):
        path = Path(judgement.path)
        judged_figure(
            folder / figure_name(path),
            x,
            (x_label, spectrum_label(dataset.spectra)),
            bands,
            judgement.spectrum,
            detector.evidence(judgement.spectrum),
            f"{figure_title(path)}: {judgement.verdict}, score {judgement.score:.3f}{sample}",
        )

    return draw


def csv_text(judgements):
    """Return the judgements as CSV, a line each."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for judgement in judgements:
        writer.writerow(judgement._asdict() | {"warnings": "; ".join(judgement.warnings)})
    return text.getvalue()


def json_text(judgements, detector, settings):
    """Return the judgements as JSON, behind what judged; ASCII, which holds undecodable names, too."""
    dataset = detector.dataset
    head = {
        "experiment": detector.experiment,
        "built_in_sample": dataset.origin is BUILT_IN_SAMPLE,
        "feature": vars(dataset.feature),
        "classifier": detector.classifier,
        "sources": dataset.counts(),
        "calibration": {
            "method": "Platt scaling on held-out decision values",
            "n_folds": detector.n_folds,
            "n_held_out": {CLASS_NAMES[label]: int(n) for label, n in detector.n_held_out.items()},
            "n_right": {CLASS_NAMES[label]: int(n) for label, n in detector.n_right.items()},
        },
        "settings": settings_record(settings),
    }
    rows = [{column: getattr(judgement, column) for column in COLUMNS} for judgement in judgements]
    return json.dumps(head | {"files": rows}, indent=1, allow_nan=False) + "\n"


def check_outputs(settings, files):
    """End the run where an output is a folder, named twice, or among what is read (UsageError); make their folders."""
    outputs = [path for path in (settings.csv, settings.json, settings.save_spectra) if path]
    inputs = [file.path for file in files] + ([settings.spectra] if settings.spectra else [])
    for path in outputs:
        if path.is_dir() or outputs.count(path) > 1:
            raise UsageError(f"{display_path(path)}: a folder, or named twice; name a file of its own for each of "
                             "--csv, --json, --save-spectra")  # fmt: skip
        if path.exists() and any(os.path.exists(other) and path.samefile(other) for other in inputs):
            raise UsageError(f"{display_path(path)}: is read, and would be replaced by what is written; name another")
    for path in outputs:  # that a folder cannot be made is better known now than in the end
        path.parent.mkdir(parents=True, exist_ok=True)


def main():
    settings = read_settings(__name__, positional=("paths", "images, videos, and folders of them"))
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # lines in order, whatever the name
    files = list_files(settings.paths)
    check_outputs(settings, files)
    if settings.face or any(file.kind == "video" for file in files):
        require_for_crops(settings.face_detector)
    detector = choose_detector(settings)
    print(description(detector))
    if settings.save_spectra:
        save_detector(settings.save_spectra, detector.experiment, detector.classifier, detector.dataset)
        print(f"{display_path(settings.save_spectra)}: the spectra of this judge")
    judgements = judge_all(files, detector, settings)
    if settings.csv:
        write_text(settings.csv, csv_text(judgements))
    if settings.json:
        write_text(settings.json, json_text(judgements, detector, settings))
    if settings.plot:
        print(f"figures: {display_path(settings.output_dir)}")
    n_of = Counter(judgement.verdict for judgement in judgements)
    if len(judgements) > 1:
        print(f"{n_of['fake']} fake, {n_of['real']} real" + (f", {n_of[None]} not judged" if n_of[None] else ""))
    return 1 if n_of[None] else 0


if __name__ == "__main__":
    run(main)
