"""DeepFakeDetection: manipulated videos, frame by frame and by vote, with and without the leak between videos.

Reproduces the third experiment of Durall et al. (arXiv 1911.00686): face crops of the DeepFakeDetection videos (part of
FaceForensics++), centre third, 300 spectrum values divided by the first, RBF SVM and logistic regression. The paper
reports 85 / 82 / 77 / 66 % (SVM) and 78 / 76 / 73 / 76 % (logistic regression) for 2000 / 1000 / 200 / 20 frames, and
90 % and 81 % for videos by vote. Frames of one video resemble each other, and all actors stand in its training and
its test: so the random split of the paper stands beside splits by video and by identity.

    python extract_video_frames.py                  # first: the crops
    python train_deepfake_detection.py              # data/deepfake_detection if it is there, else the built-in sample
    python train_deepfake_detection.py --published-test test_1000.pkl [--published-train train_3200.pkl]

The last line runs on the authors' own features, without any video. On test_1000.pkl, 200 frames a test, the SVM scores
90.0 % by random rows, 85.4 % by blocks of 20, and 81.1 % with 21 rows between training and test (84.9 % trained on as
few rows without these); 74.9 % where, too, no size of a face can be learned. Writes plots/deepfake_detection_spectrum,
_protocols and _roc (.png and .pdf), _accuracy.md, _accuracy.csv, _results.json, _scores.csv.gz, _files.txt, and for
detect_fakes.py _judge.safetensors; for the sample and the authors' features into plots/built_in_sample/ and
plots/published_features/.
"""

from deepfake_spectra.settings import only_one, read_settings, run, settings_record  # isort: skip; hears Ctrl-C

from pathlib import Path

import numpy as np

from deepfake_spectra.classification import (
    fit_title,
    for_many_rows,
    logistic_regression,
    predict_splits,
    result_rows,
    score_baselines,
    score_classifiers,
    standardised_weights,
)
from deepfake_spectra.dataset import PUBLISHED_FEATURES, Crop, Feature, Precision
from deepfake_spectra.detector_file import save_run
from deepfake_spectra.errors import UsageError
from deepfake_spectra.image_folders import say_sizes, sizes_that_fit
from deepfake_spectra.image_spectra import measure_part
from deepfake_spectra.results import check_results, write_results
from deepfake_spectra.tables import (
    headers_warning,
    heading,
    leading_metric,
    metric_said,
    numbered,
    result_table,
    rows_of,
    sample_size_table,
)
from deepfake_spectra.video_frames import ROWS_PER_BLOCK, count_frames, find_frames, load_frames, published_frames
from deepfake_spectra.video_protocols import (
    ROWS_APART,
    by_class,
    first_identities,
    frame_splits,
    independent_people,
    protocol_sides,
    size_matched_sides,
    transfer_splits,
    video_splits,
)
from deepfake_spectra.video_votes import VIDEO_RULES, constant_videos, judge_videos
from radial_spectrum import Convention

# data
FRAMES_DIR: Path | None = None  # what extract_video_frames.py wrote; none: data/deepfake_detection, else the sample
SAMPLE_SIZES: tuple[int, ...] = (2000, 1000, 200, 20)  # frames in total, half of them real; the paper's
PUBLISHED_TRAIN: Path | None = None  # the authors' train_3200.pkl, to fit on all of it and test on PUBLISHED_TEST
PUBLISHED_TEST: Path | None = None  # the authors' test_1000.pkl, instead of frames
MAX_UNREADABLE: float = 0.01  # share of unreadable files above which the run ends

# feature
CROP: Crop = "centre_third"  # of the face crop; the paper's
CONVENTION: Convention = "published"  # "centred" has DC at the centre and keeps every ring
PRECISION: Precision = "float64"  # float32 is faster; single bins err, see `radial_spectrum`
N_BINS: int = 300  # values per spectrum; the paper's

# classifiers
TEST_SHARE: float = 0.2  # of the images, or groups, of each source; the paper's
N_SPLITS: int = 10  # how often images are drawn and split anew; the paper's
SVM_C: float = 6.37  # RBF kernel, no scaling; the paper's
SVM_GAMMA: float = 0.86  # RBF kernel; the paper's
LOGISTIC_MAX_ITER: int = 1000  # liblinear, no scaling
AUTHORS_SHARE: float = 0.45  # a video is fake when more than this share of its frames is called fake; the authors'
SEED: int = 0  # draws the splits
N_THREADS: int = -1  # -1: one per core

# more machines, which share the folders of this one
PART: str | None = None  # as "3/16": only measure this part of the images; a later run without it finds all parts
SCHEDULER: str | None = None  # of dask, as "tcp://host:8786": its workers measure

# output
OUTPUT_DIR: Path = Path("plots")  # for tables and figures

# the paper's own, beside which ours are set where sources and feature are the same: not to be edited
PAPER_SOURCES = ("real/actors_", "fake/DeepFakeDetection_")  # any compression
PAPER_FEATURE = Feature(crop="centre_third", n_bins=300, normalise=True)
PAPER_ACCURACY = {  # per cent at a number of frames, random frames
    "paper": {
        2000: {"svm_rbf": 85, "logistic_regression": 78},
        1000: {"svm_rbf": 82, "logistic_regression": 76},
        200: {"svm_rbf": 77, "logistic_regression": 73},
        20: {"svm_rbf": 66, "logistic_regression": 76},
    }
}
OTHER_FRAMES = ". The paper measured other frames than those of the file"
PAPER_VIDEOS = "The paper, on videos: SVM 90, logistic regression 81, with 92.5 % of the test fake"

NAMES = {
    "headers_only": "size alone", "majority_class": "constant", "random": "random frames", "protocol": "split",
    "condition": "rule", "n_samples": "frames", "n_test_groups": "of videos", "authors_split": "authors' files",
    "videos": "Videos",
}  # fmt: skip
BLOCK_NAMES = {  # of the authors' features, which name no videos
    "videos": "Blocks", "by_video": f"by block of {ROWS_PER_BLOCK} rows", "n_test_groups": "of blocks",
    "by_video_apart": f"by block, {ROWS_APART} rows between", "by_video_fewer": "by block, as few rows",
}  # fmt: skip
FIGURES = ("spectrum", "protocols", "roc")
LEAST_VIDEOS = 3  # that a test must have: of two, one real and one fake, a rate says nothing
CONSTANT_RULE = "more frequent class of the videos trained on"


def is_of_paper(dataset):
    """Whether the paper's numbers may stand beside: its feature, of its sources or from the authors' own files."""
    labels = dict(zip(dataset.sources.tolist(), dataset.labels.tolist()))
    of_any_compression = {source: label for source, label in labels.items() if source.startswith(PAPER_SOURCES)}
    return dataset.is_of_paper(of_any_compression, PAPER_FEATURE)


def video_rows(dataset, splits, classifiers, authors_share, n_threads, **keys):
    """Return the rows of videos, judged by all their frames, and {classifier: what it said of (frames, videos)}."""
    people = independent_people(dataset, keys["protocol"])
    if people is not None:
        people = people[np.unique(dataset.groups, return_index=True)[1]]
    rows, said = [], {}
    for name, classifier in for_many_rows(classifiers, splits)[0].items():
        what = fit_title(name, **keys)
        frames = predict_splits(classifier, dataset.spectra, dataset.labels, splits, n_threads, what)
        for rule in VIDEO_RULES:
            videos = [judge_videos(prediction, dataset.groups, rule, authors_share) for prediction in frames]
            rows += result_rows(videos, clusters=people, classifier=name, condition=rule, **keys)
        said[name] = frames, videos  # by the last rule, the mean score
    constant = [constant_videos(split, judged, dataset) for split, judged in zip(splits, videos)]
    keys |= {"classifier": "constant", "condition": CONSTANT_RULE}
    return rows + result_rows(constant, clusters=people, **keys), said


def trained_on(found, names):
    """Return how many frames the splits of each protocol train on, as words."""
    return ", ".join(
        f"{heading(protocol, names)} {np.mean([len(split.train) for split in splits]):.0f}"
        for _, protocol, splits in found
    )


def roc_panels(said, names):
    """Return {panel: {curve: predictions of all splits}} of {protocol: {classifier: (of frames, of videos)}}."""
    return {
        panel: {
            f"{heading(classifier, names)}, {heading(protocol, names)}": predictions[number]
            for protocol, of_classifiers in said.items()
            for classifier, predictions in of_classifiers.items()
        }
        for number, panel in enumerate(("Frames", f"{heading('videos', names)}, by mean score"))
    }


def make_tables(dataset, rows, names, settings):
    """Yield (caption, Markdown table) of all that was measured."""
    units = "blocks" if dataset.origin is PUBLISHED_FEATURES else "videos"
    spread = "mean ± standard deviation over the splits"
    other_frames = OTHER_FRAMES if dataset.origin is PUBLISHED_FEATURES else ""
    yield (
        f"Frames, half of them real: {metric_said(rows, 'sample_sizes')} in %, {spread} "
        f"(95 % interval over {units}; by identity over people who share none){other_frames}",
        sample_size_table(
            rows, PAPER_ACCURACY if is_of_paper(dataset) else {}, ("n_samples", "protocol"), ("classifier",), names
        ),
    )
    metrics = ("accuracy", "balanced_accuracy", "recall_real", "recall_fake", "roc_auc")
    if found := rows_of(rows, "videos", metrics):
        leading = leading_metric(rows, "videos")
        found.sort(key=lambda row: row["metric"] != leading)
        unequal = f" Real and fake {units} are not equally many: balanced accuracy leads." * (leading != "accuracy")
        on_videos = f". {PAPER_VIDEOS}" if is_of_paper(dataset) else ""
        yield (
            f"{units.capitalize()}, judged by all their frames: in %, {spread} (95 % interval).{unequal} "
            f"Authors' vote: fake above a share of {settings.authors_share:g}{on_videos}",
            result_table(
                found, ("protocol", "classifier", "condition"), ("metric",), names | {"n_test": f"{units} tested"}
            ),
        )
    if found := rows_of(rows, "size_matched"):
        yield (
            f"Frames, trained on as many reals as fakes of every size, so that none can be learned; tests as in the "
            f"first table: {metric_said(rows, 'size_matched')} in %, {spread} (95 % interval over {units})",
            result_table(found, ("n_samples", "protocol"), ("classifier",), names),
        )
    if found := rows_of(rows, "transfer", metrics[1:]):
        protocol = found[0]["protocol"].replace("_", " ")
        yield (
            f"Transfer {protocol}: frames, half of them real, in %, {spread}, of those that have both classes "
            "on both sides",
            result_table(found, ("train_sources", "test_sources", "classifier"), ("metric",), names),
        )


def main():
    settings = read_settings(__name__)
    from sklearn.svm import SVC

    from deepfake_spectra.plots import roc_figure, spectrum_figure
    from deepfake_spectra.result_plots import protocols_figure

    feature = Feature(settings.convention, settings.crop, settings.precision, n_bins=settings.n_bins, normalise=True)
    only_one(FRAMES_DIR=settings.frames_dir, PUBLISHED_TEST=settings.published_test)
    only_one(PART=settings.part, SCHEDULER=settings.scheduler, PUBLISHED_TEST=settings.published_test)
    authors_split = None
    if settings.published_test:
        folder = settings.output_dir / PUBLISHED_FEATURES.subfolder
        published = filter(None, (settings.published_train, settings.published_test))
        check_results(folder, "deepfake_detection", FIGURES, published)
        dataset, authors_split = published_frames(settings.published_train, settings.published_test, feature)
    elif settings.published_train:
        raise UsageError("--published-train needs --published-test: the authors' two files belong together")
    else:
        images = find_frames(settings.frames_dir)  # the sample's if there are none
        folder = settings.output_dir / images.origin.subfolder
        check_results(folder, "deepfake_detection", FIGURES, images.source_dirs())
        say_sizes(count_frames(images), settings.sample_sizes)
        if settings.part:
            return measure_part(settings.part, images, feature, n_threads=settings.n_threads)
        reading = {key: getattr(settings, key) for key in ("n_threads", "scheduler", "max_unreadable")}
        dataset = load_frames(images, feature, **reading)

    classifiers = {
        "svm_rbf": SVC(kernel="rbf", C=settings.svm_c, gamma=settings.svm_gamma),
        "logistic_regression": logistic_regression(settings.logistic_max_iter, settings.seed),
    }
    seed, n_threads = settings.seed, settings.n_threads
    sizes, remarks = sizes_that_fit(by_class(dataset).counts(), settings.sample_sizes)
    sides, sentences = protocol_sides(dataset, settings.test_share, settings.n_splits, seed)
    draw = {"test_share": settings.test_share, "seed": seed}
    names = NAMES | (BLOCK_NAMES if dataset.origin is PUBLISHED_FEATURES else {})
    rows, said = [], {}
    for n_samples, protocol, splits in frame_splits(dataset, sides, sizes, authors_split, **draw):
        keys = {"table": "sample_sizes", "protocol": protocol, "n_samples": n_samples}
        keys["clusters"] = independent_people(dataset, protocol)
        rows += score_classifiers(dataset, splits, classifiers, n_threads, **keys)
        rows += score_baselines(dataset, splits, seed, n_threads, **keys)
    remarks += sentences + headers_warning(rows)
    if dataset.origin is PUBLISHED_FEATURES:
        as_they_are, matched = (
            list(frame_splits(dataset, of_protocols, [max(sizes)], **draw))
            for of_protocols in (sides, size_matched_sides(dataset, sides, seed))
        )
        for n_samples, protocol, splits in matched:
            keys = {"table": "size_matched", "protocol": protocol, "n_samples": n_samples}
            rows += score_classifiers(dataset, splits, classifiers, n_threads, **keys)
            rows += score_baselines(dataset, splits, seed, n_threads, **keys)
        remarks.append(
            f"frames trained on, mean of the splits: {trained_on(as_they_are, names)}; of equal sizes in both classes: "
            f"{trained_on(matched, names)}"
        )
    for n_samples, protocol, splits in video_splits(dataset, sides, max(sizes), authors_split, **draw):
        n_videos = min(len(np.unique(dataset.groups[split.test])) for split in splits)
        if n_videos < LEAST_VIDEOS:
            remarks.append(
                f"videos {heading(protocol)} left out: a test has {n_videos}, too few videos; need {LEAST_VIDEOS}"
            )
            continue
        keys = {"table": "videos", "protocol": protocol, "n_samples": n_samples}
        more, said[protocol] = video_rows(dataset, splits, classifiers, settings.authors_share, n_threads, **keys)
        rows += more
    for protocol, trained, tested, splits in transfer_splits(dataset, sides, max(sizes), **draw):
        keys = {"table": "transfer", "protocol": protocol, "n_samples": max(sizes)}
        keys |= {"train_sources": trained, "test_sources": tested}
        keys["clusters"] = independent_people(dataset, protocol)
        rows += score_classifiers(dataset, splits, classifiers, n_threads, **keys)

    title = f"DeepFakeDetection experiment, {len(dataset)} frames{dataset.origin.said}"
    weights = standardised_weights(dataset, classifiers["logistic_regression"])
    spectrum_figure(folder / "deepfake_detection_spectrum.png", dataset, weights, "Logistic regression", title)
    largest = [row for row in rows_of(rows, "sample_sizes") if row["n_samples"] == max(sizes)]
    protocols_figure(
        folder / "deepfake_detection_protocols.png", largest, names, f"{title}: {max(sizes)} of them, half real"
    )
    if said:
        roc_figure(folder / "deepfake_detection_roc.png", roc_panels(said, names), title)
    tables = numbered(make_tables(dataset, rows, names, settings))
    figures = {f"deepfake_detection_{name}.png": True for name in ("spectrum", "protocols")}
    figures["deepfake_detection_roc.png"] = bool(said)
    record = settings_record(settings)
    write_results(folder, "deepfake_detection", title, dataset, record, rows, tables, remarks, figures)
    save_run(folder, "deepfake_detection", dataset, classifiers["svm_rbf"], first_identities(dataset))


if __name__ == "__main__":
    run(main)
