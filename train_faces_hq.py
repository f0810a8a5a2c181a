"""Faces-HQ: can a linear classifier tell generated faces from photographs by their radial spectrum alone?

Reproduces table 1 of Durall et al. (arXiv 1911.00686): 1024x1024 JPEG faces, two real and two fake sources in equal
numbers, 722 spectrum values each, 80 % to train and 20 % to test, ten times. The paper reports 100 % for the linear SVM
and logistic regression at 4000, 1000, 100 and 20 images, and 82 / 82 / 81 / 75 % for k-means. Beside that stand the
numbers that tell what this means: the majority class, what the files' headers alone give away, and the transfer to
sources that were not trained on; all of it again with every image saved at one JPEG quality; and controls in which
there is nothing fake to find. On 600 images that are most likely the paper's (120 a test): SVM 100 %, headers alone
100 %, all at JPEG 75 92.1 %, and 56 to 85 % on sources that were not trained on.

    python train_faces_hq.py                      # data/faces_hq if it is there, else the built-in sample
    python train_faces_hq.py --data-dir DIR --real-sources A B --fake-sources C D

Writes plots/faces_hq_spectrum, _sources, _sizes, _control, _scores and _planes (.png and .pdf; of the sample also
_crops and _pipeline), _accuracy.md, _accuracy.csv, _results.json, _scores.csv.gz, _files.txt, and for detect_fakes.py
_judge.safetensors; for the sample into plots/built_in_sample/.
"""

from deepfake_spectra.settings import only_one, read_settings, run, settings_record  # isort: skip; hears Ctrl-C

from functools import partial
from itertools import combinations, product
from pathlib import Path

from deepfake_spectra.alterations import parse_steps
from deepfake_spectra.classification import (
    logistic_regression,
    score_baselines,
    score_classifiers,
    score_k_means,
    scores_by_source,
    standardised_weights,
)
from deepfake_spectra.controls import LEAST_LEFT, checked_altered, half_altered, one_against_other
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, FAKE, ORIGINS, REAL, Feature, Precision
from deepfake_spectra.detector_file import save_run
from deepfake_spectra.image_folders import (
    FACES_HQ_SOURCES,
    count_images,
    find_images,
    label_sources,
    say_sizes,
    sizes_that_fit,
)
from deepfake_spectra.image_spectra import load_spectra, mean_planes, measure_part
from deepfake_spectra.published_features import published_dataset
from deepfake_spectra.results import check_results, write_results
from deepfake_spectra.sample.build import sample_images
from deepfake_spectra.sample.show import credit, pipeline, shown_crops
from deepfake_spectra.splits import pool_remark, pool_size, random_splits, source_splits
from deepfake_spectra.tables import (
    headers_warning,
    metric_said,
    numbered,
    paper_rows,
    result_table,
    rows_of,
    sample_size_table,
)
from radial_spectrum import Convention, normalise_by_first

# data
DATA_DIR: Path | None = None  # folder with one sub-folder per source; none: data/faces_hq, else the built-in sample
REAL_SOURCES: tuple[str, ...] = ("celebA-HQ_10K", "Flickr-Faces-HQ_10K")  # folders of reals, as in the archive
FAKE_SOURCES: tuple[str, ...] = ("100KFake_10K", "thispersondoesntexists_10K")  # folders of fakes, as in the archive
SAMPLE_SIZES: tuple[int, ...] = (4000, 1000, 100, 20)  # images in total; one below 200 is drawn from 200; the paper's
PUBLISHED_FEATURES: Path | None = None  # the authors' dataset_freq_1000.pkl, instead of images
MAX_UNREADABLE: float = 0.01  # share of unreadable files above which the run ends

# feature
CONVENTION: Convention = "published"  # "centred" has DC at the centre and keeps every ring
PRECISION: Precision = "float64"  # float32 is faster; single bins err, see `radial_spectrum`
N_BINS: int | None = None  # values per spectrum; none: as many as the shortest has (722 at 1024x1024)

# classifiers
TEST_SHARE: float = 0.2  # of the images, or groups, of each source; the paper's
N_SPLITS: int = 10  # how often images are drawn and split anew; the paper's
SVM_C: float = 1.0  # linear kernel, no scaling
LOGISTIC_MAX_ITER: int = 1000  # liblinear, no scaling
SEED: int = 0  # draws the images and the splits
N_THREADS: int = -1  # -1: one per core

# controls, in words like "crop 128x128 + jpeg 75 + blur 0.5 + resize 178x218"
BOTH_ALTERED: tuple[str, ...] = ("jpeg 75", "jpeg 50", "jpeg 90")  # on all images; the first also on halves

# more machines, which share the folders of this one
PART: str | None = None  # as "3/16": only measure this part of the images; a later run without it finds all parts
SCHEDULER: str | None = None  # of dask, as "tcp://host:8786": its workers measure

# output
OUTPUT_DIR: Path = Path("plots")  # for tables and figures

CONTROL_PANELS = {
    "alike": "Reals against fakes, all images altered alike", "control": "Nothing fake to find",
}  # fmt: skip
FIGURES = ("spectrum", "sources", "sizes", "control", "scores", "planes", "crops", "pipeline")
PLANES_PER_CLASS = 300  # images whose mean 2-D spectrum is drawn

# the paper's own, beside which ours are set where sources and feature are the same: not to be edited
PAPER_FEATURE = Feature(n_bins=722)
PAPER_ACCURACY = {  # per cent at a number of images
    "paper": {
        4000: {"svm_linear": 100, "logistic_regression": 100, "k_means": 82},
        1000: {"svm_linear": 100, "logistic_regression": 100, "k_means": 82},
        100: {"svm_linear": 100, "logistic_regression": 100, "k_means": 81},
        20: {"svm_linear": 100, "logistic_regression": 100, "k_means": 75},
    }
}


def measure_states(images, feature, settings):
    """Measure a part of all images that the experiment draws, as they are and altered."""
    n_samples, reading = max(settings.sample_sizes), {"seed": settings.seed, "n_threads": settings.n_threads}
    altered = [feature.altered(steps) for steps in settings.both_altered]
    measure_part(settings.part, images, feature, pool_size(n_samples), altered, n_samples, **reading)


def transfer_rows(dataset, classifiers, settings, condition):
    """Train on one real and one fake source, test on all the others; empty if a class has one source."""
    reals, fakes = dataset.sources_of(REAL), dataset.sources_of(FAKE)
    if len(reals) < 2 or len(fakes) < 2:
        return []
    rows = []
    for trained in product(reals, fakes):
        tested = [name for name in reals + fakes if name not in trained]
        rows += rows_between(dataset, trained, tested, classifiers, settings, table="transfer", condition=condition)
    return rows


def limit_rows(dataset, classifiers, settings):
    """Rows of the sample only: a detector of the first generator, asked about what it was not trained on."""
    trained_real, tested_real = dataset.sources_of(REAL)
    generator, *_ = fakes = dataset.sources_of(FAKE)
    rows = []
    for asked in fakes:
        trained, tested = (trained_real, generator), (tested_real, asked)
        rows += rows_between(dataset, trained, tested, classifiers, settings, table="limits", condition=asked)
    return rows


def control_data(states):
    """Yield (condition, data set) of a table in which there is nothing fake to find.

    One source against itself, as it is and with every second image altered; and two sources of one class.
    """
    dataset, *altered = states.values()
    for source in (name for name, n_images in dataset.counts().items() if n_images >= LEAST_LEFT):
        for state in (dataset, *altered[:1]):
            halves = half_altered(dataset.of_sources([source]), state.of_sources([source]))
            yield f"{source}, half of it {state.feature.alteration or 'called fake'}", halves
    for label in (REAL, FAKE):
        for first, second in combinations(dataset.sources_of(label), 2):
            for condition, state in states.items():
                yield f"{first} against {second}, {condition}", one_against_other(state, first, second)


def rows_between(dataset, trained, tested, classifiers, settings, **keys):
    """Results of classifiers that are trained on some sources and tested on others."""
    splits = source_splits(dataset, trained, tested, settings.test_share, settings.n_splits, settings.seed)
    if not splits:
        names = (" + ".join(of_side) for of_side in (trained, tested))
        dataset.remarks.append("{} to {} left out: all images of a source tested are trained on".format(*names))
        return []
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


def curve_ends(dataset):
    """Return rows of a table: the last value of each source's spectra over the first, as in the paper's figure."""
    ends = normalise_by_first(dataset.spectra)[:, -1]
    return [
        {
            "table": "curve_end", "metric": "last_over_first", "condition": source, "n_samples": n_images,
            "mean": float(ends[dataset.sources == source].mean()), "std": float(ends[dataset.sources == source].std()),
            "low": None, "protocol": None, "classifier": None,
        }
        for source, n_images in dataset.counts().items()
    ]  # fmt: skip


def make_tables(dataset, rows, n_splits):
    """Yield (caption, Markdown table) for all that was measured."""
    by_photograph = ", no photograph on both sides" if dataset.origin is BUILT_IN_SAMPLE else ""
    spread = f"mean ± standard deviation over {n_splits} random splits{by_photograph} (95 % interval)"
    yield (
        f"{metric_said(rows, 'sample_sizes').capitalize()} in %, {spread}",
        sample_size_table(
            rows,
            PAPER_ACCURACY if dataset.is_of_paper(FACES_HQ_SOURCES, PAPER_FEATURE) else {},
            ("n_samples",),
            ("classifier", "protocol"),
            {dataset.protocol: ""},
        ),
    )
    images = {"n_samples": "images", "condition": "all images"}
    if found := rows_of(rows, "alike"):
        yield (
            f"Reals against fakes, all images altered alike: {metric_said(rows, 'alike')} in %, {spread}",
            result_table(
                found, ("condition", "n_samples"), ("classifier", "protocol"), images | {dataset.protocol: ""}
            ),
        )
    metrics = ("recall_real", "recall_fake", "balanced_accuracy", "roc_auc")
    if found := rows_of(rows, "transfer", metrics):
        yield (
            f"Transfer in %: trained on one real and one fake source, tested on the others{by_photograph}",
            result_table(found, ("condition", "train_sources", "test_sources", "classifier"), ("metric",), images),
        )
    if found := rows_of(rows, "control"):
        yield (
            "Nothing fake to find: one source against itself, and two sources of one class: "
            f"{metric_said(rows, 'control')} in %, {spread}",
            result_table(found, ("condition", "n_samples"), ("classifier",), images | {"condition": "told apart"}),
        )
    if found := rows_of(rows, "limits", ("recall_real", "recall_fake")):
        yield (
            "Limits in %: a detector of one generator, asked about others, and about photographs that were "
            f"merely scaled or blurred{by_photograph}",
            result_table(
                found, ("train_sources", "test_sources", "classifier"), ("metric",), {"recall_fake": "called fake"}
            ),
        )
    if found := rows_of(rows, "curve_end", ("last_over_first",)):
        yield (
            "The end of each source's curve over its first value, in %, mean ± standard deviation over images",
            result_table(found, ("condition", "n_samples"), ("metric",), images | {"condition": "source"}),
        )


def draw_figures(folder, title, states, rows, svm):
    """Write the figures of results and spectra and return {name: whether it was written}."""
    from deepfake_spectra.plane_plots import pipeline_figure  # matplotlib takes a second to load
    from deepfake_spectra.plots import crops_figure, sources_figure, spectrum_figure
    from deepfake_spectra.result_plots import control_figure, scores_figure, sizes_figure

    dataset, shown = states["as they are"], first_states(states)
    weights = standardised_weights(dataset, svm)
    spectrum_figure(folder / "faces_hq_spectrum.png", dataset, weights, "Linear SVM", title)
    titled = {panel_title(condition): state for condition, state in shown.items()}
    sources_figure(folder / "faces_hq_sources.png", titled, title)
    published = paper_rows(PAPER_ACCURACY) if dataset.is_of_paper(FACES_HQ_SOURCES, PAPER_FEATURE) else []
    sizes_figure(folder / "faces_hq_sizes.png", rows_of(rows, "sample_sizes"), published, title)
    control_figure(folder / "faces_hq_control.png", rows, CONTROL_PANELS, title)
    alike = [row for row in rows_of(rows, "alike", ("accuracy",)) if row["classifier"] == "svm_linear"]
    said = {row["condition"]: row["predictions"] for row in alike}
    scores = {panel_title(name): scores_by_source(state, said[name]) for name, state in shown.items()}
    scores_figure(folder / "faces_hq_scores.png", scores, "Linear SVM", title)
    is_sample = dataset.origin is BUILT_IN_SAMPLE
    if is_sample:
        crops_figure(folder / "faces_hq_crops.png", shown_crops(dataset.paths), dataset, credit())
        pipeline_figure(folder / "faces_hq_pipeline.png", *pipeline(dataset, svm))
    figures = {f"faces_hq_{name}.png": True for name in ("spectrum", "sources", "sizes", "control", "scores")}
    return figures | {f"faces_hq_{name}.png": is_sample for name in ("crops", "pipeline")}


def draw_planes(path, folder, states, title, n_threads):
    """Write the mean 2-D spectra of both classes, if all images are of one size; return {name: whether written}."""
    from deepfake_spectra.plane_plots import planes_figure

    planes = {
        panel_title(condition): mean_planes(folder, state, PLANES_PER_CLASS, n_threads)
        for condition, state in first_states(states).items()
        if len(set(state.sizes())) == 1
    }
    if planes:
        planes_figure(path, planes, title)
    return {path.name: bool(planes)}


def first_states(states):
    """Return the images as they are and in the first alteration, for figures with room for two."""
    return dict(list(states.items())[:2])


def panel_title(condition):
    """Return what stands above a panel of images in one state."""
    return condition if condition == "as they are" else f"every image: {condition}"


def main():
    settings = read_settings(__name__)
    from sklearn.svm import SVC

    for steps in settings.both_altered:
        parse_steps(steps)  # a wrong one ends the run before it has cost anything
    feature = Feature(settings.convention, precision=settings.precision, n_bins=settings.n_bins)
    reading = {key: getattr(settings, key) for key in ("seed", "n_threads", "scheduler", "max_unreadable")}
    only_one(DATA_DIR=settings.data_dir, PUBLISHED_FEATURES=settings.published_features)
    only_one(PART=settings.part, SCHEDULER=settings.scheduler, PUBLISHED_FEATURES=settings.published_features)
    if settings.published_features:
        folder = settings.output_dir / ORIGINS["published_features"].subfolder
        check_results(folder, "faces_hq", FIGURES, [settings.published_features])
        drawn = published_dataset(settings.published_features, feature)
    else:
        labels = label_sources(settings.real_sources, settings.fake_sources)
        images = find_images("faces_hq", settings.data_dir, labels, FACES_HQ_SOURCES)  # the sample's if there are none
        folder = settings.output_dir / images.origin.subfolder
        check_results(folder, "faces_hq", FIGURES, images.source_dirs())
        say_sizes(count_images(images), settings.sample_sizes)
        if settings.part:
            return measure_states(images, feature, settings)
        drawn = load_spectra(images, feature, pool_size(max(settings.sample_sizes)), **reading)
    sizes, remarks = sizes_that_fit(drawn.counts(), settings.sample_sizes)
    dataset = drawn.of_draw(max(sizes))
    states = {"as they are": dataset}
    if not settings.published_features:  # which come without images
        load = partial(load_spectra, images, n_samples=max(sizes), **reading)
        states |= {
            steps: checked_altered(dataset, load(dataset.feature.altered(steps))) for steps in settings.both_altered
        }

    classifiers = {
        "svm_linear": SVC(kernel="linear", C=settings.svm_c),
        "logistic_regression": logistic_regression(settings.logistic_max_iter, settings.seed),
    }
    seed, n_threads = settings.seed, settings.n_threads
    rows = []
    for n_samples in sizes:
        pool = drawn.of_draw(pool_size(n_samples))
        splits = random_splits(pool, n_samples, settings.test_share, settings.n_splits, seed)
        keys = {"table": "sample_sizes", "n_samples": n_samples}
        rows += score_classifiers(pool, splits, classifiers, n_threads, protocol=pool.protocol, **keys)
        rows += score_k_means(pool, splits, seed, n_threads, **keys)
        rows += score_baselines(pool, splits, seed, n_threads, protocol=pool.protocol, **keys)
    for condition, state in states.items():
        splits = random_splits(state, max(sizes), settings.test_share, settings.n_splits, seed)
        keys = {"table": "alike", "condition": condition, "n_samples": max(sizes)}
        rows += score_classifiers(state, splits, classifiers, n_threads, protocol=dataset.protocol, **keys)
        rows += score_k_means(state, splits, seed, n_threads, **keys)
        rows += transfer_rows(state, classifiers, settings, condition)
        drawn.skipped += [found for found in state.skipped if found not in drawn.skipped]
    for condition, control in control_data(states):
        splits = random_splits(control, len(control), settings.test_share, settings.n_splits, seed)
        keys = {"table": "control", "condition": condition, "protocol": dataset.protocol, "n_samples": len(control)}
        rows += score_classifiers(control, splits, classifiers, n_threads, **keys)
    rows += curve_ends(dataset)
    if dataset.origin is BUILT_IN_SAMPLE:
        with_altered = load_spectra(sample_images("faces_hq", with_altered=True), feature, **reading)
        rows += limit_rows(with_altered, classifiers, settings)

    remarks += headers_warning(rows)
    if not any(row["table"] == "transfer" for row in rows):
        remarks.append("transfer left out: it needs two sources of each class")
    title = f"Faces-HQ experiment, {len(dataset)} images{dataset.origin.said}"
    figures = draw_figures(folder, title, states, rows, classifiers["svm_linear"])
    if not settings.published_features:
        figures |= draw_planes(folder / "faces_hq_planes.png", images.path, states, title, n_threads)
    tables = numbered(make_tables(dataset, rows, settings.n_splits))
    remarks += pool_remark(drawn, dataset)
    write_results(folder, "faces_hq", title, drawn, settings_record(settings), rows, tables, remarks, figures)
    save_run(folder, "faces_hq", dataset, classifiers["svm_linear"])


if __name__ == "__main__":
    run(main)
