"""DeepFakeDetection: manipulated videos, frame by frame and by vote, with and without the leak between videos.

Reproduces the third experiment of Durall et al. (arXiv 1911.00686): face crops of the DeepFakeDetection videos (part of
FaceForensics++), centre third, 300 spectrum values divided by the first, RBF SVM and logistic regression. The paper
reports 85 / 82 / 77 / 66 % (SVM) and 78 / 76 / 73 / 76 % (logistic regression) for 2000 / 1000 / 200 / 20 frames, and
90 % and 81 % for videos by vote. Frames of one video resemble each other, and all actors stand in its training and
its test: so the random split of the paper stands beside splits by video and by identity.

    python extract_video_frames.py                  # first: the crops
    python train_deepfake_detection.py              # data/deepfake_detection if it is there, else the built-in sample
    python train_deepfake_detection.py --published-test test_1000.pkl [--published-train train_3200.pkl]

The last line runs on the authors' own features, without any video. Writes plots/deepfake_detection_spectrum.png,
_roc.png, _accuracy.md, _accuracy.csv, _results.json and _files.txt; for the sample and the authors' features into
plots/built_in_sample/ and plots/published_features/. The spectra of frames go into data/spectra/deepfake_detection.npz or
built_in_sample_deepfake_detection.npz, for detect_fakes.py.
"""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from itertools import permutations, product
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from built_in_sample import photograph_of
from classification import (
    header_features,
    headers_only,
    logistic_regression,
    majority_class,
    predict_splits,
    standardised_weights,
    svm,
)
from experiment_data import ALL_IMAGES, ExperimentData, check_values, sizes_that_fit
from experiment_results import Stopwatch, metric_table, protocol_table, write_experiment
from experiment_settings import REPOSITORY, ExperimentError, UsageError, read_settings, run
from metrics import Prediction, result_rows
from published_features import load_published_features
from radial_spectrum import original_lengths
from spectra_file import save_run
from spectrum_dataset import CLASS_NAMES, FAKE, REAL, Features, SpectrumDataset, load_spectra
from splits import Split, equal_split, held_out_identities, held_out_rows
from video_frames import COMPRESSIONS, SAMPLE_FRAMES_DIR, identities, read_index

# data
FRAMES_DIR: Path | None = None  # what extract_video_frames.py wrote; none: data/deepfake_detection, else the sample
SAMPLE_SIZES: tuple[int, ...] = (2000, 1000, 200, 20)  # frames in total, half of them real; the paper's
PUBLISHED_TRAIN: Path | None = None  # the authors' train_3200.pkl, to fit on all of it and test on PUBLISHED_TEST
PUBLISHED_TEST: Path | None = None  # the authors' test_1000.pkl, instead of frames
MAX_UNREADABLE: float = 0.01  # share of unreadable files above which the run ends

# features
CROP: Literal["none", "centre_third"] = "centre_third"  # of the face crop; the paper's
CONVENTION: Literal["published", "centred"] = "published"  # "centred" has DC at the centre and keeps every ring
PRECISION: Literal["float64", "float32"] = "float64"  # float32 is faster and errs by 1e-4 in single bins
N_BINS: int = 300  # values per spectrum; the paper's

# classifiers
TEST_SHARE: float = 0.2
N_SPLITS: int = 10
SVM_C: float = 6.37  # RBF kernel, no scaling; the paper's
SVM_GAMMA: float = 0.86  # the paper's
LOGISTIC_MAX_ITER: int = 1000  # liblinear, no scaling
AUTHORS_SHARE: float = 0.45  # a video is fake when more than this share of its frames is called fake; the authors'
SEED: int = 0  # draws the splits
N_THREADS: int = -1  # -1: one per core

# output
OUTPUT_DIR: Path = Path("plots")

ROWS_PER_BLOCK = 20  # the authors' features name no video; about 20 neighbouring rows come from one
PUBLISHED_ACCURACY = {  # per cent at a number of frames, random frames
    "paper": {
        2000: {"svm_rbf": 85, "logistic_regression": 78},
        1000: {"svm_rbf": 82, "logistic_regression": 76},
        200: {"svm_rbf": 77, "logistic_regression": 73},
        20: {"svm_rbf": 66, "logistic_regression": 76},
    }
}

CLASSIFIER_NAMES = {
    "svm_rbf": "SVM, RBF",
    "logistic_regression": "logistic regression",
    "headers_only": "size alone",
    "majority_class": "constant",
    "constant": "constant",
}
VIDEO_RULES = ("majority vote", "authors' vote", "mean score")
PROTOCOL_NAMES = {
    "published": "random frames",
    "by_video": "by video",
    "by_identity": "by identity",
    "by_photograph": "by photograph",
    "authors_split": "authors' files",
}


class Frames(NamedTuple):
    """The spectra of the frames, grouped by video, and whom they show."""

    data: ExperimentData
    identities: list[set[str]] | None = None  # per frame; None where the names of the videos do not tell
    authors_split: Split | None = None  # of the authors' two files


def protocol_masks(frames, settings):
    """Return {protocol: [(may train, may test) of each split]}, and a sentence on each protocol that cannot be had.

    From the loosest to the strictest. Frames that are neither are left out: fakes of two people, one of whom is tested
    on.
    """
    dataset = frames.data.dataset
    names = class_names(dataset)

    def by_groups(groups, seed):
        in_test = held_out_rows(names, groups, settings.test_share, seed)
        return ~in_test, in_test

    sides = {
        "published": partial(by_groups, np.arange(len(dataset))),
        "by_video": partial(by_groups, dataset.groups),
    }
    if frames.identities:
        sides["by_photograph" if frames.data.is_sample else "by_identity"] = partial(
            held_out_identities, dataset.labels, frames.identities, settings.test_share
        )
    masks, sentences = {}, []
    for protocol, sides_of in sides.items():
        try:
            masks[protocol] = [sides_of(seed) for seed in range(settings.seed, settings.seed + settings.n_splits)]
        except ValueError as reason:  # too few videos, or people, to have some on either side
            sentences.append(f"{PROTOCOL_NAMES[protocol]} left out: {reason}")
    return masks, sentences


def class_names(dataset):
    """Return "real" or "fake" for each frame: the classes, not the sources, stand in equal numbers."""
    return np.array(CLASS_NAMES)[dataset.labels]


def load_frames(settings, features):
    """Return the frames that the settings ask for: the authors' features, crops of videos, or the sample's."""
    if settings.published_test:
        return published_frames(settings)
    if settings.published_train:
        raise UsageError("--published-train needs --published-test: the authors' two files belong together")
    frames_dir = settings.frames_dir or REPOSITORY / "data/deepfake_detection"
    is_sample = settings.frames_dir is None and not frames_dir.is_dir()
    if is_sample:
        if (REPOSITORY / "data/faceforensics").is_dir():
            raise ExperimentError(
                "data/faceforensics is there, its face crops are not: run `python extract_video_frames.py`"
            )
        print("data/deepfake_detection is not there: running on the built-in sample, clips of 11 photographs and "
              "re-syntheses of them; its numbers show how the method works and are no reproduction of the paper")  # fmt: skip
        extract = [sys.executable, REPOSITORY / "extract_video_frames.py", "--frames-dir", SAMPLE_FRAMES_DIR]
        if subprocess.run(extract).returncode:
            raise ExperimentError("the sample's frames could not be extracted; see above")
        frames_dir = SAMPLE_FRAMES_DIR
    elif not frames_dir.is_dir():
        raise UsageError(f"{frames_dir}: no such folder; set FRAMES_DIR or --frames-dir")
    index = {row.path: row for row in read_index(frames_dir)}
    folders = sorted({(CLASS_NAMES.index(row.label), f"{row.label}/{row.source}") for row in index.values()})
    if len({label for label, _ in folders}) < 2:
        found = ", ".join(folder for _, folder in folders) or "no crop at all"
        raise ExperimentError(f"{frames_dir}: need real and fake crops, found {found}; extract videos of both")
    dataset = load_spectra(
        frames_dir,
        {folder: label for label, folder in folders},
        ALL_IMAGES,
        features,
        REPOSITORY / "data/spectra" / ("built_in_sample_" * is_sample + "deepfake_detection"),
        n_bins=settings.n_bins,
        normalise=True,
        group_of=lambda path: path.parent.as_posix(),
        n_threads=settings.n_threads,
        max_unreadable=settings.max_unreadable,
    )
    dataset = as_indexed(dataset, index)
    if is_sample:
        identities = [{photograph_of(group)} for group in dataset.groups]
        data = ExperimentData(dataset, "built_in_sample", settings.sample_sizes)
        return Frames(data, identities)
    identities = [{name for name in (index[path].target, index[path].source_id) if name} for path in dataset.paths]
    data = ExperimentData(dataset, "images", settings.sample_sizes)
    if all(identities):
        return Frames(data, identities)
    dataset.remarks.append("by identity left out: the names of the videos do not tell whom they show")
    return Frames(data)


def as_indexed(dataset, index):
    """Return the frames that the index names, with a word on those that it does not, or that are not there."""
    dataset.skipped.extend(
        (path, "not there, though the index names it")
        for path in sorted(index.keys() - set(dataset.paths) - {path for path, _ in dataset.skipped})
    )
    rows = [row for row, path in enumerate(dataset.paths) if path in index]
    if len(rows) < len(dataset):
        dataset.remarks.append(f"{len(dataset) - len(rows)} images left out: the index of the crops does not name them")
    return dataset.of_rows(rows)


def published_frames(settings):
    """Return the authors' features; blocks of neighbouring rows stand for the videos that they do not name."""
    if settings.frames_dir:
        raise UsageError("found both FRAMES_DIR and PUBLISHED_TEST: name one of them")
    if (settings.convention, settings.crop) != ("published", "centre_third"):
        raise UsageError(
            "PUBLISHED_TEST is of the published convention and crop: leave CONVENTION and CROP as they are"
        )
    if settings.published_train == settings.published_test:
        raise UsageError("PUBLISHED_TRAIN and PUBLISHED_TEST are one file: name two, or PUBLISHED_TEST alone")
    files = {"train": settings.published_train, "test": settings.published_test}
    parts = {name: load_published_features(path, fake_label=0) for name, path in files.items() if path}
    for name, (spectra, _) in parts.items():
        if spectra.shape[1] != settings.n_bins:
            raise UsageError(
                f"{files[name]}: {spectra.shape[1]} values a spectrum, expected N_BINS = {settings.n_bins}; it is of "
                "another experiment"
            )
    spectra, labels = (np.concatenate(arrays) for arrays in zip(*parts.values()))
    names = np.concatenate([[name] * len(labels_of_part) for name, (_, labels_of_part) in parts.items()])
    groups = np.empty(len(labels), dtype=object)
    for name, label in product(parts, (REAL, FAKE)):
        rows = np.flatnonzero((names == name) & (labels == label))
        blocks = np.arange(len(rows)) // ROWS_PER_BLOCK
        groups[rows] = [f"{name}, {CLASS_NAMES[label]}, block {block}" for block in blocks]
    dataset = SpectrumDataset(
        spectra,
        labels,
        sources=np.array(CLASS_NAMES)[labels],
        groups=groups.astype(str),
        paths=[f"{files[name].name} row {row}" for name, part in parts.items() for row in range(len(part[1]))],
        headers=np.array(list(zip(original_lengths(spectra))), dtype=[("spectrum_length", "i4")]),
        remarks=[
            f"the authors' features name no videos: by video means blocks of {ROWS_PER_BLOCK} neighbouring rows of a "
            "class, by identity is left out",
            "size alone is the length that each spectrum had before it was resampled, recovered from the features",
        ],
    )
    authors_split = Split(*(np.flatnonzero(names == name) for name in files)) if len(parts) == 2 else None
    return Frames(ExperimentData(dataset, "published_features", settings.sample_sizes), None, authors_split)


def fitted_classifiers(settings):
    """Return {name: () -> classifier}, the two of the paper."""
    return {
        "svm_rbf": lambda: svm("rbf", settings.svm_c, settings.svm_gamma),
        "logistic_regression": lambda: logistic_regression(settings.logistic_max_iter, settings.seed),
    }


def first_identity(video, is_sample):
    """Return whose video it was before it was faked, which is the group for detect_fakes.py; the video if unknown."""
    return photograph_of(video) if is_sample else identities(Path(video).name)[0] or video


def frame_splits(frames, masks, sizes, settings):
    """Yield (n_samples, protocol, splits) of table 1: equal numbers of real and fake frames on either side."""
    names = class_names(frames.data.dataset)
    for n_samples, (protocol, sides) in product(sizes, masks.items()):
        yield (
            n_samples,
            protocol,
            [
                equal_split(names, may_train, may_test, n_samples, settings.test_share, seed)
                for seed, (may_train, may_test) in enumerate(sides, settings.seed)
            ],
        )
    if frames.authors_split:
        yield len(names), "authors_split", [frames.authors_split]


def frame_rows(frames, masks, sizes, settings):
    """Table 1: frames by every protocol; beside the paper's classifiers the constant, and the frames' size alone."""
    dataset = frames.data.dataset
    classifiers = {name: (make, dataset.spectra) for name, make in fitted_classifiers(settings).items()}
    classifiers["majority_class"] = (majority_class, dataset.spectra)
    classifiers["headers_only"] = (lambda: headers_only(settings.seed), header_features(dataset.headers))
    rows = []
    for n_samples, protocol, splits in frame_splits(frames, masks, sizes, settings):
        for name, (make_classifier, columns) in classifiers.items():
            predictions = predict_splits(make_classifier, columns, dataset.labels, splits, settings.n_threads)
            keys = {"table": "sample_sizes", "protocol": protocol, "n_samples": n_samples, "classifier": name}
            rows += result_rows(predictions, dataset.groups, **keys)
    return rows


def video_rows(frames, masks, n_samples, settings):
    """Table 2: videos, judged by all their frames; and the curves of the ROC figure."""
    dataset = frames.data.dataset
    names = class_names(dataset)
    rows, curves = [], {}
    for protocol, sides in masks.items():
        if protocol == "published":  # its frames come from the videos that were trained on
            continue
        splits = [
            Split(equal_split(names, *side, n_samples, settings.test_share, seed).train, np.flatnonzero(side[1]))
            for seed, side in enumerate(sides, settings.seed)
        ]
        keys = {"table": "videos", "protocol": protocol, "n_samples": n_samples}
        for name, make_classifier in fitted_classifiers(settings).items():
            predictions = predict_splits(make_classifier, dataset.spectra, dataset.labels, splits, settings.n_threads)
            for rule in VIDEO_RULES:
                videos = [judge_videos(prediction, dataset.groups, rule, settings) for prediction in predictions]
                rows += result_rows(videos, classifier=name, condition=rule, **keys)
            curves[protocol, name] = predictions, videos
        constant = [constant_videos(split, videos, dataset) for split, videos in zip(splits, videos)]
        rows += result_rows(
            constant, classifier="constant", condition="more frequent class of the videos trained on", **keys
        )
    return rows, curves


def judge_videos(prediction, groups, rule, settings):
    """Return the prediction of whole videos from that of their frames; the rows are numbers of videos."""
    numbers, first, video_of = np.unique(groups[prediction.rows], return_index=True, return_inverse=True)
    n_frames = np.bincount(video_of)
    share_fake = np.bincount(video_of, prediction.predicted == FAKE) / n_frames
    score = np.bincount(video_of, prediction.scores) / n_frames
    called_fake = {
        "majority vote": share_fake > 0.5,
        "authors' vote": share_fake > settings.authors_share,
        "mean score": score > 0,
    }[rule]
    videos = np.searchsorted(np.unique(groups), numbers)
    scores = score if rule == "mean score" else share_fake
    return Prediction(videos, prediction.labels[first], np.where(called_fake, FAKE, REAL), scores)


def constant_videos(split, videos, dataset):
    """Return what always naming the more frequent class of the training videos says of the test videos."""
    _, first = np.unique(dataset.groups[split.train], return_index=True)
    label = FAKE if np.mean(dataset.labels[split.train][first] == FAKE) >= 0.5 else REAL
    return videos._replace(predicted=np.full(len(videos.rows), label), scores=np.zeros(len(videos.rows)))


def transfer_rows(frames, masks, n_samples, settings):
    """Table 3: trained on one manipulation or compression, tested on another; empty where there is only one."""
    dataset = frames.data.dataset
    fakes = dataset.sources_of(FAKE)
    protocol = list(masks)[-1]  # the strictest that the names allow
    if protocol == "published":  # frames of one video would stand on both sides
        return []
    rows = []
    for trained, tested in permutations(fakes, 2):
        if not (manipulation(trained) == manipulation(tested) or compression(trained) == compression(tested)):
            continue  # one thing changes at a time
        train_sources, test_sources = ([*reals_beside(source, dataset), source] for source in (trained, tested))
        splits = []
        for seed, (may_train, may_test) in enumerate(masks[protocol], settings.seed):
            may_train = may_train & np.isin(dataset.sources, train_sources)
            may_test = may_test & np.isin(dataset.sources, test_sources)
            if all(
                np.any(side & (dataset.labels == label)) for side in (may_train, may_test) for label in (REAL, FAKE)
            ):
                names = class_names(dataset)
                splits.append(equal_split(names, may_train, may_test, n_samples, settings.test_share, seed))
        for name, make_classifier in fitted_classifiers(settings).items() if splits else ():
            predictions = predict_splits(make_classifier, dataset.spectra, dataset.labels, splits, settings.n_threads)
            keys = {"table": "transfer", "protocol": protocol, "n_samples": n_samples, "classifier": name}
            rows += result_rows(
                predictions, dataset.groups, train_sources=train_sources, test_sources=test_sources, **keys
            )
    return rows


def manipulation(source):
    """Return "Deepfakes" for "fake/Deepfakes_c23", the whole name where it tells no compression."""
    return source.partition("/")[2].removesuffix(f"_{compression(source)}")


def is_of_the_paper(source):
    """Tell whether a source belongs to DeepFakeDetection, the part of FaceForensics++ that the paper used."""
    return source.startswith(("real/actors_", "fake/DeepFakeDetection_"))


def compression(source):
    """Return "c23" for "fake/Deepfakes_c23", "" where the name tells none."""
    last = source.rpartition("_")[2]
    return last if last in COMPRESSIONS else ""


def reals_beside(fake_source, dataset):
    """Return the real sources of the same compression, or all of them where the names do not tell."""
    reals = dataset.sources_of(REAL)
    return [name for name in reals if compression(name) == compression(fake_source)] or reals


def make_tables(frames, rows, settings):
    """Yield (caption, Markdown table) of all that was measured."""
    sources = frames.data.dataset.counts()
    is_papers = settings.n_bins == N_BINS and (
        frames.data.kind == "published_features" or all(map(is_of_the_paper, sources))
    )
    classifiers = {name: heading for name, heading in CLASSIFIER_NAMES.items() if name != "constant"}
    yield (
        f"Table 1. Frames, half of them real: accuracy in %, mean ± standard deviation over {settings.n_splits} splits "
        "(95 % interval by bootstrap over videos)",
        protocol_table(rows, classifiers, PROTOCOL_NAMES, PUBLISHED_ACCURACY if is_papers else {}),
    )
    metrics = (("accuracy", "accuracy"), ("balanced accuracy", "balanced_accuracy"), ("recall of reals", "recall_real"),
               ("of fakes", "recall_fake"), ("ROC AUC", "roc_auc"))  # fmt: skip
    lines = (("split", "protocol"), ("classifier", "classifier"), ("rule", "condition"))
    names = CLASSIFIER_NAMES | PROTOCOL_NAMES
    if any(row["table"] == "videos" for row in rows):
        yield (
            f"Table 2. Videos, judged by all their frames: in %, mean ± standard deviation over {settings.n_splits} "
            f"splits (95 % interval). Authors' vote: fake above a share of {settings.authors_share:g}"
            + ". The paper: SVM 90, logistic regression 81, on a test of which 92.5 % was fake"
            * is_papers,
            metric_table(rows, "videos", lines, metrics, names),
        )
    if any(row["table"] == "transfer" for row in rows):
        lines = (("trained on", "train_sources"), ("tested on", "test_sources"), ("classifier", "classifier"))
        yield (
            f"Table 3. Transfer {PROTOCOL_NAMES[rows[-1]['protocol']]}: frames, half of them real, in %, mean ± standard "
            f"deviation over those of the {settings.n_splits} splits that have both classes on both sides",
            metric_table(rows, "transfer", lines, metrics[1:], names),
        )


def left_out(masks):
    """Return a sentence on the fakes that stand on neither side of the splits by identity, if there are such splits."""
    if "by_identity" not in masks:
        return []
    share = np.mean([np.mean(~may_train & ~may_test) for may_train, may_test in masks["by_identity"]])
    return [
        f"by identity, {100 * share:.0f} % of the frames are left out of a split on average: fakes whose two "
        "identities fall on different sides"
    ]


def main():
    settings = read_settings(__name__)
    check_values(settings)
    stopwatch = Stopwatch()
    features = Features(settings.convention, settings.crop, settings.precision)
    with stopwatch("spectra"):
        frames = load_frames(settings, features)
    data = frames.data
    by_class = replace(data.dataset, sources=class_names(data.dataset))
    sizes, remarks = sizes_that_fit(by_class, settings.sample_sizes)
    masks, sentences = protocol_masks(frames, settings)
    remarks += sentences + left_out(masks)
    with stopwatch("table 1"):
        rows = frame_rows(frames, masks, sizes, settings)
    with stopwatch("table 2"):
        more, curves = video_rows(frames, masks, max(sizes), settings)
        rows += more
    with stopwatch("table 3"):
        rows += transfer_rows(frames, masks, max(sizes), settings)
    folder = data.output_dir(settings)
    with stopwatch("figures"):
        from spectrum_plots import roc_figure, spectrum_figure  # matplotlib takes half a second to load

        title = data.figure_title("DeepFakeDetection")
        weights = standardised_weights(data.dataset, fitted_classifiers(settings)["logistic_regression"])
        spectrum_figure(
            folder / "deepfake_detection_spectrum.png", data.dataset, features, weights, "Logistic regression", title
        )
        panels = {
            panel: {
                f"{CLASSIFIER_NAMES[name]}, {PROTOCOL_NAMES[protocol]}": curve[number]
                for (protocol, name), curve in curves.items()
            }
            for number, panel in enumerate(("Frames", "Videos, by mean score"))
        }
        if curves:
            roc_figure(folder / "deepfake_detection_roc.png", panels, title)
    tables = list(make_tables(frames, rows, settings))
    write_experiment(
        folder, "deepfake_detection", "DeepFakeDetection experiment", data, settings, rows, tables, remarks
    )
    save_run(
        "deepfake_detection",
        data,
        features,
        {"name": "svm_rbf", "C": settings.svm_c, "gamma": settings.svm_gamma},
        normalise=True,
        groups=[first_identity(group, data.is_sample) for group in data.dataset.groups],
    )
    print(f"time: {stopwatch}")


if __name__ == "__main__":
    run(main)
