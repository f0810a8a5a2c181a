"""DeepFakeDetection: manipulated videos, frame by frame and by vote, with and without the leak between videos.

Reproduces the third experiment of Durall et al. (arXiv 1911.00686): face crops of the DeepFakeDetection videos (part of
FaceForensics++), centre third, 300 spectrum values divided by the first, RBF SVM and logistic regression. The paper
reports 85 / 82 / 77 / 66 % (SVM) and 78 / 76 / 73 / 76 % (logistic regression) for 2000 / 1000 / 200 / 20 frames, and
90 % and 81 % for videos by vote. Frames of one video resemble each other, and all actors stand in its training and
its test: so the random split of the paper stands beside splits by video and by identity.

    python extract_video_frames.py                  # first: the crops
    python train_deepfake_detection.py              # data/deepfake_detection if it is there, else the built-in sample
    python train_deepfake_detection.py --published-test test_1000.pkl [--published-train train_3200.pkl]

The last line runs on the authors' own features, without any video: on test_1000.pkl, 200 frames a test, the SVM scores
90.2 % by random rows and 85.4 % by blocks of 20. Writes plots/deepfake_detection_spectrum.png,
_roc.png, _accuracy.md, _accuracy.csv, _results.json and _files.txt; for the sample and the authors' features into
plots/built_in_sample/ and plots/published_features/. The spectra of frames go into data/spectra/deepfake_detection.npz or
built_in_sample_deepfake_detection.npz, for detect_fakes.py.
"""

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Literal

import numpy as np

from deepfake_spectra.classification import (
    logistic_regression,
    predict_splits,
    score_baselines,
    score_classifiers,
    standardised_weights,
    svm,
)
from deepfake_spectra.experiment_data import check_values, sizes_that_fit
from deepfake_spectra.results import Stopwatch, headers_warning, metric_table, protocol_table, write_experiment
from deepfake_spectra.settings import read_settings, run
from deepfake_spectra.video_frames import (
    ROWS_PER_BLOCK,
    class_names,
    compression,
    first_identity,
    is_of_the_paper,
    load_frames,
    manipulation,
    protocol_masks,
    reals_beside,
)
from deepfake_spectra.metrics import Prediction, result_rows
from deepfake_spectra.spectra_file import save_run
from deepfake_spectra.image_spectra import FAKE, REAL, Features
from deepfake_spectra.splits import Split, equal_split

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
TEST_SHARE: float = 0.2  # of the images, or groups, of each source; the paper's
N_SPLITS: int = 10  # how often images are drawn and split anew; the paper's
SVM_C: float = 6.37  # RBF kernel, no scaling; the paper's
SVM_GAMMA: float = 0.86  # the paper's
LOGISTIC_MAX_ITER: int = 1000  # liblinear, no scaling
AUTHORS_SHARE: float = 0.45  # a video is fake when more than this share of its frames is called fake; the authors'
SEED: int = 0  # draws the splits
N_THREADS: int = -1  # -1: one per core

# output
OUTPUT_DIR: Path = Path("plots")  # for tables and figures

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
VIDEO_RULES = ("majority vote", "authors' vote", "mean score")  # the last one gives the ROC curves
CONSTANT_RULE = "more frequent class of the videos trained on"
PROTOCOL_NAMES = {
    "published": "random frames",
    "by_video": "by video",
    "by_identity": "by identity",
    "by_photograph": "by photograph",
    "authors_split": "authors' files",
}


def fitted_classifiers(settings):
    """Return {name: () -> classifier}, the two of the paper."""
    return {
        "svm_rbf": lambda: svm("rbf", settings.svm_c, settings.svm_gamma),
        "logistic_regression": lambda: logistic_regression(settings.logistic_max_iter, settings.seed),
    }


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
    rows = []
    for n_samples, protocol, splits in frame_splits(frames, masks, sizes, settings):
        keys = {"table": "sample_sizes", "protocol": protocol, "n_samples": n_samples}
        rows += score_classifiers(dataset, splits, fitted_classifiers(settings), settings.n_threads, **keys)
        rows += score_baselines(dataset, splits, settings.seed, settings.n_threads, **keys)
    return rows


def video_rows(frames, masks, n_samples, settings):
    """Table 2: videos, judged by all their frames; and the curves of the ROC figure."""
    dataset = frames.data.dataset
    rows, curves = [], {}
    for n_used, protocol, splits in video_splits(frames, masks, n_samples, settings):
        keys = {"table": "videos", "protocol": protocol, "n_samples": n_used}
        for name, make_classifier in fitted_classifiers(settings).items():
            predictions = predict_splits(make_classifier, dataset.spectra, dataset.labels, splits, settings.n_threads)
            for rule in VIDEO_RULES:
                videos = [judge_videos(prediction, dataset.groups, rule, settings) for prediction in predictions]
                rows += result_rows(videos, classifier=name, condition=rule, **keys)
                curves[protocol, name] = predictions, videos  # in the end, those of the mean score
        constant = [constant_videos(split, judged, dataset) for split, judged in zip(splits, videos)]
        rows += result_rows(constant, classifier="constant", condition=CONSTANT_RULE, **keys)
    return rows, curves


def video_splits(frames, masks, n_samples, settings):
    """Yield (n_samples, protocol, splits) of table 2: as many real as fake frames to train, all frames of the rest."""
    names = class_names(frames.data.dataset)
    for protocol, sides in masks.items():
        if protocol != "published":  # its frames come from the videos that were trained on
            seeded = enumerate(sides, settings.seed)
            trained = [equal_split(names, *side, n_samples, settings.test_share, seed).train for seed, side in seeded]
            yield n_samples, protocol, [Split(rows, np.flatnonzero(side[1])) for rows, side in zip(trained, sides)]
    if frames.authors_split:
        yield len(names), "authors_split", [frames.authors_split]


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
        if splits:
            keys = {"table": "transfer", "protocol": protocol, "n_samples": n_samples}
            keys |= {"train_sources": train_sources, "test_sources": test_sources}
            rows += score_classifiers(dataset, splits, fitted_classifiers(settings), settings.n_threads, **keys)
    return rows


def make_tables(frames, rows, settings):
    """Yield (caption, Markdown table) of all that was measured."""
    is_authors = frames.data.kind == "published_features"
    of_the_paper = all(map(is_of_the_paper, frames.data.dataset.counts()))
    is_papers = settings.n_bins == N_BINS and (is_authors or of_the_paper)
    names = CLASSIFIER_NAMES | PROTOCOL_NAMES
    if is_authors:
        names |= {"by_video": f"by block of {ROWS_PER_BLOCK} rows"}
    classifiers = {name: heading for name, heading in CLASSIFIER_NAMES.items() if name != "constant"}
    yield (
        f"Table 1. Frames, half of them real: accuracy in %, mean ± standard deviation over {settings.n_splits} splits "
        f"(95 % interval, bootstrap over {'blocks' if is_authors else 'videos'}, too narrow for few)",
        protocol_table(rows, classifiers, names, PUBLISHED_ACCURACY if is_papers else {}),
    )
    metrics = (("accuracy", "accuracy"), ("balanced accuracy", "balanced_accuracy"), ("recall of reals", "recall_real"),
               ("of fakes", "recall_fake"), ("ROC AUC", "roc_auc"))  # fmt: skip
    lines = (("split", "protocol"), ("classifier", "classifier"), ("rule", "condition"))
    if any(row["table"] == "videos" for row in rows):
        yield (
            f"Table 2. {'Blocks of rows' if is_authors else 'Videos'}, judged by all their frames: in %, mean ± standard "
            f"deviation over {settings.n_splits} splits (95 % interval). Authors' vote: fake above a share of "
            f"{settings.authors_share:g}"
            + ". The paper, on videos: SVM 90, logistic regression 81, with 92.5 % of the test fake"
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
        frames = load_frames(settings, features, SAMPLE_SIZES)
    data = frames.data
    by_class = replace(data.dataset, sources=class_names(data.dataset))
    sizes, remarks = sizes_that_fit(by_class, data.sample_sizes)
    masks, sentences = protocol_masks(frames, settings)
    remarks += sentences + left_out(masks)
    with stopwatch("table 1"):
        rows = frame_rows(frames, masks, sizes, settings)
    remarks += headers_warning(rows)
    with stopwatch("table 2"):
        more, curves = video_rows(frames, masks, max(sizes), settings)
        rows += more
    with stopwatch("table 3"):
        rows += transfer_rows(frames, masks, max(sizes), settings)
    folder = data.output_dir(settings)
    with stopwatch("figures"):
        from deepfake_spectra.plots import roc_figure, spectrum_figure  # matplotlib takes half a second to load

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
    figures = ["deepfake_detection_spectrum.png"] + ["deepfake_detection_roc.png"] * bool(curves)
    write_experiment(
        folder, "deepfake_detection", "DeepFakeDetection experiment", data, settings, rows, tables, remarks, figures
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
