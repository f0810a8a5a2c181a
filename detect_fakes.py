"""Is my image, my folder, my video fake? Asks a detector that was trained on the spectra of an experiment.

    python detect_fakes.py photo.jpg holiday/ clip.mp4
    python detect_fakes.py --face --csv verdicts.csv --plot portrait.jpg
    python detect_fakes.py --judge plots/clips_c40 clip.mp4
    python detect_fakes.py --judge from_a_colleague.safetensors --stability holiday/
    python detect_fakes.py --judge plots/resaved --describe

The judge lies among the results of a train script, a file that can be given to others. By default it is the built-in
sample's, made in ten seconds where its results are not there: it shows how this works, and every line says so. An image
is read and cropped as in the judge's experiment, its spectrum resampled, the image itself never. Of a video, face crops
of some frames are judged; with --face, each face of an image, path#1 the largest.

Prints who judges: which file, of when, made by which command. Then a line for each file: verdict, score (the
probability of fake; calibrated as the first lines say), path, and in brackets what is to be known of it. The verdict is
"unsure" where the file is unlike the training images (size, format, quality, spectrum), where its score is one that
held-out images of the other class reach, too, and with --stability where copies of it, as they come about by sharing,
fall on the other side. Behind the brackets stand remarks: what the file says of itself (Content Credentials, camera),
on which no verdict rests, and whose absence means nothing. --csv and --json write the same; --report writes it as a
page for the browser, with each spectrum and what to make of the verdicts; --plot draws each spectrum over those of the
training images into plots/detected/, with the frequencies that decided. --describe prints what the judge's answers were
worth on what it had not seen. Folders are searched recursively, hidden files passed over; a table of what was said of
each ends the run. Status 1 if some file could not be judged.
"""

from deepfake_spectra.settings import read_settings, run, settings_record  # isort: skip; hears Ctrl-C

import json
import sys
from collections import Counter
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import get_args

import numpy as np
from tqdm import tqdm

from deepfake_spectra.answers import UNSURE
from deepfake_spectra.console import signed
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, CLASS_NAMES, FAKE, REAL, Feature
from deepfake_spectra.detector_file import Experiment, judge_file, new_judge, read_judge
from deepfake_spectra.errors import UsageError
from deepfake_spectra.face_crops import Detector, require_for_crops
from deepfake_spectra.files import (
    FIGURE_MARK,
    REPOSITORY,
    check_outputs,
    csv_text,
    display_path,
    figure_name,
    figure_title,
    printable,
    write_text,
)
from deepfake_spectra.folder_summary import folder_summaries, summary_text
from deepfake_spectra.image_spectra import load_spectra
from deepfake_spectra.interrupts import held_back
from deepfake_spectra.judge_card import card, limits_text, training_text
from deepfake_spectra.judgement import Judgement, judge, list_files
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.report import REPORT_MARK, Report
from deepfake_spectra.sample.build import sample_images
from deepfake_spectra.video_crops import CropOptions

# the judge
JUDGE: Path = Path("plots/built_in_sample")  # folder of a train script's results, or a judge's file
EXPERIMENT: Experiment | None = None  # whose judge, where the folder holds several
SEED: int = 0  # draws the folds of the calibration
FALSE_ALARM_RATE: float = 0.05  # share of the held-out reals of any source that may be called fake
DESCRIBE: bool = False  # print what the judge was made of, and what its answers were worth

# images and videos
FACE: bool = False  # cut the faces out of images first; each of several is judged
STABILITY: bool = False  # ask copies of each, too: JPEG 90, 75, 60, three quarters and half the size, edges cut off
FRAMES_PER_VIDEO: int = 20  # evenly over the video
FACE_DETECTOR: Detector = "centerface"  # "centre": the middle of the image or frame, no detector
FACE_MARGIN: float = 1.3  # side of the crop over the longer side of the face's box
N_THREADS: int = -1  # files at a time; -1: one per core

# output
CSV: Path | None = None  # write the verdicts there
JSON: Path | None = None  # write the verdicts, and what judged, there
REPORT: Path | None = None  # write the verdicts, and what to make of them, there, as a page of HTML
PLOT: bool = False  # draw a figure of each file
OUTPUT_DIR: Path = Path("plots/detected")  # for the figures

SAMPLE_RESULTS = "plots/built_in_sample"  # in the repository
COLUMNS = (*Judgement._fields[:-1], "judge", "figure")  # all but the spectrum
CSV_MARK, JSON_MARK = rb"\Apath,kind,verdict,score,", rb'\A\{\n "judge": \{'  # see `files.check_outputs`


def find_judge(path, experiment):
    """Return the file of the judge that is named, or lies in the folder named; None: the sample's, yet to be made."""
    is_sample = path == REPOSITORY / SAMPLE_RESULTS
    if not path.is_dir() and not is_sample:
        return path
    if is_sample:
        experiment = experiment or "faces_hq"
    found = [name for name in get_args(Experiment) if judge_file(path, name).is_file() and experiment in (None, name)]
    if len(found) == 1:
        return judge_file(path, found[0])
    if found:
        raise UsageError(f"{display_path(path)}: holds the judges {', '.join(found)}; name one with --experiment")
    if is_sample and experiment == "faces_hq":
        return None
    script = f"train_{experiment}.py" if experiment else "a train script"
    raise UsageError(
        f"{display_path(path)}: found no {f'{experiment} ' if experiment else ''}judge there; name the --output-dir of "
        f"{script} that has run, or a judge's file, with --judge"
    )


def load_judge(path, n_threads):
    """Print which judge it is, and return it; where there is none, make the sample's."""
    if path:
        judge = read_judge(path)
        print(f"judge: {display_path(path)}, {judge.making()}")
        return judge
    print(f"judge: the built-in sample's, made now; {SAMPLE_RESULTS} holds none")
    dataset = load_spectra(sample_images("faces_hq"), Feature(), n_threads=n_threads)
    return new_judge("faces_hq", {"kernel": "linear", "C": 1.0}, dataset)


def judge_all(files, detector, settings, judgements, report):
    """Judge the files, print and draw each as it comes, and append the judgements, less their spectra."""
    options = CropOptions(settings.frames_per_video, settings.face_detector, settings.face_margin)
    draw = figure_maker(detector) if settings.plot else None

    def judged_file(file):
        return judge(file, detector, options, settings.face, settings.stability)

    with closing(in_threads(judged_file, files, settings.n_threads)) as judged:
        of_files = tqdm(judged, "judging", len(files), unit="file", disable=None, smoothing=0.05)
        for judgement in chain.from_iterable(of_files):
            tqdm.write(terminal_line(judgement, detector), sys.stderr if judgement.error else sys.stdout)
            if draw and not judgement.error:
                draw(judgement, figure_path(judgement.name, settings))
            if report:
                report.add(judgement)
            judgements.append(judgement._replace(spectrum=None))


def figure_path(path, settings):
    """Return where the figure of a file is drawn."""
    return settings.output_dir / figure_name(Path(path))


def terminal_line(judgement, detector):
    """Return a judgement on one line."""
    if judgement.error:
        return signed(f"{printable(judgement.name)}: {judgement.error}; not judged")
    line = f"{judgement.verdict}  {detector.score_text(judgement.score)}  {printable(judgement.name)}"
    if judgement.kind == "video":
        share = judgement.share_fake
        vote = CLASS_NAMES[FAKE if share > 0.5 else REAL]
        with_face = f"{judgement.n_faces} of {judgement.n_frames} frames with a face"
        decided_at = ", ".join(dict.fromkeys(map(str, judgement.decided_at)))  # two may lie in one second
        line += f"  vote: {vote}, {100 * share:.0f} % of crops fake, {with_face}, decided at {decided_at}"
    if judgement.lowest_copy is not None:
        line += f"  copies: {copies_text(judgement, detector)}"
    if judgement.warnings:
        line += f"  [{'; '.join(judgement.warnings)}]"
    return f"{line}  remarks: {'; '.join(judgement.remarks)}" if judgement.remarks else line


def copies_text(judgement, detector):
    """Return the span of the scores of a file and its copies, and which of them are on the other side."""
    low, high = map(detector.score_text, (judgement.lowest_copy, judgement.highest_copy))
    flipped = ", ".join(judgement.flipped_by)
    return f"{low} to {high}, {f'flipped by {flipped}' if flipped else 'none flips it'}"


def figure_maker(detector):
    """Return a function that draws the spectrum of a judgement over those of the training images."""
    from deepfake_spectra.plots import frequency_axis, judged_figure, spectrum_label

    dataset = detector.dataset
    x, x_label = frequency_axis(dataset)
    bands = {
        label: np.quantile(dataset.spectra[dataset.labels == label], (0.05, 0.5, 0.95), axis=0)
        for label in (REAL, FAKE)
    }

    def draw(judgement, path):
        warnings = f" [{'; '.join(judgement.warnings)}]" if judgement.warnings else ""
        said = f"{judgement.verdict}, score {detector.score_text(judgement.score)}{warnings}"
        judged_figure(
            path,
            x,
            (x_label, spectrum_label(dataset.spectra)),
            bands,
            judgement.spectrum,
            detector.evidence(judgement.spectrum),
            f"{figure_title(Path(judgement.name))}: {said}",
        )

    return draw


def records(judgements, judge_name, settings):
    """Return each judgement as {column: value}, as CSV and JSON have it."""
    named = [
        judgement._asdict() | {"path": judgement.name, "judge": judge_name, "figure": None} for judgement in judgements
    ]
    for record in named:
        if settings.plot and not record["error"]:
            record["figure"] = display_path(figure_path(record["path"], settings))
    return [{column: record[column] for column in COLUMNS} for record in named]


def json_text(rows, folders, judge, detector, judge_name, settings):
    """Return the judgements as JSON, behind what judged; ASCII, which holds undecodable names, too."""
    dataset = judge.dataset
    head = {
        "judge": {"name": judge_name} | {name: getattr(judge, name) for name in ("made", "command", "commit")},
        "experiment": judge.experiment,
        "built_in_sample": dataset.origin is BUILT_IN_SAMPLE,
        "feature": vars(dataset.feature),
        "classifier": judge.classifier,
        "sources": dataset.counts(),
        "calibration": {
            "method": "Platt scaling on held-out decision values",
            "n_folds": detector.n_folds,
            "n_held_out": {CLASS_NAMES[label]: int(n) for label, n in detector.n_held_out.items()},
            "n_right": {CLASS_NAMES[label]: int(n) for label, n in detector.n_right.items()},
            "lowest_score": detector.lowest_score,
            "highest_score": detector.highest_score,
        },
        "limits": detector.limits._asdict() | {"sources_left_out": detector.sources_left_out},
        "settings": settings_record(settings),
    }
    files = [row | {"decided_at": list(map(moment_record, row["decided_at"]))} for row in rows]
    return json.dumps(head | {"folders": folders, "files": files}, indent=1, allow_nan=False) + "\n"


def moment_record(moment):
    """Return a moment of a video as JSON has it."""
    return {"time": str(moment)} | moment._asdict()


def write_judgements(judgements, judge, detector, judge_path, settings, report):
    """Write the tables and the page that are asked for."""
    judge_name = f"{display_path(judge_path) if judge_path else 'built-in sample'}, made {judge.made}"
    rows = records(judgements, judge_name, settings)
    if settings.csv:
        lines = ([cell_text(value) for value in row.values()] for row in rows)
        write_text(settings.csv, csv_text(COLUMNS, lines))
    if settings.json:
        write_text(settings.json, json_text(rows, folder_summaries(judgements), judge, detector, judge_name, settings))
    if report:
        write_text(settings.report, report.page(judge, judge_name, settings_record(settings)))


def print_summary(judgements, settings):
    """Print how many of the files were called what, and, where a folder was named, of each folder."""
    if any(Path(path).is_dir() for path in settings.paths):
        print(summary_text(folder_summaries(judgements)))
    if len(judgements) > 1:
        n_of = Counter(judgement.verdict for judgement in judgements)
        said = ", ".join(f"{n_of[verdict]} {verdict}" for verdict in ("fake", "real", UNSURE))
        print(said + (f", {n_of[None]} not judged" if n_of[None] else ""))


def cell_text(value):
    """Return a value for CSV: several texts as one."""
    return "; ".join(map(str, value)) if isinstance(value, tuple) else value


def main():
    settings = read_settings(__name__, positional=("paths", "images, videos, and folders of them", "*"))
    sys.stdout.reconfigure(line_buffering=True)  # lines in order
    if not (settings.paths or settings.describe):
        raise UsageError("PATHS: name an image, a video or a folder; or ask with --describe what the judge is")
    of_files = [f"--{name}" for name in ("csv", "json", "report", "plot") if getattr(settings, name)]
    if of_files and not settings.paths:
        raise UsageError(f"PATHS: no image, video or folder is named for {of_files[0]}; name one, or leave that out")
    files = list_files(settings.paths)
    judge_path = find_judge(settings.judge, settings.experiment)
    marks = ((settings.csv, CSV_MARK), (settings.json, JSON_MARK), (settings.report, REPORT_MARK))
    outputs = [(path, mark) for path, mark in marks if path]
    if settings.plot:
        outputs += [(figure_path(file.path, settings), FIGURE_MARK) for file in files]
    check_outputs(outputs, [*map(Path, settings.paths), *([judge_path] if judge_path else [])])
    if settings.face or any(file.kind == "video" for file in files):
        require_for_crops(settings.face_detector)
    judge = load_judge(judge_path, settings.n_threads)
    if settings.experiment not in (None, judge.experiment):
        raise UsageError(f"EXPERIMENT is {settings.experiment}, the judge named of {judge.experiment}: leave one out")
    detector = judge.detector(settings.seed, settings.n_threads, settings.false_alarm_rate)
    print(training_text(detector), limits_text(detector), sep="\n")
    if settings.describe:
        print(card(detector))
    judgements, report = [], Report(detector, len(files)) if settings.report else None
    try:
        judge_all(files, detector, settings, judgements, report)
    except KeyboardInterrupt:
        with held_back():
            write_judgements(judgements, judge, detector, judge_path, settings, report)
        n_judged = len({judgement.path for judgement in judgements})
        written = " and ".join(display_path(path) for path, _ in marks if path)
        kept = f", which {written} {'hold' if ' and ' in written else 'holds'}" if written else ""
        raise KeyboardInterrupt(f"{n_judged} of {len(files)} files judged{kept}") from None
    write_judgements(judgements, judge, detector, judge_path, settings, report)
    if settings.plot:
        print(f"figures: {display_path(settings.output_dir)}")
    print_summary(judgements, settings)
    return 1 if any(judgement.error for judgement in judgements) else 0


if __name__ == "__main__":
    run(main)
