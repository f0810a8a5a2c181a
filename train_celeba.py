"""CelebA: the paper's easiest case, and what its 100 % measures.

Reproduces the low-resolution experiment of Durall et al. (arXiv 1911.00686): 1000 aligned CelebA photographs (178x218
JPEG) against 1000 GAN faces of the authors (128x128 JPEG), 80 spectrum values each, divided by the first. The paper
reports 100 % for the SVM and logistic regression and 96 % for k-means at 2000 images.

The released features of the reals stand around a wrong centre, which squares do not notice: so the table comes by that
centre, by the right one, and by one on DC. Real and fake also differ in size. So controls stand beside it: one class
against itself, half of it cropped, scaled, compressed, blurred, or around the wrong centre (there is nothing fake to
find), and reals against fakes after both went through the same crop and compression (what is left of the 100 %).

    python train_celeba.py                                              # data/celeba, else the built-in sample
    python train_celeba.py --data-dir DIR --real-sources A --fake-sources B
    python train_celeba.py --published-features celeba_low_1000.pkl     # the authors' own features, no image needed

On celeba_low_1000.pkl, 400 a test: SVM 99.9 % (linear), 100 % (RBF), 98.7 % (polynomial), logistic regression 99.8 %,
k-means 96.4 %.

Writes plots/celeba_spectrum, _control and _centres (.png and .pdf), _accuracy.md, _accuracy.csv, _results.json,
_scores.csv.gz, _files.txt, and for detect_fakes.py _judge.safetensors; for the sample into plots/built_in_sample/.
"""

from deepfake_spectra.settings import only_one, read_settings, run, settings_record  # isort: skip; hears Ctrl-C

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from deepfake_spectra.alterations import parse_steps
from deepfake_spectra.classification import (
    logistic_regression,
    score_baselines,
    score_classifiers,
    score_k_means,
    standardised_weights,
)
from deepfake_spectra.controls import LEAST_LEFT, checked_altered, half_altered
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, FAKE, ORIGINS, REAL, Feature, Precision
from deepfake_spectra.detector_file import save_run
from deepfake_spectra.image_folders import count_images, find_images, label_sources, say_sizes, sizes_that_fit
from deepfake_spectra.image_spectra import load_spectra, mean_log_power_plane, measure_part
from deepfake_spectra.published_features import published_dataset
from deepfake_spectra.results import check_results, write_results
from deepfake_spectra.splits import pool_remark, pool_size, random_splits
from deepfake_spectra.tables import headers_warning, metric_said, result_table, rows_of, sample_size_table
from radial_spectrum import Convention

# data
DATA_DIR: Path | None = None  # folder with one sub-folder per source; none: data/celeba, else the built-in sample
REAL_SOURCES: tuple[str, ...] = ("img_align_celeba",)  # folders of reals; CelebA's name of its aligned images
FAKE_SOURCES: tuple[str, ...] = ("dataset_celebA",)  # folders of fakes, as in the authors' archive
SAMPLE_SIZES: tuple[int, ...] = (2000,)  # images in total; one below 200 is drawn from 200; the paper's
PUBLISHED_FEATURES: Path | None = None  # the authors' celeba_low_1000.pkl, instead of images
RELEASED_FEATURES: Path | None = None  # the authors' celeba_low_1000.pkl, drawn over ours in the figure of the centres
MAX_UNREADABLE: float = 0.01  # share of unreadable files above which the run ends

# feature
CONVENTION: Convention = "published"  # "published_2019": as the authors' reals; "centred": every ring is kept
PRECISION: Precision = "float64"  # float32 is faster; single bins err, see `radial_spectrum`
N_BINS: int = 80  # values per spectrum; the paper's

# classifiers
TEST_SHARE: float = 0.2  # of the images, or groups, of each source; the paper's
N_SPLITS: int = 10  # how often images are drawn and split anew; the paper's
SVM_C: float = 1.0  # linear and polynomial kernel, no scaling
RBF_C: float = 6.37  # RBF kernel, no scaling; the paper's
RBF_GAMMA: float = 0.86  # RBF kernel; the paper's
POLY_GAMMA: Literal["auto", "scale"] = "auto"  # polynomial kernel; "auto" was scikit-learn's default in 2019
LOGISTIC_MAX_ITER: int = 1000  # liblinear, no scaling
SEED: int = 0  # draws the images and the splits
N_THREADS: int = -1  # -1: one per core

# controls, in words like "crop 128x128 + jpeg 75 + blur 0.5 + resize 178x218"
FAKES_ALTERED: tuple[str, ...] = ("crop 104x128", "resize 178x218", "jpeg 50", "blur 0.5")  # on every second fake
BOTH_ALTERED: tuple[str, ...] = ("crop 128x128", "crop 128x128 + jpeg 75", "crop 128x128 + jpeg 50")  # on all images

# more machines, which share the folders of this one
PART: str | None = None  # as "3/16": only measure this part of the images; a later run without it finds all parts
SCHEDULER: str | None = None  # of dask, as "tcp://host:8786": its workers measure

# output
OUTPUT_DIR: Path = Path("plots")  # for tables and figures

CONTROL_PANELS = {
    "control": "One class against itself, every second one altered (fakes; last line: reals)",
    "alike": "Reals against fakes, both altered alike",
}
FIGURES = ("spectrum", "control", "centres")

# the paper's own, beside which ours are set where sources and feature are the same: not to be edited
PAPER_SOURCES = {"img_align_celeba": REAL, "dataset_celebA": FAKE}
PAPER_FEATURE = Feature(n_bins=80, normalise=True)
PAPER_ACCURACY = {  # per cent at a number of images
    "paper": {2000: {"svm_linear": 100, "logistic_regression": 100, "k_means": 96}},
    "authors' notebook": {2000: {"svm_linear": 99.95, "svm_rbf": 100, "svm_poly": 98.55, "logistic_regression": 99.75}},
}


def measure_states(images, feature, settings):
    """Measure a part of all images that the experiment draws: as they are, around each centre, and altered."""
    n_samples, reading = max(settings.sample_sizes), {"seed": settings.seed, "n_threads": settings.n_threads}
    others = [replace(feature, convention=name) for name in get_args(Convention) if name != feature.convention]
    others += [feature.altered(steps) for steps in settings.fakes_altered + settings.both_altered]
    measure_part(settings.part, images, feature, pool_size(n_samples), others, n_samples, **reading)


def controls(dataset, by_centre, load, settings):
    """Yield (table, condition, data set) of the controls: one class against itself, and both classes altered alike."""
    untouched = dataset.of_sources(dataset.sources_of(FAKE))
    yield "control", "untouched", half_altered(untouched, untouched)
    for alteration in settings.fakes_altered:
        altered = checked_altered(dataset, load(dataset.feature.altered(alteration)))
        yield "control", alteration, half_altered(untouched, altered.of_sources(list(untouched.counts())))
    reals = dataset.sources_of(REAL)
    if "published_2019" in by_centre and np.count_nonzero(dataset.labels == REAL) >= LEAST_LEFT:
        around_other = by_centre["published_2019"].of_sources(reals)
        yield "control", "reals, centre of 2019", half_altered(dataset.of_sources(reals), around_other)
    yield "alike", "as they are", dataset
    for alteration in settings.both_altered:
        yield "alike", alteration, checked_altered(dataset, load(dataset.feature.altered(alteration)))


def draw_centres(path, image_dir, by_centre, settings):
    """Draw the reals' mean 2-D spectrum with the rings of both centres; returns whether there is something to draw."""
    from deepfake_spectra.plane_plots import centres_figure

    if "published_2019" not in by_centre:
        return False
    reals = {name: dataset.of_rows(np.flatnonzero(dataset.labels == REAL)) for name, dataset in by_centre.items()}
    if len(set(reals["published"].sizes())) > 1:
        return False
    ((height, width),) = set(reals["published"].sizes())
    if height == width:  # the two centres are one
        return False
    centres = {
        "right centre (published)": ((width - 1) / 2, (height - 1) / 2),
        "the authors' of 2019": ((width - 1) / 2, (width - 1) / 2),
    }
    curves = dict(zip(centres, (reals[name].spectra.mean(axis=0) for name in ("published", "published_2019"))))
    if settings.released_features:
        released = published_dataset(settings.released_features, PAPER_FEATURE)
        curves["released by the authors"] = released.spectra[released.labels == REAL].mean(axis=0)
    plane = mean_log_power_plane(image_dir, reals["published"].paths, n_threads=settings.n_threads)
    n_reals = len(reals["published"])
    centres_figure(path, plane, curves, centres, f"{n_reals} photographs, rings around two centres")
    return True


def make_tables(dataset, rows, n_splits):
    """Yield (caption, Markdown table) of all that was measured."""
    is_sample = dataset.origin is BUILT_IN_SAMPLE
    by_photograph = ", no photograph on both sides" if is_sample else ""
    spread = f"mean ± standard deviation over {n_splits} random splits{by_photograph}"
    for table, caption in (
        ("control", "Control 1. Fakes against fakes, in the last line reals against reals, every second one altered: "
         f"{metric_said(rows, 'control')} in %, {spread} (95 % "
         "interval). Nothing fake is to be found; 50 would be blind to the alteration"),
        ("alike", f"Control 2. Reals against fakes, both altered alike: {metric_said(rows, 'alike')} in %, {spread} "
         "(95 % interval)"),
    ):  # fmt: skip
        if found := rows_of(rows, table):
            yield caption, result_table(found, ("condition", "n_samples"), ("classifier",), {"n_samples": "images"})
    if found := rows_of(rows, "centre"):
        yield (
            "Where the rings stand: `published` around the middle, `published_2019` as the authors' code of 2019 had "
            f"it (both coordinates from the width), `centred` around DC. {metric_said(rows, 'centre').capitalize()} in "
            f"%, {spread} (95 % interval)",
            result_table(
                found, ("condition", "n_samples"), ("classifier", "protocol"),
                {
                    dataset.protocol: "", "condition": "convention", "n_samples": "images",
                    "tenth_value": "one threshold on the 10th value",
                },
            ),
        )  # fmt: skip
    yield (
        f"Table 1. Reals against fakes as published: {metric_said(rows, 'sample_sizes')} in %, {spread} "
        "(95 % interval)",
        sample_size_table(
            rows,
            PAPER_ACCURACY if dataset.is_of_paper(PAPER_SOURCES, PAPER_FEATURE) else {},
            ("n_samples",),
            ("classifier", "protocol"),
            {dataset.protocol: ""},
        ),
    )


def main():
    settings = read_settings(__name__)
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    from deepfake_spectra.plots import spectrum_figure
    from deepfake_spectra.result_plots import control_figure

    for alteration in settings.fakes_altered + settings.both_altered:
        parse_steps(alteration)  # a wrong one ends the run before it has cost anything
    feature = Feature(settings.convention, precision=settings.precision, n_bins=settings.n_bins, normalise=True)
    only_one(DATA_DIR=settings.data_dir, PUBLISHED_FEATURES=settings.published_features)
    only_one(PART=settings.part, SCHEDULER=settings.scheduler, PUBLISHED_FEATURES=settings.published_features)
    only_one(RELEASED_FEATURES=settings.released_features, PUBLISHED_FEATURES=settings.published_features)
    if settings.released_features:
        published_dataset(settings.released_features, PAPER_FEATURE)  # likewise a wrong file
    released = [settings.released_features] if settings.released_features else []
    if settings.published_features:
        folder = settings.output_dir / ORIGINS["published_features"].subfolder
        check_results(folder, "celeba", FIGURES, [settings.published_features])
        drawn = published_dataset(settings.published_features, feature)
    else:
        labels = label_sources(settings.real_sources, settings.fake_sources)
        images = find_images("celeba", settings.data_dir, labels, PAPER_SOURCES)  # the sample's if there are none
        folder = settings.output_dir / images.origin.subfolder
        check_results(folder, "celeba", FIGURES, [*images.source_dirs(), *released])
        reading = {key: getattr(settings, key) for key in ("seed", "n_threads", "scheduler", "max_unreadable")}
        say_sizes(count_images(images), settings.sample_sizes)
        if settings.part:
            return measure_states(images, feature, settings)
        drawn = load_spectra(images, feature, pool_size(max(settings.sample_sizes)), **reading)
    sizes, remarks = sizes_that_fit(drawn.counts(), settings.sample_sizes)
    dataset = drawn.of_draw(max(sizes))

    logistic = logistic_regression(settings.logistic_max_iter, settings.seed)
    classifiers = {
        "svm_linear": SVC(kernel="linear", C=settings.svm_c),
        "svm_rbf": SVC(kernel="rbf", C=settings.rbf_c, gamma=settings.rbf_gamma),
        "svm_poly": SVC(kernel="poly", C=settings.svm_c, gamma=settings.poly_gamma),
        "logistic_regression": logistic,
    }
    protocol, seed, n_threads = dataset.protocol, settings.seed, settings.n_threads
    rows = []
    for n_samples in sizes:
        pool = drawn.of_draw(pool_size(n_samples))
        splits = random_splits(pool, n_samples, settings.test_share, settings.n_splits, seed)
        keys = {"table": "sample_sizes", "n_samples": n_samples}
        rows += score_classifiers(pool, splits, classifiers, n_threads, protocol=protocol, **keys)
        rows += score_k_means(pool, splits, seed, n_threads, **keys)
        rows += score_baselines(pool, splits, seed, n_threads, protocol=protocol, **keys)
    remarks += headers_warning(rows)

    by_centre = {}
    if not settings.published_features:
        load = partial(load_spectra, images, n_samples=max(sizes), **reading)
        is_wide = any(width > 2 * height for height, width in dataset.sizes())  # the centre of 2019 lies outside then
        conventions = [name for name in get_args(Convention) if not (is_wide and name == "published_2019")]
        by_centre = {
            name: dataset if name == feature.convention else load(replace(feature, convention=name))
            for name in conventions
        }

    n_fakes = np.count_nonzero(dataset.labels == FAKE)
    has_controls = bool(n_fakes >= LEAST_LEFT) and not settings.published_features
    if has_controls:
        for table, condition, altered in controls(dataset, by_centre, load, settings):
            splits = random_splits(altered, len(altered), settings.test_share, settings.n_splits, seed)
            keys = {"table": table, "condition": condition, "protocol": protocol, "n_samples": len(altered)}
            rows += score_classifiers(altered, splits, classifiers, n_threads, **keys)
            drawn.skipped += [found for found in altered.skipped if found not in drawn.skipped]
    elif settings.published_features:
        remarks.append("controls left out: they need images, the authors' features have none")
    else:
        remarks.append(
            f"controls left out: found {n_fakes} fakes, need {LEAST_LEFT} to train and test on altered and untouched "
            "ones"
        )

    for convention, of_centre in by_centre.items():
        splits = random_splits(of_centre, max(sizes), settings.test_share, settings.n_splits, seed)
        keys = {"table": "centre", "condition": convention, "n_samples": max(sizes)}
        rows += score_classifiers(of_centre, splits, classifiers, n_threads, protocol=protocol, **keys)
        rows += score_k_means(of_centre, splits, seed, n_threads, **keys)
        stump, tenth_value = {"tenth_value": DecisionTreeClassifier(max_depth=1)}, of_centre.spectra[:, 9:10]
        rows += score_classifiers(of_centre, splits, stump, n_threads, tenth_value, protocol=protocol, **keys)

    title = f"CelebA experiment, {len(dataset)} images{dataset.origin.said}"
    weights = standardised_weights(dataset, classifiers["svm_linear"])
    spectrum_figure(folder / "celeba_spectrum.png", dataset, weights, "Linear SVM", title)
    if has_controls:
        control_figure(folder / "celeba_control.png", rows, CONTROL_PANELS, title)
    has_centres = not settings.published_features and draw_centres(
        folder / "celeba_centres.png", images.path, by_centre, settings
    )
    tables = list(make_tables(dataset, rows, settings.n_splits))
    figures = {"celeba_spectrum.png": True, "celeba_control.png": has_controls, "celeba_centres.png": has_centres}
    remarks += pool_remark(drawn, dataset)
    write_results(folder, "celeba", title, drawn, settings_record(settings), rows, tables, remarks, figures)
    save_run(folder, "celeba", dataset, classifiers["svm_linear"])


if __name__ == "__main__":
    run(main)
