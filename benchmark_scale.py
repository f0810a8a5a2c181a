"""What a million images take: time and memory of each stage; the time an image, by the number of files; and by workers.

The first table is of a simulation: N_ROWS files in four sources whose spectra are made, not computed, and lie in a real
cache; from there on each stage is what train_faces_hq.py does. The second is of real files, which are made, measured
and then found again; the third of others, measured by threads, by parts and by dask. Each stage has a process of its
own; what was just written still lies in the memory of the system.

    python benchmark_scale.py                                       # 7 GB of disk, some 15 GB of memory
    python benchmark_scale.py --n-rows 20000 --file-counts 100 1000

Writes plots/benchmark_scale.md; all else lies in WORK_DIR until the end.
"""

from deepfake_spectra.settings import read_settings, run, settings_record  # isort: skip; hears Ctrl-C

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from sys import getsizeof

import numpy as np
from tqdm import tqdm

from deepfake_spectra import interrupts
from deepfake_spectra.classification import (
    dataset_rows,
    for_many_rows,
    logistic_regression,
    predict_splits,
    score_k_means,
    standardised_weights,
)
from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.files import check_outputs, display_path, write_text
from deepfake_spectra.folder_lock import only_writer
from deepfake_spectra.fresh_processes import in_fresh_processes
from deepfake_spectra.image_folders import list_sources
from deepfake_spectra.image_spectra import load_spectra, measure_part
from deepfake_spectra.machine import command_line, machine
from deepfake_spectra.missing_spectra import distributed
from deepfake_spectra.packages import joblib
from deepfake_spectra.results import write_results
from deepfake_spectra.simulation import FEATURE, image_folder, load_packages, side_of, simulate, write_images
from deepfake_spectra.splits import random_splits
from deepfake_spectra.tables import markdown_table

# the simulated million
N_ROWS: int = 1_000_000  # files whose spectra are made
N_BINS: int = 722  # values of each: as of 1024x1024 pixels
N_ADDED: int = 1000  # images of that size that come later, and are measured

# time an image
FILE_COUNTS: tuple[int, ...] = (100, 1000, 10_000, 100_000)  # real files, measured each time with an empty cache
SIDE: int = 128  # pixels, of their images

# workers
N_IMAGES: int = 2000  # that each way measures
WORKERS_SIDE: int = 256  # pixels, of these images

# all
SEED: int = 0  # of images, spectra and the split
N_THREADS: int = -1  # -1: one per core
WORK_DIR: Path = Path("data/benchmark_scale")  # for what is removed at the end
OUTPUT_DIR: Path = Path("plots")  # for benchmark_scale.md

TEST_SHARE = 0.2
MADE = "made_by_benchmark_scale"  # in WORK_DIR; what else lies there is the user's
BYTES_BESIDE_VALUES = 1000  # on disk, of a simulated file
GIGABYTE = 1e9


# --- stages: what is done before the yield is not timed


@contextmanager
def with_packages(work, *arguments):
    """Work that waits for no package to be loaded."""
    load_packages()
    yield partial(work, *arguments)


@contextmanager
def with_dataset(work, images, settings, *arguments):
    """Work on the data set, which is loaded before."""
    dataset = load(images, settings)
    yield partial(work, dataset, settings, *arguments)


@contextmanager
def with_cluster(images, n_workers):
    """Measure images by the workers of a dask cluster on this machine, which is started before."""
    load_packages()
    place = {"dashboard_address": None, "local_directory": str(images.cache_dir.parent)}
    with distributed.LocalCluster(n_workers=n_workers, threads_per_worker=1, **place) as cluster:
        with distributed.Client(cluster) as client:
            client.run(load_packages)
        yield partial(load_spectra, images, FEATURE, scheduler=cluster.scheduler_address)


# --- work


def list_files(images):
    """Return the images, listed: an experiment does it once."""
    list_sources(images)
    return images


def load(images, settings):
    """Return the data set as the experiment has it."""
    dataset = load_spectra(images, FEATURE, seed=settings.seed, n_threads=settings.n_threads)
    return dataset.of_draw(len(dataset))


def load_known(images, settings):
    """Load the data set; return the bytes of its spectra, and of all else that it holds."""
    dataset = load(images, settings)
    arrays = (dataset.labels, dataset.sources, dataset.groups, dataset.headers, dataset.equal_images)
    texts = sum(map(getsizeof, [*dataset.paths, *dataset.digests]))
    return dataset.spectra.nbytes, texts + sum(array.nbytes for array in arrays)


def load_added(images, settings):
    """List and load images of which some are new; return them."""
    load(images, settings)
    return images


def split(dataset, settings):
    """Return the first split of an experiment on all rows."""
    return random_splits(dataset, len(dataset), TEST_SHARE, 1, settings.seed)


def linear_classifiers(settings):
    """Return the experiment's classifiers."""
    from sklearn.svm import SVC

    logistic = logistic_regression(1000, settings.seed)
    return {"svm_linear": SVC(kernel="linear"), "logistic_regression": logistic}


def train(dataset, settings):
    """Return {classifier: predictions}."""
    splits = split(dataset, settings)
    fitting, _ = for_many_rows(linear_classifiers(settings), splits)
    return {
        name: predict_splits(classifier, dataset.spectra, dataset.labels, splits, settings.n_threads, name)
        for name, classifier in fitting.items()
    }


def score(dataset, settings, predictions):
    """Return the rows of results: metrics and their intervals."""
    keys = {"table": "sample_sizes", "protocol": "random", "n_samples": len(dataset)}
    return [row for name, said in predictions.items() for row in dataset_rows(said, dataset, classifier=name, **keys)]


def cluster(dataset, settings):
    """Return the rows of k-means."""
    keys = {"table": "sample_sizes", "n_samples": len(dataset)}
    return score_k_means(dataset, split(dataset, settings), settings.seed, settings.n_threads, **keys)


def draw(dataset, settings, folder):
    """Draw the mean spectra, and what a linear SVM of all rows weighs."""
    from deepfake_spectra.plots import sources_figure, spectrum_figure

    weights = standardised_weights(dataset, linear_classifiers(settings)["svm_linear"])
    spectrum_figure(folder / "scale_spectrum.png", dataset, weights, "Linear SVM", "simulated")
    sources_figure(folder / "scale_sources.png", {"as they are": dataset}, "simulated")


def write(dataset, settings, folder, rows):
    """Write the files of results, among them a line for each score and each file."""
    write_results(folder, "scale", "simulated", dataset, settings_record(settings), rows, [], [], {})


def ways(folder, n_threads) -> Iterator[tuple[str, int, object, list[tuple]]]:
    """Yield (way to measure, number of workers, stage, its arguments in each process); no stage where it cannot be."""
    for n_workers in sorted({1, 2, n_threads}):
        by_threads = partial(load_spectra, n_threads=n_workers)
        yield "threads", n_workers, with_packages, [(by_threads, image_folder(folder, f"threads_{n_workers}"), FEATURE)]
    for n_workers in (1, 2):
        by_part, images = partial(measure_part, n_threads=1), image_folder(folder, f"parts_{n_workers}")
        parts = [f"{number}/{n_workers}" for number in range(1, n_workers + 1)]
        yield "parts", n_workers, with_packages, [(by_part, part, images, FEATURE) for part in parts]
    for n_workers in (1, 2):
        stage = with_cluster if find_spec("distributed") else None
        yield "dask", n_workers, stage, [(image_folder(folder, f"dask_{n_workers}"), n_workers)]


# --- tables


def million_table(folder, settings, progress):
    """Return the table of the simulation's stages, and a sentence on what the data set holds."""
    body = []

    def done(name, stage, *arguments):
        [done] = in_stage(progress, name, stage, [arguments])
        memory = "" if np.isnan(done.peak_bytes) else f"{done.peak_bytes / GIGABYTE:.1f}"
        body.append([name, f"{done.seconds:.1f}", f"{done.cpu_seconds:.1f}", memory])
        return done.value

    made = (settings.n_rows, settings.n_bins, settings.seed)
    done("making files and shards", with_packages, simulate, folder, *made)
    images = done("listing", with_packages, list_files, image_folder(folder))
    of_spectra, of_others = done("loading: all is known", with_packages, load_known, images, settings)
    added = range(settings.n_rows, settings.n_rows + settings.n_added)
    write_images(images.path, added, side_of(settings.n_bins), settings.seed)
    name = f"listing and loading: {settings.n_added:,} are new"
    images = done(name, with_packages, load_added, image_folder(folder), settings)
    predictions = done("splitting, training, asking", with_dataset, train, images, settings)
    scored = done("scoring, with intervals", with_dataset, score, images, settings, predictions)
    clustered = done("k-means, fitted twice", with_dataset, cluster, images, settings)
    done("drawing two figures", with_dataset, draw, images, settings, folder)
    done("writing results", with_dataset, write, images, settings, folder, scored + clustered)
    table = markdown_table(["stage", "wall time, s", "processor time, s", "peak memory, GB"], body)
    return (
        f"{table}\n\nSpectra of {settings.n_bins} values: {of_spectra / GIGABYTE:.2f} GB of memory; labels, paths, "
        f"headers, digests: {of_others / GIGABYTE:.2f} GB. The spectra are made, and so are the digests, as if no two "
        "files were equal; the files are links to a few. Peak memory is that of the stage's process, which, from "
        "training on, has loaded the data set before. One split is trained on and tested."
    )


def counts_table(folder, settings, progress):
    """Return the table of the time an image by the number of files."""
    body, n_made = [], 0
    for n_files in sorted(set(settings.file_counts)):
        progress.set_description(f"writing {n_files:,} images")
        write_images(folder / "images", range(n_made, n_files), settings.side, settings.seed)
        n_made = n_files
        line = [f"{n_files:,}"]
        for turn in ("measured", "resumed"):
            call = (load_known, image_folder(folder, f"spectra_{n_files}"), settings)
            [done] = in_stage(progress, f"{n_files:,} files, {turn}", with_packages, [call])
            line += [f"{done.seconds:.2f}", f"{1000 * done.seconds / n_files:.3f}"]
        body.append(line)
    return markdown_table(["files", "first run, s", "ms/image", "second run, s", "ms/image"], body)


def ways_table(folder, settings, progress):
    """Return the table of the ways to measure."""
    write_images(folder / "images", range(settings.n_images), settings.workers_side, settings.seed)
    body = []
    for way, n_workers, stage, calls in ways(folder, joblib.effective_n_jobs(settings.n_threads)):
        if stage is None:
            body.append([way, str(n_workers), "not installed: requirements-dask.txt", ""])
            progress.update()
            continue
        done = in_stage(progress, f"{way}, {n_workers}", stage, calls)
        seconds = max(one.ended for one in done) - min(one.began for one in done)
        body.append([way, str(n_workers), f"{seconds:.2f}", f"{settings.n_images / seconds:.0f}"])
    return markdown_table(["by", "workers", "wall time, s", "images/s"], body)


def in_stage(progress, name, stage, calls):
    """Return what `in_fresh_processes` does, and move the progress bar."""
    progress.set_description(name)
    done = in_fresh_processes(stage, calls)
    progress.update()
    return done


# --- disk


@contextmanager
def work_folder(settings):
    """Yield an empty folder of ours in WORK_DIR; it goes again, however the run ends."""
    folder, had_it = settings.work_dir / MADE, settings.work_dir.exists()
    try:
        with only_writer(settings.work_dir):
            try:
                shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
                check_disk(settings)
                yield folder
            finally:
                with interrupts.held_back():
                    shutil.rmtree(folder, ignore_errors=True)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("nothing is kept") from None
    finally:
        if not had_it:
            with suppress(OSError):  # something else lies there by now
                settings.work_dir.rmdir()


def check_disk(settings):
    """End the run where the disk has less room than it will take."""
    side = side_of(settings.n_bins)
    needed = {
        "N_ROWS": settings.n_rows * (8 * settings.n_bins + BYTES_BESIDE_VALUES) + settings.n_added * side**2,
        "FILE_COUNTS": max(settings.file_counts, default=0) * 2 * settings.side**2,
        "N_IMAGES": settings.n_images * 2 * settings.workers_side**2,
    }
    largest = max(needed, key=needed.get)
    free = shutil.disk_usage(settings.work_dir).free
    if free < needed[largest]:
        raise ExperimentError(
            f"{display_path(settings.work_dir)}: {free / GIGABYTE:.1f} GB are free there, need "
            f"{needed[largest] / GIGABYTE:.1f}; lower {largest}, or set WORK_DIR to a folder on another disk"
        )


def main():
    settings = read_settings(__name__)
    table = settings.output_dir / "benchmark_scale.md"
    check_outputs([(table, rb"\A# Many images\n")])
    try:
        side_of(settings.n_bins)
    except ValueError as error:
        raise UsageError(f"N_BINS: {error}") from None
    parts = {
        f"{settings.n_rows:,} files, simulated": million_table,
        f"Time an image, {settings.side}x{settings.side}": counts_table,
        f"{settings.n_images:,} images of {settings.workers_side}x{settings.workers_side}, by workers": ways_table,
    }
    n_ways = len(list(ways(settings.work_dir, joblib.effective_n_jobs(settings.n_threads))))
    n_stages = 9 + 2 * len(set(settings.file_counts)) + n_ways
    text = ""
    with work_folder(settings) as folder, tqdm(total=n_stages, unit="stage", disable=None) as progress:
        for caption, part in parts.items():
            text += f"## {caption}\n\n{part(folder, settings, progress)}\n\n"
            shutil.rmtree(folder)
    packages = ("numpy", "scipy", "scikit-learn", "opencv", "joblib", "ducc0", "distributed")
    text += f"{machine(*packages)}.\n\n    {command_line()}\n"
    print(text)
    write_text(table, f"# Many images\n\n{text}")
    print(f"written: {display_path(table)}")


if __name__ == "__main__":
    run(main)
