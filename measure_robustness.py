"""How far does the detector carry: trained once, its threshold fixed, asked about images that something was done to.

Logistic regression on the spectra of Durall et al. (arXiv 1911.00686), as in their experiments, is trained on images as
they are. The test images of each split are then compressed, scaled, blurred, made noisy, brightened, cropped, and
treated as web sites and messengers do, all alike. Recall of reals and of fakes stand apart, since accuracy hides that
all images move to one side; beside them the bias: by how much the mean score of either class has moved (after BIAS-ID,
Ricker, Fischer, Quiring, arXiv 2605.31153). Again with a classifier that was trained on some altered images, too, none
of them altered as in a test; again from each pair of sources to the others; and how many images it takes.

    python measure_robustness.py                  # data/faces_hq if it is there, else the built-in sample
    python measure_robustness.py --before "jpeg 75"             # all images of one quality first
    python measure_robustness.py --videos --frames-dir DIR      # frames of videos, by extract_video_frames.py

All is done to the grey image that the spectrum is made of. Of a JPEG that is what becomes of its picture in colour: its
luma is stored apart and whole, its colour alone is thinned out (4:2:0). Of WebP and H.264 it is an approximation; see
docs/robustness.md. Spectra are resampled to the length of those trained on. Writes plots/robustness_panels, _transfer
and _learning (.png and .pdf), _accuracy.md, _accuracy.csv, _results.json, _scores.csv.gz and _files.txt, of videos
robustness_videos_...; of the sample into plots/built_in_sample/. An image of 1024x1024 takes 1.4 s of processor time
in all 68 states, 600 of them some 10 minutes on two idle cores.
"""

from deepfake_spectra.settings import only_one, read_settings, run, settings_record  # isort: skip; hears Ctrl-C

import re
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path

import numpy as np

from deepfake_spectra.alterations import parse_steps
from deepfake_spectra.classification import logistic_regression, predict_splits, score_baselines
from deepfake_spectra.dataset import Feature, Precision
from deepfake_spectra.errors import UsageError
from deepfake_spectra.image_folders import (
    FACES_HQ_SOURCES,
    count_images,
    find_images,
    label_sources,
    say_sizes,
    sizes_that_fit,
)
from deepfake_spectra.image_spectra import load_altered, load_spectra, measure_part
from deepfake_spectra.results import check_results, write_results
from deepfake_spectra.robustness import (
    AS_THEY_ARE,
    expand,
    fit_trial,
    frame_count_rows,
    learning_splits,
    present,
    trial_rows,
)
from deepfake_spectra.splits import pair_splits, random_splits
from deepfake_spectra.tables import (
    headers_warning,
    heading,
    markdown_table,
    metric_said,
    numbered,
    result_table,
    rows_of,
    signed_text,
)
from deepfake_spectra.video_frames import count_frames, find_frames, load_frames
from deepfake_spectra.video_protocols import by_class, frame_splits, independent_people, protocol_sides, video_splits
from radial_spectrum import Convention

# data
DATA_DIR: Path | None = None  # folder with one sub-folder per source; none: data/faces_hq, else the built-in sample
REAL_SOURCES: tuple[str, ...] = ("celebA-HQ_10K", "Flickr-Faces-HQ_10K")  # folders of reals
FAKE_SOURCES: tuple[str, ...] = ("100KFake_10K", "thispersondoesntexists_10K")  # folders of fakes
N_SAMPLES: int = 600  # images, or frames, in total
VIDEOS: bool = False  # frames of videos instead of images
FRAMES_DIR: Path | None = None  # of videos; none: data/deepfake_detection, else the built-in sample's clips
MAX_UNREADABLE: float = 0.01  # share of unreadable files above which the run ends

# feature
CONVENTION: Convention = "published"  # "centred" has DC at the centre and keeps every ring
PRECISION: Precision = "float64"  # float32 is faster; single bins of a photograph err by up to 1e-4 of their value

# classifier
TEST_SHARE: float = 0.2  # of the images, or groups, of each source
N_SPLITS: int = 10  # how often images are split anew
LOGISTIC_MAX_ITER: int = 1000  # liblinear, no scaling
SEED: int = 0  # draws the images and the splits
N_THREADS: int = -1  # -1: one per core

# alterations, in the words of deepfake_spectra/alterations.py, like "jpeg 75 + scale 0.5 area"
BEFORE: str = ""  # done to all images first, trained on and tested; "jpeg 75" makes qualities equal
PANELS: tuple[str, ...] = (
    "jpeg {100,95,90,75,60,50,40,30}",
    "webp {90,75,50}",
    "scale {0.25,0.5,0.75,0.9,1.1,1.5,2} area",
    "scale {0.25,0.5,0.75,0.9,1.1,1.5,2} bilinear",
    "scale {0.25,0.5,0.75,0.9,1.1,1.5,2} bicubic",
    "scale {0.25,0.5,0.75,0.9,1.1,1.5,2} lanczos",
    "blur {0.5,1,1.5,2,3}",
    "noise {1,2,5,10,20}",
    "gain {0.5,0.8,1.25,2}",
    "gamma {0.5,0.8,1.25,2}",
    "crop {90,75,50}%",
    "{web,hard,screenshot,shared twice}",
)  # of the test images: a panel of the figure each, and in it a point for each value in braces
VIDEO_PANELS: tuple[str, ...] = ("h264 {17,23,30,40}",)  # further ones, of frames of videos
TRAINED_ALTERED: tuple[str, ...] = ("jpeg 80", "scale 0.6 bicubic", "blur 0.7", "noise 3")  # for the second training

# how many it takes
LEARNING_SIZES: tuple[int, ...] = (10, 20, 50, 100, 200, 500, 1000, 2000)  # trained on; all there are come last
LEARNING_ALTERED: tuple[str, ...] = ("jpeg 75",)  # beside as they are: all images altered, trained on and tested
FRAME_COUNTS: tuple[int, ...] = (1, 2, 5, 10, 20)  # that a video is judged by

# more machines, which share the folders of this one
PART: str | None = None  # as "3/16": only measure this part of the images; a later run without it finds all parts
SCHEDULER: str | None = None  # of dask, as "tcp://host:8786": its workers measure

# output
OUTPUT_DIR: Path = Path("plots")  # for tables and figures

CLASSIFIER = "logistic_regression"
FIGURES = ("panels", "transfer", "learning")
METRICS = ("recall_real", "recall_fake", "balanced_accuracy", "roc_auc")
NAMES = {
    "headers_only": "size alone", "n_test": "tested", "shift_real": "shift of reals", "shift_fake": "shift of fakes",
}  # fmt: skip


def named_panels(settings):
    """Return {title: {point: alteration}} of all panels, and a sentence on each that a package is missing for."""
    panels = {}
    for panel in (*settings.panels, *settings.video_panels * settings.videos):
        points = expand(panel)
        title = re.sub(r"\{.*\}", "", panel).strip().replace("  ", " ") or "in one go"
        if title in panels:
            raise UsageError(f"{panel!r}: there is a panel of this kind; name its values in one")
        panels[title] = points
    if not panels:
        raise UsageError("PANELS is empty: name at least one alteration")
    if find_spec("imageio_ffmpeg"):
        return panels, []
    left = {title: points for title, points in panels.items() if not any("h264" in text for text in points.values())}
    sentence = "h264 left out: needs imageio-ffmpeg; run: pip install -r requirements-videos.txt"
    return left, [sentence] * (len(left) < len(panels))


def find_data(settings, experiment):
    """Return the folder for the results, the images or frames, and the feature that is measured of them."""
    feature = Feature(settings.convention, precision=settings.precision, alteration=settings.before)
    if settings.videos:
        feature = replace(feature, crop="centre_third", n_bins=300, normalise=True)  # the paper's
        images = find_frames(settings.frames_dir)
        counts = count_frames(images)
    else:
        labels = label_sources(settings.real_sources, settings.fake_sources)
        images = find_images("faces_hq", settings.data_dir, labels, FACES_HQ_SOURCES)  # the sample's if there are none
        counts = count_images(images)
    folder = settings.output_dir / images.origin.subfolder
    check_results(folder, experiment, FIGURES, images.source_dirs())
    say_sizes(counts, [settings.n_samples])
    return folder, images, feature


def load_data(images, feature, settings):
    """Return the data set of the images or frames, its size, and sentences on that."""
    reading = {key: getattr(settings, key) for key in ("n_threads", "scheduler", "max_unreadable")}
    if settings.videos:
        dataset = load_frames(images, feature, **reading)
        [n_samples], sentences = sizes_that_fit(by_class(dataset).counts(), [settings.n_samples])
    else:
        dataset = load_spectra(images, feature, settings.n_samples, seed=settings.seed, **reading)
        [n_samples], sentences = sizes_that_fit(dataset.counts(), [settings.n_samples])
    return dataset.of_draw(n_samples), n_samples, sentences


def protocol_splits(dataset, n_samples, settings):
    """Return a protocol, its splits, those with all frames of the videos tested, and sentences on what cannot be had.

    The protocol of frames is the strictest that their videos allow.
    """
    draw = {"test_share": settings.test_share, "seed": settings.seed}
    if not settings.videos:
        return dataset.protocol, random_splits(dataset, n_samples, n_splits=settings.n_splits, **draw), [], []
    sides, sentences = protocol_sides(dataset, n_splits=settings.n_splits, **draw)
    strictest = dict(list(sides.items())[-1:])
    [(_, protocol, splits)] = frame_splits(dataset, strictest, [n_samples], **draw)
    whole_videos = [found for *_, found in video_splits(dataset, strictest, n_samples, **draw)]
    return protocol, splits, *(whole_videos or [[]]), sentences


def make_trials(dataset, splits, estimator, trained, settings, **keys):
    """Yield the trials: trained on the images as they are, on altered ones, too, and on each pair of sources.

    `trained` has the spectra of the states in which images are trained on, first as they are.
    """
    n_threads = settings.n_threads
    yield fit_trial(dataset, splits, estimator, trained[:1], n_threads, table="robustness", **keys)
    if len(trained) > 1:
        yield fit_trial(dataset, splits, estimator, trained, n_threads, table="robustness_trained_altered", **keys)
    if settings.videos:
        return
    for train_sources, tested, of_pair in pair_splits(dataset, settings.test_share, settings.n_splits, settings.seed):
        yield fit_trial(
            dataset, of_pair, estimator, trained[:1], n_threads,
            table="robustness_transfer", classifier=CLASSIFIER, train_sources=train_sources, test_sources=tested,
            n_samples=len(of_pair[0].train) + len(of_pair[0].test),
            protocol=dataset.protocol if dataset.is_grouped else "held_out",
        )  # fmt: skip


def altered_rows(trials, dataset, states):
    """Return the rows of all trials in each of some states {condition: spectra}, and sentences on what is left out."""
    rows, remarks = [], []
    for condition, spectra in states:
        if n_lost := np.isnan(spectra[:, 0]).sum():
            remarks.append(f"{condition}: nothing is left of {n_lost} of {len(dataset)} images, which are left out")
        for trial in trials:
            rows += trial_rows(trial, dataset, condition, spectra)
    return rows, remarks


def learning_rows(dataset, splits, estimator, states, settings, **keys):
    """Return the rows of a classifier trained on fewer images, tested on the same, in each of some states."""
    sources = by_class(dataset).sources if settings.videos else dataset.sources
    rows = []
    for condition, spectra in states.items():
        for n_trained, narrowed in learning_splits(sources, present(splits, spectra), settings.learning_sizes):
            keys |= {"table": "learning_curve", "n_samples": n_trained}
            trial = fit_trial(dataset, narrowed, estimator, [spectra], settings.n_threads, **keys)
            rows += trial_rows(trial, dataset, condition, spectra)
    return rows


def make_tables(rows, settings, unit):
    """Yield (caption, Markdown table) for all that was measured; `unit` says of what: images, or frames."""
    names = NAMES | {"condition": f"test {unit}", "n_samples": f"{unit} trained on"}
    first = f"; all images first {settings.before}" if settings.before else ""
    spread = f"in %, mean ± standard deviation over the splits (95 % interval){first}"
    trained = {
        "robustness": f"Trained on {unit} as they are",
        "robustness_trained_altered": f"Trained on them and the same altered: {', '.join(settings.trained_altered)}",
    }
    for table, said in trained.items():
        if found := rows_of(rows, table, METRICS):
            yield f"{said}: {spread}", result_table(found, ("condition",), ("metric",), names)
    yield (
        f"Bias: how far the mean score has moved, in standard deviations of the scores of the {unit} as they are; "
        f"above 0 towards fake (95 % interval){first}",
        shift_table(rows_of(rows, "robustness", ("shift_real", "shift_fake")), names),
    )
    if found := rows_of(rows, "robustness_transfer", ("balanced_accuracy",)):
        yield (
            f"Balanced accuracy on sources that were not trained on, by those that were: {spread}",
            result_table(found, ("condition",), ("train_sources",), names),
        )
    yield (
        f"{metric_said(rows, 'learning_curve').capitalize()} by number of {unit} trained on: {spread}",
        result_table(rows_of(rows, "learning_curve"), ("n_samples",), ("condition",), names),
    )
    if found := rows_of(rows, "frames_per_video"):
        yield (
            f"{metric_said(rows, 'frames_per_video').capitalize()} of videos by number of frames: {spread}",
            result_table(found, ("condition",), ("classifier",), names | {"condition": "frames a video"}),
        )


def shift_table(rows, names):
    """Return the Markdown table of how far the scores of either class have moved."""
    texts = {}
    for row in rows:
        texts.setdefault(row["condition"], {})[row["metric"]] = signed_text(row)
    body = [[condition, *text_of.values()] for condition, text_of in texts.items()]
    return markdown_table([heading(name, names) for name in ("condition", "shift_real", "shift_fake")], body)


def draw_figures(folder, experiment, panels, rows, title, unit):
    """Write the figures and return {name: whether it was written}."""
    from deepfake_spectra.robustness_plots import learning_figure, panels_figure, transfer_figure

    names = {name: f"{experiment}_{name}.png" for name in FIGURES}
    panels_figure(folder / names["panels"], panels, rows, title)
    learning_figure(folder / names["learning"], rows, title, unit)
    if transfer := [row for row in rows if row["table"] == "robustness_transfer"]:
        transfer_figure(folder / names["transfer"], panels, transfer, f"{title}: sources not trained on")
    return {name: bool(transfer) or name != names["transfer"] for name in names.values()}


def tested_alterations(panels, settings):
    """Return the alterations of all panels; a wrong one of any setting ends the run before it has cost anything."""
    alterations = list(dict.fromkeys(steps for points in panels.values() for steps in points.values()))
    if both := [steps for steps in alterations if steps in settings.trained_altered]:
        raise UsageError(f"{both[0]!r}: tested, and in TRAINED_ALTERED; leave it out of one of them")
    for steps in filter(None, (settings.before, *settings.trained_altered, *settings.learning_altered)):
        parse_steps(steps)
    return alterations


def measure_states(images, feature, alterations, settings):
    """Measure a part of all images, or frames, that the experiment draws, as they are and altered."""
    n_samples, reading = settings.n_samples, {"seed": settings.seed, "n_threads": settings.n_threads}
    asked_for = (*settings.trained_altered, *settings.learning_altered, *alterations)
    altered = [feature.altered(steps) for steps in asked_for]
    measure_part(settings.part, images, feature, n_samples, altered, n_samples, **reading)


def measure(images, dataset, n_samples, alterations, settings):
    """Return the rows of all that is measured, and sentences on what could not be."""

    n_threads = settings.n_threads
    estimator = logistic_regression(settings.logistic_max_iter, settings.seed)
    protocol, splits, whole_videos, remarks = protocol_splits(dataset, n_samples, settings)
    keys = {"protocol": protocol, "n_samples": n_samples}
    rows = score_baselines(dataset, splits, settings.seed, n_threads, table="sample_sizes", **keys)

    asked_for = [*settings.trained_altered, *settings.learning_altered, *alterations]
    states = load_altered(images, dataset, asked_for, n_threads, settings.scheduler)  # one by one, in this order
    trained = [dataset.spectra, *islice(states, len(settings.trained_altered))]
    learned = {AS_THEY_ARE: dataset.spectra} | dict(zip(settings.learning_altered, states))
    tested = zip([AS_THEY_ARE, *alterations], chain(trained[:1], states))

    keys |= {"classifier": CLASSIFIER}
    keys["clusters"] = independent_people(dataset, protocol) if settings.videos else None
    trials = list(make_trials(dataset, splits, estimator, trained, settings, **keys))
    more, sentences = altered_rows(trials, dataset, tested)
    rows += more + learning_rows(dataset, splits, estimator, learned, settings, **keys)
    if whole_videos:
        said = predict_splits(estimator, dataset.spectra, dataset.labels, whole_videos, n_threads)
        rows += frame_count_rows(said, dataset, settings.frame_counts, table="frames_per_video", **keys)
    return rows, remarks + sentences


def main():
    settings = read_settings(__name__)
    panels, remarks = named_panels(settings)
    alterations = tested_alterations(panels, settings)
    only_one(DATA_DIR=settings.data_dir, FRAMES_DIR=settings.frames_dir)
    only_one(PART=settings.part, SCHEDULER=settings.scheduler)
    experiment, unit = ("robustness_videos", "frames") if settings.videos else ("robustness", "images")
    folder, images, feature = find_data(settings, experiment)
    if settings.part:
        return measure_states(images, feature, alterations, settings)
    dataset, n_samples, sentences = load_data(images, feature, settings)
    rows, more = measure(images, dataset, n_samples, alterations, settings)
    remarks += sentences + more + headers_warning(rows)

    first = f", all first {settings.before}" if settings.before else ""
    title = f"Robustness, {len(dataset)} {unit}{first}{dataset.origin.said}"
    figures = draw_figures(folder, experiment, panels, rows, title, unit)
    tables = numbered(make_tables(rows, settings, unit))
    write_results(folder, experiment, title, dataset, settings_record(settings), rows, tables, remarks, figures)


if __name__ == "__main__":
    run(main)
