"""Faces-HQ: can a linear classifier tell generated faces from photographs by their radial spectrum alone?

Reproduces table 1 of Durall et al. (arXiv 1911.00686): 1024x1024 JPEG faces, two real and two fake sources in equal
numbers, 722 spectrum values each, 80 % to train and 20 % to test, ten times. The paper reports 100 % for the linear SVM
and logistic regression at 4000, 1000, 100 and 20 images, and 82 / 82 / 81 / 75 % for k-means. Beside that stand the
numbers that tell what this means: the majority class, what the files' headers alone give away, and the transfer to
sources that were not trained on. On 100 images of public repositories (20 a test): SVM 97.0 %, headers alone 75.0 %.

    python train_faces_hq.py                      # data/faces_hq if it is there, else the built-in sample
    python train_faces_hq.py --data-dir DIR --real-sources A B --fake-sources C D

Writes plots/faces_hq_spectrum.png (of the sample also _crops.png), _accuracy.md, _accuracy.csv, _results.json and
_files.txt, for the sample into plots/built_in_sample/; and the spectra for detect_fakes.py,
data/spectra/faces_hq.safetensors or built_in_sample_faces_hq.safetensors.
"""

from itertools import product
from pathlib import Path

from deepfake_spectra.classification import score_baselines, score_classifiers, score_k_means, standardised_weights
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, FAKE, REAL, Feature, Precision
from deepfake_spectra.detector_file import save_run
from deepfake_spectra.image_spectra import find_images, label_sources, load_spectra, sizes_that_fit
from deepfake_spectra.published_features import published_dataset
from deepfake_spectra.results import headers_warning, paper_rows, result_table, rows_of, write_results
from deepfake_spectra.sample.build import credit, sample_images, shown_crops
from deepfake_spectra.settings import only_one, read_settings, run, settings_record
from deepfake_spectra.splits import random_splits, source_splits
from radial_spectrum import Convention

# data
DATA_DIR: Path | None = None  # folder with one sub-folder per source; none: data/faces_hq, else the built-in sample
REAL_SOURCES: tuple[str, ...] = ("celebA-HQ_10K", "Flickr-Faces-HQ_10K")  # the names in the authors' archive
FAKE_SOURCES: tuple[str, ...] = ("100KFake_10K", "thispersondoesntexists_10K")  # likewise
SAMPLE_SIZES: tuple[int, ...] = (4000, 1000, 100, 20)  # images in total, all sources together; the paper's
PUBLISHED_FEATURES: Path | None = None  # the authors' dataset_freq_1000.pkl, instead of images
MAX_UNREADABLE: float = 0.01  # share of unreadable files above which the run ends

# feature
CONVENTION: Convention = "published"  # "centred" has DC at the centre and keeps every ring
PRECISION: Precision = "float64"  # float32 is faster and errs by 1e-4 in single bins
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

# the paper's own, beside which ours are set where sources and feature are the same: not to be edited
PAPER_SOURCES = {
    "celebA-HQ_10K": REAL, "Flickr-Faces-HQ_10K": REAL, "100KFake_10K": FAKE, "thispersondoesntexists_10K": FAKE,
}  # fmt: skip
PAPER_FEATURE = Feature(n_bins=722)
PAPER_ACCURACY = {  # per cent at a number of images
    "paper": {
        4000: {"svm_linear": 100, "logistic_regression": 100, "k_means": 82},
        1000: {"svm_linear": 100, "logistic_regression": 100, "k_means": 82},
        100: {"svm_linear": 100, "logistic_regression": 100, "k_means": 81},
        20: {"svm_linear": 100, "logistic_regression": 100, "k_means": 75},
    }
}


def transfer_rows(dataset, classifiers, settings):
    """Table 2: train on one real and one fake source, test on all the others; empty if a class has one source."""
    reals, fakes = dataset.sources_of(REAL), dataset.sources_of(FAKE)
    if len(reals) < 2 or len(fakes) < 2:
        return []
    rows = []
    for trained in product(reals, fakes):
        tested = [name for name in reals + fakes if name not in trained]
        rows += rows_between(dataset, trained, tested, classifiers, settings, table="transfer")
    return rows


def limit_rows(dataset, classifiers, settings):
    """Table 3, sample only: a detector of the first generator, asked about what it was not trained on."""
    trained_real, tested_real = dataset.sources_of(REAL)
    generator, *_ = fakes = dataset.sources_of(FAKE)
    rows = []
    for asked in fakes:
        trained, tested = (trained_real, generator), (tested_real, asked)
        rows += rows_between(dataset, trained, tested, classifiers, settings, table="limits", condition=asked)
    return rows


def rows_between(dataset, trained, tested, classifiers, settings, **keys):
    """Results of classifiers that are trained on some sources and tested on others."""
    splits = source_splits(dataset, trained, tested, settings.test_share, settings.n_splits, settings.seed)
    return score_classifiers(
        dataset,
        splits,
        classifiers,
        settings.n_threads,
        protocol=dataset.protocol if dataset.group_name else "held_out",
        n_samples=len(splits[0].train) + len(splits[0].test),
        train_sources=list(trained),
        test_sources=list(tested),
        **keys,
    )


def make_tables(dataset, rows, n_splits):
    """Yield (caption, Markdown table) for all that was measured."""
    by_photograph = ", no photograph on both sides" if dataset.origin is BUILT_IN_SAMPLE else ""
    accuracies = rows_of(rows, "sample_sizes")
    is_of_paper = dataset.is_of_paper(PAPER_SOURCES, PAPER_FEATURE)
    published = paper_rows(PAPER_ACCURACY, accuracies) if is_of_paper else []
    yield (
        f"Table 1. Accuracy in %, mean ± standard deviation over {n_splits} random splits{by_photograph} "
        "(95 % interval)",
        result_table(
            accuracies + published,
            ("n_samples", "measured") if published else ("n_samples",),
            ("classifier", "protocol"),
            {dataset.protocol: "", "measured": "by", None: "here"},
        ),
    )
    metrics = ("recall_real", "recall_fake", "balanced_accuracy", "roc_auc")
    for table, caption, names in (
        ("transfer", "Table 2. Transfer in %: trained on one real and one fake source, tested on the others", {}),
        ("limits", "Table 3. Limits in %: a detector of one generator, asked about others, and about photographs that "
         "were merely scaled or blurred", {"recall_fake": "called fake"}),
    ):  # fmt: skip
        if found := rows_of(rows, table, metrics):
            lines = ("train_sources", "test_sources", "classifier")
            yield caption + by_photograph, result_table(found, lines, ("metric",), names)


def main():
    settings = read_settings(__name__)
    from sklearn.linear_model import LogisticRegression  # scikit-learn and matplotlib take a second to load
    from sklearn.svm import SVC

    from deepfake_spectra.plots import crops_figure, spectrum_figure

    feature = Feature(
        settings.convention, precision=settings.precision, alteration=settings.alteration, n_bins=settings.n_bins
    )
    reading = {key: getattr(settings, key) for key in ("seed", "n_threads", "max_unreadable")}
    only_one(DATA_DIR=settings.data_dir, PUBLISHED_FEATURES=settings.published_features)
    if settings.published_features:
        dataset = published_dataset(settings.published_features, feature)
    else:
        labels = label_sources(settings.real_sources, settings.fake_sources)
        images = find_images("faces_hq", settings.data_dir, labels, PAPER_SOURCES)  # the sample's if there are none
        dataset = load_spectra(images, feature, max(settings.sample_sizes), **reading)

    classifiers = {
        "svm_linear": SVC(kernel="linear", C=settings.svm_c),
        "logistic_regression": LogisticRegression(
            solver="liblinear", max_iter=settings.logistic_max_iter, random_state=settings.seed
        ),
    }
    seed, n_threads = settings.seed, settings.n_threads
    sizes, remarks = sizes_that_fit(dataset, settings.sample_sizes)
    rows = []
    for n_samples in sizes:
        splits = random_splits(dataset, n_samples, settings.test_share, settings.n_splits, seed)
        keys = {"table": "sample_sizes", "n_samples": n_samples}
        rows += score_classifiers(dataset, splits, classifiers, n_threads, protocol=dataset.protocol, **keys)
        rows += score_k_means(dataset, splits, seed, n_threads, **keys)
        rows += score_baselines(dataset, splits, seed, n_threads, protocol=dataset.protocol, **keys)
    transfer = transfer_rows(dataset, classifiers, settings)
    rows += transfer
    if dataset.origin is BUILT_IN_SAMPLE:
        with_altered = load_spectra(sample_images("faces_hq", with_altered=True), feature, **reading)
        rows += limit_rows(with_altered, classifiers, settings)

    remarks += headers_warning(rows)
    if settings.alteration:
        remarks.append(f"every image was altered first: {settings.alteration}; the headers are those of before")
    if not transfer:
        remarks.append("transfer left out: it needs two sources of each class")
    folder = settings.output_dir / dataset.origin.subfolder
    title = f"Faces-HQ experiment{dataset.origin.said}"
    weights = standardised_weights(dataset, classifiers["svm_linear"])
    spectrum_figure(folder / "faces_hq_spectrum.png", dataset, weights, "Linear SVM", title)
    if dataset.origin is BUILT_IN_SAMPLE:
        crops_figure(folder / "faces_hq_crops.png", shown_crops(dataset.paths), dataset, credit())
    figures = {"faces_hq_spectrum.png": True, "faces_hq_crops.png": dataset.origin is BUILT_IN_SAMPLE}
    tables = list(make_tables(dataset, rows, settings.n_splits))
    write_results(folder, "faces_hq", title, dataset, settings_record(settings), rows, tables, remarks, figures)
    save_run("faces_hq", dataset, classifiers["svm_linear"])


if __name__ == "__main__":
    run(main)
