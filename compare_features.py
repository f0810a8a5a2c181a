"""Other simple features beside the paper's radial spectrum, on the same splits of the same images at equal quality.

Rings of 8, sectors, the noise residual and the cross-difference, alone and beside the radial spectrum, and tuned
classifiers beside the paper's: what does each add, and does it hold on sources that were not trained on? Features,
measure and test were laid down in docs/features.md before the first run, whose results stand there, too: at JPEG 75
the radial spectrum scores 92.6 % (20 splits, 120 images a test), sectors 3.6 points more (1.7 to 5.4), and nothing else
significantly more.

    python compare_features.py --data-dir data/faces_hq_900         # 600 images, the paper's sources; 8 minutes
    python compare_features.py --data-dir DIR --real-sources A --fake-sources B --both-altered ""    # as they are

Without data it runs on the built-in sample. Writes plots/features_differences (.png and .pdf), features_accuracy.md,
_accuracy.csv, _results.json, _scores.csv.gz and _files.txt; for the sample into plots/built_in_sample/.
"""

from deepfake_spectra.settings import read_settings, run, settings_record  # isort: skip; hears Ctrl-C

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepfake_spectra.alterations import parse_steps
from deepfake_spectra.classification import score_classifiers
from deepfake_spectra.dataset import Feature
from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.image_folders import (
    FACES_HQ_SOURCES,
    count_images,
    find_images,
    label_sources,
    say_sizes,
    sizes_that_fit,
)
from deepfake_spectra.image_spectra import load_spectra
from deepfake_spectra.intervals import paired_difference
from deepfake_spectra.other_features import load_features, rings_together
from deepfake_spectra.results import check_results, write_results
from deepfake_spectra.splits import pair_splits, random_splits
from deepfake_spectra.tables import markdown_table, numbered, result_table, rows_of, signed_text

# data
DATA_DIR: Path | None = None  # folder with one sub-folder per source; none: data/faces_hq, else the built-in sample
REAL_SOURCES: tuple[str, ...] = ("celebA-HQ_10K", "Flickr-Faces-HQ_10K")  # folders of reals, as in the archive
FAKE_SOURCES: tuple[str, ...] = ("100KFake_10K", "thispersondoesntexists_10K")  # folders of fakes, as in the archive
N_SAMPLES: int = 600  # images in total, equal numbers of every source
BOTH_ALTERED: tuple[str, ...] = ("jpeg 75", "jpeg 50", "jpeg 90")  # all images, in turn; "": as they are
MAX_UNREADABLE: float = 0.01  # share of unreadable files above which the run ends

# classifiers
TEST_SHARE: float = 0.2  # of the images, or groups, of each source
N_SPLITS: int = 20  # the same for every feature
SVM_C: float = 1.0  # of the paper's SVM, linear and without scaling
SEED: int = 0  # draws the images and the splits
N_THREADS: int = -1  # -1: one per core

# output
OUTPUT_DIR: Path = Path("plots")  # for tables and the figure

REFERENCE = "radial", "logistic_tuned"  # feature and classifier that all others are compared with
LOGISTIC_C = np.logspace(-5, 1, 7)  # of which the training rows choose
RBF_C = 1, 10, 100
INNER_FOLDS = 5
NAMES = {
    "logistic_tuned": "tuned logistic regression", "svm_rbf_tuned": "tuned SVM, RBF", "svm_linear": "the paper's SVM",
    "condition": "all images", "": "as they are",
}  # fmt: skip


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Return p-values corrected for their number by Holm's step-down method, in their order."""
    p_values = np.asarray(p_values)
    order = np.argsort(p_values)
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1)).clip(max=1)
    return corrected


def make_classifiers(svm_c, seed):
    """Return {name: estimator}; what is tuned is tuned on the rows that it is fitted to."""
    from sklearn.linear_model import LogisticRegression  # scikit-learn takes a second to load
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    folds = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed)

    def tuned(estimator, choices):
        scaled = make_pipeline(StandardScaler(), estimator)
        return GridSearchCV(scaled, {f"{scaled.steps[-1][0]}__C": choices}, cv=folds)

    return {
        "logistic_tuned": tuned(LogisticRegression(max_iter=1000), LOGISTIC_C),
        "svm_linear": SVC(kernel="linear", C=svm_c),
        "svm_rbf_tuned": tuned(SVC(), RBF_C),
    }


def make_columns(radial, others):
    """Return {feature: (n_images, n_values)}, the one that all others are compared with first."""
    columns = {"radial": radial, "rings of 8": rings_together(radial)} | others
    beside = {f"radial + {name}": np.hstack([radial, others[name]]) for name in ("residual", "cross-difference")}
    return columns | beside


def contenders(columns, classifiers):
    """Yield (feature, classifier): every feature by one classifier, and the paper's by every classifier."""
    feature, classifier = REFERENCE
    yield from ((name, classifier) for name in columns)
    yield from ((feature, name) for name in classifiers if name != classifier)


def scored(dataset, columns, classifiers, splits, n_threads, **keys):
    """Return the rows of all contenders over some splits."""
    from threadpoolctl import threadpool_limits

    rows = []
    with threadpool_limits(1):  # a core has a split of its own: BLAS threads on top only wait for each other
        for feature, name in contenders(columns, classifiers):
            named = {f"{feature}, {name}": classifiers[name]}
            rows += score_classifiers(dataset, splits, named, n_threads, columns[feature], **keys)
    return rows


def transfer_rows(dataset, columns, classifiers, settings, **keys):
    """Return rows of each pair of a real and a fake source that is trained on, tested on the others."""
    rows = []
    for trained, tested, splits in pair_splits(dataset, settings.test_share, settings.n_splits, settings.seed):
        keys |= {"table": "transfer", "train_sources": trained, "test_sources": tested}
        rows += scored(dataset, columns, classifiers, splits, settings.n_threads, **keys)
    return rows


def difference_rows(rows, sizes_of_splits):
    """Return rows of each contender's difference to the reference in balanced accuracy, its p, and Holm's.

    Parameters
    ----------
    rows : list of dict
        Of the table "alike".
    sizes_of_splits : {condition: (n_train, n_test)}
    """
    scores = {(row["condition"], row["classifier"]): row for row in rows_of(rows, "alike", ("balanced_accuracy",))}
    reference = ", ".join(REFERENCE)
    compared = [key for key in scores if key[1] != reference]
    found = [
        paired_difference(scores[key]["scores"], scores[key[0], reference]["scores"], *sizes_of_splits[key[0]])
        for key in compared
    ]
    corrected = holm([p for *_, p in found])
    differences = []
    for key, (mean, low, high, p), p_holm in zip(compared, found, corrected):
        keys = {name: scores[key][name] for name in ("condition", "classifier", "protocol", "n_samples")}
        keys |= {"table": "difference", "low": None, "high": None}
        limits = {"low": low, "high": high} if np.isfinite(low) else {}
        differences += [
            keys | {"metric": "balanced_accuracy_gained", "mean": mean} | limits,
            keys | {"metric": "p_value", "mean": float(p)},
            keys | {"metric": "p_holm", "mean": float(p_holm)},
        ]
    return differences


def contender_title(name):
    """Return what tables and the figure call a contender: the feature, and the classifier where it is not the usual."""
    feature, classifier = name.rsplit(", ", 1)
    return feature if classifier == REFERENCE[1] else f"{feature}, {NAMES[classifier]}"


def make_tables(rows, n_values):
    """Yield (caption, Markdown table) of all that was measured."""
    names = NAMES | {name: contender_title(name) for name in {row["classifier"] for row in rows}}
    yield (
        "Balanced accuracy in %, mean ± standard deviation over the same random splits (95 % interval); standardised, "
        f"tuned logistic regression, unless another is named. Values a feature: {n_values}",
        result_table(rows_of(rows, "alike", ("balanced_accuracy",)), ("classifier",), ("condition",), names),
    )
    gained, p_values, p_holm = (
        rows_of(rows, "difference", (metric,)) for metric in ("balanced_accuracy_gained", "p_value", "p_holm")
    )
    yield (
        f"Points gained over {contender_title(', '.join(REFERENCE))}, with the corrected resampled t-test (95 % "
        f"interval, p); p corrected by Holm for all {len(gained)} comparisons",
        markdown_table(
            ("all images", "", "gained", "p", "p, Holm"),
            [
                (
                    NAMES.get(row["condition"], row["condition"]), contender_title(row["classifier"]),
                    signed_text(row, 100, 1),
                    f"{p['mean']:.3f}", f"{holms['mean']:.3f}",
                )
                for row, p, holms in zip(gained, p_values, p_holm)
            ],
        ),
    )  # fmt: skip
    if transfers := rows_of(rows, "transfer", ("balanced_accuracy",)):
        of_contender = {}
        for row in transfers:
            of_contender.setdefault((row["condition"], row["classifier"]), []).append(100 * row["mean"])
        yield (
            "Transfer: balanced accuracy in %, trained on one real and one fake source, tested on the others; of all "
            "pairs",
            markdown_table(
                ("all images", "", "lowest", "mean", "highest"),
                [
                    (
                        NAMES.get(condition, condition), contender_title(name),
                        *(f"{number:.1f}" for number in (min(found), np.mean(found), max(found))),
                    )
                    for (condition, name), found in of_contender.items()
                ],
            ),
        )  # fmt: skip


def main():
    settings = read_settings(__name__)
    from deepfake_spectra.result_plots import differences_figure  # matplotlib takes a second to load

    if not settings.both_altered or settings.n_splits < 2:
        raise UsageError("a comparison needs at least one of BOTH_ALTERED, and N_SPLITS of at least 2")
    for steps in filter(None, settings.both_altered):
        parse_steps(steps)  # a wrong one ends the run before it has cost anything
    labels = label_sources(settings.real_sources, settings.fake_sources)
    images = find_images("faces_hq", settings.data_dir, labels, FACES_HQ_SOURCES)  # the sample's if there are none
    folder = settings.output_dir / images.origin.subfolder
    check_results(folder, "features", ("differences",), images.source_dirs())
    say_sizes(count_images(images), [settings.n_samples])
    reading = {key: getattr(settings, key) for key in ("seed", "n_threads", "max_unreadable")}
    classifiers = make_classifiers(settings.svm_c, settings.seed)
    rows, remarks, sizes_of_splits, datasets = [], [], {}, []
    for steps in settings.both_altered:
        dataset = load_spectra(images, Feature(alteration=steps), settings.n_samples, **reading)
        [n_samples], sentences = sizes_that_fit(dataset.counts(), [settings.n_samples])
        remarks += [sentence for sentence in sentences if sentence not in remarks]
        others = load_features(
            images.path, dataset.paths, steps, images.cache_dir / "other_features", settings.n_threads
        )
        columns = make_columns(dataset.spectra, others)
        splits = random_splits(dataset, n_samples, settings.test_share, settings.n_splits, settings.seed)
        if min(len(split.train) for split in splits) < 2 * INNER_FOLDS:
            raise ExperimentError(
                f"{n_samples} images: splits train on {len(splits[0].train)}, need {2 * INNER_FOLDS} to tune by; raise "
                "N_SAMPLES"
            )
        keys = {"condition": steps, "protocol": dataset.protocol, "n_samples": n_samples}
        rows += scored(dataset, columns, classifiers, splits, settings.n_threads, table="alike", **keys)
        rows += transfer_rows(dataset, columns, classifiers, settings, **keys)
        sizes_of_splits[steps] = len(splits[0].train), len(splits[0].test)
        datasets.append(dataset)
    rows += difference_rows(rows, sizes_of_splits)

    dataset, *later = datasets
    dataset.skipped += [found for other in later for found in other.skipped if found not in dataset.skipped]
    title = f"Other features, {len(dataset)} images{dataset.origin.said}"
    n_values = ", ".join(f"{name} {spectra.shape[1]}" for name, spectra in columns.items())
    tables = numbered(make_tables(rows, n_values))
    differences_figure(folder / "features_differences.png", rows, contender_title, NAMES, title)
    figures = {"features_differences.png": True}
    write_results(folder, "features", title, dataset, settings_record(settings), rows, tables, remarks, figures)


if __name__ == "__main__":
    run(main)
