"""Faces-HQ: can a linear classifier tell generated faces from photographs by their radial spectrum alone?

Reproduces table 1 of Durall et al. (arXiv 1911.00686): 1024x1024 JPEG faces, two real and two fake sources in equal
numbers, 722 spectrum values each, 80 % to train and 20 % to test, ten times. The paper reports 100 % for the linear SVM
and logistic regression at 4000, 1000, 100 and 20 images, and 82 / 82 / 81 / 75 % for k-means. Beside that stand the
numbers that tell what this means: the majority class, what the files' headers alone give away, and the transfer to
sources that were not trained on. On 100 images of public repositories (20 a test): SVM 97.0 %, headers alone 75.0 %.

    python train_faces_hq.py                      # data/faces_hq if it is there, else the built-in sample
    python train_faces_hq.py --data-dir DIR --real-sources A B --fake-sources C D

Writes plots/faces_hq_spectrum.png (of the sample also _crops.png), _accuracy.md, _accuracy.csv, _results.json and _files.txt, for the sample into
plots/built_in_sample/; and the spectra for detect_fakes.py, data/spectra/faces_hq.npz or built_in_sample_faces_hq.npz.
"""

from itertools import product
from pathlib import Path
from typing import Literal

from deepfake_spectra.classification import compare_classifiers, logistic_regression, score_classifiers, standardised_weights, svm
from deepfake_spectra.experiment_data import load_experiment_data, sample_credit, sample_crops, sizes_that_fit
from deepfake_spectra.results import Stopwatch, headers_warning, metric_table, sample_size_table, write_experiment
from deepfake_spectra.settings import read_settings, run
from deepfake_spectra.spectra_file import save_run
from deepfake_spectra.image_spectra import FAKE, REAL, Features
from deepfake_spectra.splits import random_splits, source_splits

# data
DATA_DIR: Path | None = None  # folder with one sub-folder per source; none: data/faces_hq, else the built-in sample
REAL_SOURCES: tuple[str, ...] = ("celebA-HQ_10K", "Flickr-Faces-HQ_10K")  # the names in the authors' archive
FAKE_SOURCES: tuple[str, ...] = ("100KFake_10K", "thispersondoesntexists_10K")  # likewise
SAMPLE_SIZES: tuple[int, ...] = (4000, 1000, 100, 20)  # images in total, all sources together; the paper's
PUBLISHED_FEATURES: Path | None = None  # the authors' dataset_freq_1000.pkl, instead of images
MAX_UNREADABLE: float = 0.01  # share of unreadable files above which the run ends

# features
CONVENTION: Literal["published", "centred"] = "published"  # "centred" has DC at the centre and keeps every ring
PRECISION: Literal["float64", "float32"] = "float64"  # float32 is faster and errs by 1e-4 in single bins
ALTERATION: str = ""  # done to every image first, as "jpeg 75" or "crop 512x512 + blur 0.5": what is left then?
N_BINS: int | None = None  # values per spectrum; none: as many as the shortest has (722 at 1024x1024)

# classifiers
TEST_SHARE: float = 0.2  # of the images, or groups, of each source; the paper's
N_SPLITS: int = 10  # how often images are drawn and split anew; the paper's
SVM_C: float = 1.0  # linear kernel, no scaling
LOGISTIC_MAX_ITER: int = 1000  # liblinear, no scaling
SEED: int = 0  # draws the images and the splits
N_THREADS: int = -1  # -1: one per core

# output
OUTPUT_DIR: Path = Path("plots")  # for tables and figures

PUBLISHED_ACCURACY = {  # per cent at a number of images
    "paper": {
        4000: {"svm_linear": 100, "logistic_regression": 100, "k_means": 82},
        1000: {"svm_linear": 100, "logistic_regression": 100, "k_means": 82},
        100: {"svm_linear": 100, "logistic_regression": 100, "k_means": 81},
        20: {"svm_linear": 100, "logistic_regression": 100, "k_means": 75},
    }
}
PUBLISHED_N_BINS = 722


def linear_classifiers(settings):
    """Return {name: () -> classifier}, the two of the paper that are fitted with labels."""
    return {
        "svm_linear": lambda: svm("linear", settings.svm_c),
        "logistic_regression": lambda: logistic_regression(settings.logistic_max_iter, settings.seed),
    }


def sample_size_rows(data, sizes, settings):
    """Table 1: random splits, stratified by source; of the sample, by photograph."""
    rows = []
    for n_samples in sizes:
        splits = random_splits(data.dataset, n_samples, settings.test_share, settings.n_splits, settings.seed)
        rows += compare_classifiers(
            data.dataset,
            splits,
            linear_classifiers(settings),
            data.protocol,
            settings.seed,
            settings.n_threads,
            n_samples=n_samples,
        )
    return rows


def transfer_rows(data, settings):
    """Table 2: train on one real and one fake source, test on all the others; empty if a class has one source."""
    sources = {label: data.dataset.sources_of(label) for label in (REAL, FAKE)}
    if min(map(len, sources.values())) < 2:
        return []
    rows = []
    for trained in product(sources[REAL], sources[FAKE]):
        tested = [name for name in sources[REAL] + sources[FAKE] if name not in trained]
        rows += rows_between(data.dataset, trained, tested, data, settings, table="transfer")
    return rows


def limit_rows(data, settings):
    """Table 3, sample only: a detector of the first generator, asked about what it was not trained on."""
    trained_real, tested_real = data.dataset.sources_of(REAL)
    generator = data.dataset.sources_of(FAKE)[0]
    rows = []
    for asked in data.limits.sources_of(FAKE):
        trained, tested = (trained_real, generator), (tested_real, asked)
        rows += rows_between(data.limits, trained, tested, data, settings, table="limits", condition=asked)
    return rows


def rows_between(dataset, trained, tested, data, settings, **keys):
    """Results of the linear classifiers, trained on some sources and tested on others."""
    splits = source_splits(dataset, trained, tested, settings.test_share, settings.n_splits, settings.seed)
    return score_classifiers(
        dataset,
        splits,
        linear_classifiers(settings),
        settings.n_threads,
        protocol="by_photograph" if data.is_sample else "held_out",
        n_samples=len(splits[0].train) + len(splits[0].test),
        train_sources=list(trained),
        test_sources=list(tested),
        **keys,
    )


def tables(data, rows, settings):
    """Return (caption, Markdown table) for all that was measured."""
    by_photograph = ", no photograph on both sides" if data.is_sample else ""
    columns = (
        ("SVM, linear", "svm_linear", data.protocol),
        ("logistic regression", "logistic_regression", data.protocol),
        ("k-means, all rows", "k_means", "published"),
        ("k-means, held out", "k_means", "held_out"),
        ("majority class", "majority_class", data.protocol),
        ("headers only", "headers_only", data.protocol),
    )
    is_papers = (
        data.dataset.spectra.shape[1] == PUBLISHED_N_BINS  # not the authors' features of another experiment
        if data.kind == "published_features"
        else (settings.real_sources, settings.fake_sources, settings.alteration) == (REAL_SOURCES, FAKE_SOURCES, "")
        and not data.is_sample
    )
    yield (
        f"Table 1. Accuracy in %, mean ± standard deviation over {settings.n_splits} random splits{by_photograph} "
        "(95 % interval)",
        sample_size_table(rows, columns, PUBLISHED_ACCURACY if is_papers else {}),
    )
    for table, caption, of_asked in (
        ("transfer", "Table 2. Transfer in %: trained on one real and one fake source, tested on the others", "of fakes"),
        ("limits", "Table 3. Limits in %: a detector of one generator, asked about others, and about photographs that "
         "were merely scaled or blurred", "called fake"),
    ):  # fmt: skip
        metrics = (("recall of reals", "recall_real"), (of_asked, "recall_fake"),
                   ("balanced accuracy", "balanced_accuracy"), ("ROC AUC", "roc_auc"))  # fmt: skip
        if any(row["table"] == table for row in rows):
            lines = (("trained on", "train_sources"), ("tested on", "test_sources"), ("classifier", "classifier"))
            names = {"svm_linear": "SVM, linear", "logistic_regression": "logistic regression"}
            yield caption + by_photograph, metric_table(rows, table, lines, metrics, names)


def notes(rows, settings):
    """Return what has to be said about the numbers."""
    sentences = headers_warning(rows)
    if settings.alteration:
        sentences.append(f"every image was altered first: {settings.alteration}; the headers are those of before")
    if not any(row["table"] == "transfer" for row in rows):
        sentences.append("transfer left out: it needs two sources of each class")
    return sentences


def main():
    settings = read_settings(__name__)
    stopwatch = Stopwatch()
    features = Features(settings.convention, "none", settings.precision, settings.alteration)
    with stopwatch("spectra"):
        data = load_experiment_data(
            "faces_hq", settings, features, REAL_SOURCES + FAKE_SOURCES, SAMPLE_SIZES, n_bins=settings.n_bins
        )
    sizes, remarks = sizes_that_fit(data.dataset, data.sample_sizes)
    with stopwatch("table 1"):
        rows = sample_size_rows(data, sizes, settings)
    with stopwatch("transfer"):
        rows += transfer_rows(data, settings)
        rows += limit_rows(data, settings) if data.is_sample else []
    folder = data.output_dir(settings)
    with stopwatch("figure"):
        from deepfake_spectra.plots import crops_figure, spectrum_figure  # matplotlib takes half a second to load

        weights = standardised_weights(data.dataset, linear_classifiers(settings)["svm_linear"])
        title = data.figure_title("Faces-HQ", settings.alteration)
        if data.is_sample:
            crops_figure(
                folder / "faces_hq_crops.png", sample_crops(data.dataset), data.dataset, features, sample_credit()
            )
        spectrum_figure(folder / "faces_hq_spectrum.png", data.dataset, features, weights, "Linear SVM", title)
    write_experiment(
        folder,
        "faces_hq",
        "Faces-HQ experiment",
        data,
        settings,
        rows,
        list(tables(data, rows, settings)),
        remarks + notes(rows, settings),
        ["faces_hq_spectrum.png"] + ["faces_hq_crops.png"] * data.is_sample,
    )
    save_run("faces_hq", data, features, {"name": "svm_linear", "C": settings.svm_c})
    print(f"time: {stopwatch}")


if __name__ == "__main__":
    run(main)
