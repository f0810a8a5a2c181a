"""A judge of pictures that were saved again: is it of use for sources and qualities that it has not seen?

Where reals and fakes have files of different quality, a detector learns the quality. Here every image is seen as saved
again at several qualities and sizes, the same for all, and each source is held out in turn: a detector is trained on
the others, with its limits set on sources held out among those, and asked about the images of the source that is held
out, as they are and altered. It answers "real", "fake" or "unsure" (docs/detector.md). Of 1,060 images of eight
sources, each in five states, 15.9 % are answered, and 67.5 % (63-72) of the answers are right: not of use.

    python train_resaved.py                      # data/faces_hq if it is there, else the built-in sample
    python train_resaved.py --data-dir DIR --real-sources A B --fake-sources C D

Writes plots/resaved_coverage (.png and .pdf), _accuracy.md, _accuracy.csv, _results.json, _scores.csv.gz, _files.txt,
and for detect_fakes.py _judge.safetensors, trained on all sources; for the sample into plots/built_in_sample/.
"""

from deepfake_spectra.settings import only_one, read_settings, run, settings_record  # isort: skip; hears Ctrl-C

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from deepfake_spectra.alterations import parse_steps
from deepfake_spectra.answers import UNSURE, count_answers, log_likelihood_ratio_cost, risk_by_coverage, share_text
from deepfake_spectra.classification import number_or_none
from deepfake_spectra.controls import checked_altered
from deepfake_spectra.copies import altered_headers, joined_states
from deepfake_spectra.dataset import CLASS_NAMES, FAKE, REAL, Feature, Split
from deepfake_spectra.detector import FakeDetector
from deepfake_spectra.detector_file import save_run
from deepfake_spectra.errors import UsageError
from deepfake_spectra.files import printable
from deepfake_spectra.image_folders import FACES_HQ_SOURCES, find_images, label_sources
from deepfake_spectra.image_spectra import load_spectra, measure_part
from deepfake_spectra.intervals import wilson_interval
from deepfake_spectra.metrics import Prediction
from deepfake_spectra.results import check_results, write_results
from deepfake_spectra.splits import held_out_rows
from deepfake_spectra.tables import markdown_table

# data
DATA_DIR: Path | None = None  # folder with one sub-folder per source; none: data/faces_hq, else the built-in sample
REAL_SOURCES: tuple[str, ...] = (
    "celebA-HQ_10K",
    "Flickr-Faces-HQ_10K",
)  # folders of reals, three to tell its use
FAKE_SOURCES: tuple[str, ...] = ("100KFake_10K", "thispersondoesntexists_10K")  # folders of fakes, likewise
MAX_UNREADABLE: float = 0.01  # share of unreadable files above which the run ends

# states of the images, in words like "jpeg 75" or "resize 512x512 + jpeg 75"
TRAINED: tuple[str, ...] = ("jpeg 98", "jpeg 90", "jpeg 75", "jpeg 60")  # each image in each: quality tells nothing
TESTED: tuple[str, ...] = ("jpeg 90", "jpeg 75", "jpeg 50")  # beside the images as they are

# feature and classifier
N_BINS: int = 91  # values per spectrum: every eighth ring of 1024x1024
SVM_C: float = 0.001  # linear kernel, no scaling; more of it fits the sources that it knows
FALSE_ALARM_RATE: float = 0.05  # share of the held-out reals of any source that may be called fake
TEST_SHARE: float = 0.2  # of the photographs of the built-in sample; of other sources all images are tested
SEED: int = 0  # draws the folds of the calibration
N_THREADS: int = -1  # -1: one per core

# more machines, which share the folders of this one
PART: str | None = None  # as "3/16": only measure this part of the images; a later run without it finds all parts
SCHEDULER: str | None = None  # of dask, as "tcp://host:8786": its workers measure

# output
OUTPUT_DIR: Path = Path("plots")  # for tables and the figure

AS_STORED, STABLE = "as they are", "as they are, flipped by none"
FIGURES = ("coverage",)
N_SPLITS = 5  # of the built-in sample, whose photographs stand in every source
GOAL = 0.95  # of the answers that are to be right


def load_states(images, feature, settings):
    """Return {state: data set} of the images as they are and in each alteration, the same rows in all."""
    reading = {key: getattr(settings, key) for key in ("seed", "n_threads", "scheduler", "max_unreadable")}
    states = {AS_STORED: load_spectra(images, feature, **reading)}
    for steps in (*settings.tested, *settings.trained):
        if steps not in states:
            altered = load_spectra(images, feature.altered(steps), **reading)
            states[steps] = checked_altered(states[AS_STORED], altered)
    shared = set.intersection(*(set(state.paths) for state in states.values()))
    return {
        name: state.of_rows([row for row, path in enumerate(state.paths) if path in shared])
        for name, state in states.items()
    }


def splits_without(source, dataset, settings):
    """Return splits that test a source and train on all others, no group or copy of an image being on both sides."""
    own, together = dataset.sources == source, dataset.kept_together
    if not dataset.is_grouped:
        return [Split(np.flatnonzero(~np.isin(together, together[own])), np.flatnonzero(own))]
    splits = []
    for seed in range(settings.seed, settings.seed + N_SPLITS):
        may_test = held_out_rows(dataset.sources, together, settings.test_share, seed)
        splits.append(Split(np.flatnonzero(~own & ~may_test), np.flatnonzero(own & may_test)))
    return splits


def ask_about(source, states, classifier, settings):
    """Return {state: Said} of the images of a source, by a detector that was trained on the other sources."""
    of_splits = []
    for split in splits_without(source, states[AS_STORED], settings):
        training = joined_states([states[steps].of_rows(split.train) for steps in settings.trained])
        detector = FakeDetector(
            training, "resaved", classifier, settings.seed, settings.n_threads, settings.false_alarm_rate
        )
        tested = (AS_STORED, *settings.tested)
        of_splits.append({name: said_by(detector, states[name].of_rows(split.test)) for name in tested})
    return {name: Said.joined([said[name] for said in of_splits]) for name in of_splits[0]}


class Said(NamedTuple):
    """What detectors said of some images in one state."""

    scores: np.ndarray
    answers: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    paths: np.ndarray

    @property
    def n_groups(self):
        """Of how many independent images, or photographs, they are."""
        return len(np.unique(self.groups))

    @property
    def n_answered_groups(self):
        """Of how many independent images those are that were answered."""
        return len(np.unique(self.groups[self.answers != UNSURE]))

    def counts(self):
        """Return how many answers were right, wrong and none."""
        return count_answers(self.answers, self.labels)

    @classmethod
    def joined(cls, parts):
        """Return what was said in several parts as one."""
        return cls(*map(np.concatenate, zip(*parts)))


def said_by(detector, tested):
    """Return what a detector says of a data set."""
    scores = np.array([detector.score(spectrum) for spectrum in tested.spectra])
    answers = [
        detector.answer(score, detector.warnings(spectrum, header))[0]
        for score, spectrum, header in zip(scores, tested.spectra, altered_headers(tested))
    ]
    return Said(scores, np.array(answers), tested.labels, tested.groups, np.array(tested.paths))


def stable(said):
    """Return what was said of the images as they are, "unsure" where their score in any other state flips."""
    first, *others = said.values()
    flips = np.any([(other.scores >= 0.5) != (first.scores >= 0.5) for other in others], axis=0)
    return first._replace(answers=np.where(flips, UNSURE, first.answers))


def answer_rows(said, condition, sources):
    """Return tidy rows of how many images were answered, rightly and wrongly, and what the scores were worth."""
    counts, n_images = said.counts(), len(said.labels)
    values = {  # metric: value, of how many independent images it is a share
        "answered": (counts.share_answered, said.n_groups),
        "right": (counts.right / n_images, said.n_groups),
        "wrong": (counts.wrong / n_images, said.n_groups),
        "right_of_answers": (counts.share_right, said.n_answered_groups),
        "log_likelihood_ratio_cost": (log_likelihood_ratio_cost(said.scores, said.labels), 0),
    }
    keys = {"table": "answers", "protocol": "held_out", "classifier": "svm_linear", "condition": condition}
    keys |= {"test_sources": sources, "n_test": [n_images], "n_test_groups": [said.n_groups]}
    keys |= {"n_test_fake": [int(np.count_nonzero(said.labels == FAKE))]}
    rows = []
    for metric, (value, n) in values.items():
        low, high = wilson_interval(value, n) if n else (None, None)
        rows.append(keys | {"metric": metric, "mean": number_or_none(value), "low": low, "high": high})
    if len(sources) == 1:  # the others repeat what was said of these
        sides = np.where(said.scores >= 0.5, FAKE, REAL)
        rows[0]["predictions"] = [Prediction(said.paths, said.labels, sides, said.scores)]
    return rows


def answers_table(said_of):
    """Return a Markdown table: of each held-out source, in each state, how many answers were right, wrong and none."""
    body = [
        [printable(name), *(" / ".join(map(str, said.counts())) for said in of_source.values())]
        for name, of_source in said_of.items()
    ]
    overall = together(said_of).values()
    body += [
        ["answered, %", *(f"{100 * said.counts().share_answered:.1f}" for said in overall)],
        ["right, of the answers", *map(right_text, overall)],
        ["Cllr, bits", *(f"{log_likelihood_ratio_cost(said.scores, said.labels):.2f}" for said in overall)],
    ]
    return markdown_table(["held-out source", *next(iter(said_of.values()))], body)


def right_text(said):
    """Return which share of the answers was right, with its interval."""
    counts = said.counts()
    return share_text(counts.right, counts.n_answers, said.n_answered_groups)


def together(said_of):
    """Return {state: Said} of all sources."""
    states = next(iter(said_of.values()))
    return {state: Said.joined([said[state] for said in said_of.values()]) for state in states}


def use(said_of, labels_of_sources):
    """Return sentences on whether such a judge is of use."""
    n_of = Counter(labels_of_sources.values())
    if min(n_of.values()) < 3:
        return [
            "two sources of a class: when one is held out, the other sets no limit, and no answer can be wrong; to "
            "tell whether such a judge is of use, name three sources of each class"
        ]
    said = Said.joined([said for state, said in together(said_of).items() if state != STABLE])
    counts = said.counts()
    is_shown = counts.n_answers and wilson_interval(counts.share_right, said.n_answered_groups)[0] >= GOAL
    return [
        f"of all sources and states {100 * counts.share_answered:.1f} % were answered; right, of the answers: "
        f"{right_text(said)}; "
        + (
            f"on these sources the goal of {100 * GOAL:.0f} % is reached"
            if is_shown
            else f"the goal of {100 * GOAL:.0f} % is not shown to be reached: do not act on this judge's answers"
        )
    ]


def main():
    settings = read_settings(__name__)
    from sklearn.svm import SVC

    for steps in (*settings.trained, *settings.tested):
        parse_steps(steps)  # a wrong one ends the run before it has cost anything
    for name in ("trained", "tested"):
        if not getattr(settings, name):
            raise UsageError(f"{name.upper()} is empty: name at least one state of the images")
    only_one(PART=settings.part, SCHEDULER=settings.scheduler)
    labels = label_sources(settings.real_sources, settings.fake_sources)
    images = find_images("faces_hq", settings.data_dir, labels, FACES_HQ_SOURCES)
    folder = settings.output_dir / images.origin.subfolder
    check_results(folder, "resaved", FIGURES, images.source_dirs())
    for label in (REAL, FAKE):
        if list(images.labels_of_sources.values()).count(label) < 2:
            raise UsageError(f"found one {CLASS_NAMES[label]} source, need two of each class: one is held out in turn")
    feature = Feature(n_bins=settings.n_bins)
    if settings.part:
        altered = [feature.altered(steps) for steps in (*settings.tested, *settings.trained)]
        return measure_part(settings.part, images, feature, others=altered, n_threads=settings.n_threads)
    states = load_states(images, feature, settings)
    dataset = states[AS_STORED]
    svc = SVC(kernel="linear", C=settings.svm_c)
    said_of = {}
    for source in tqdm(dataset.counts(), "sources held out", unit="source", leave=False, disable=None):
        said = ask_about(source, states, {"kernel": "linear", "C": settings.svm_c}, settings)
        said_of[source] = said | {STABLE: stable(said)}

    overall = together(said_of)
    rows = []
    for sources, of_states in [*(([source], said) for source, said in said_of.items()), ([*said_of], overall)]:
        rows += [row for state, said in of_states.items() for row in answer_rows(said, state, sources)]
    title = f"Judge of images that were saved again, {len(dataset)} images{dataset.origin.said}"
    draw_coverage(folder / "resaved_coverage.png", overall, f"{title}: sources that were not trained on")
    caption = (
        "Table 1. Right / wrong / unsure for the images of sources that were held out, by a detector trained on the "
        f"others, each image as {', '.join(settings.trained)}. Cllr: 0 perfect, 1 worth as much as a coin."
    )
    remarks, figures = use(said_of, images.labels_of_sources), {"resaved_coverage.png": True}
    tables = [(caption, answers_table(said_of))]
    write_results(folder, "resaved", title, dataset, settings_record(settings), rows, tables, remarks, figures)
    save_run(folder, "resaved", joined_states([states[steps] for steps in settings.trained]), svc)


def draw_coverage(path, overall, title):
    """Draw which share of the answers is wrong, by the share answered, and where the rule stands."""
    from deepfake_spectra.result_plots import coverage_figure

    curves = {name: risk_by_coverage(said.scores, said.labels) for name, said in overall.items() if name != STABLE}
    counts = {name: said.counts() for name, said in overall.items()}
    points = {name: (count.share_answered, 1 - count.share_right) for name, count in counts.items() if count.n_answers}
    coverage_figure(path, curves, points, 1 - GOAL, title)


if __name__ == "__main__":
    run(main)
