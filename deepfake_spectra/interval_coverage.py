"""How often do our 95 % intervals hold the truth? Simulated experiments whose truth is known.

    python -m deepfake_spectra.interval_coverage                    # three minutes on two cores
    python -m deepfake_spectra.interval_coverage --n-draws 100

Each draw makes images of two classes anew (normal variables; one of them tells the classes apart), splits them as the
train scripts do, fits a linear classifier to each training side and asks it about the test side, and takes the
intervals of its metrics from `deepfake_spectra.intervals`, as every experiment does. The truth is the mean over all
draws: what a classifier so trained is worth on such images. Writes plots/interval_coverage.md, of which
docs/intervals.md quotes a run.
"""

from deepfake_spectra.settings import read_settings, run  # isort: skip; hears Ctrl-C

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from deepfake_spectra.dataset import FAKE, REAL
from deepfake_spectra.files import check_outputs, display_path, write_text
from deepfake_spectra.intervals import intervals
from deepfake_spectra.metrics import METRICS, Prediction, metric_values
from deepfake_spectra.splits import held_out_rows
from deepfake_spectra.tables import heading, markdown_table

N_DRAWS: int = 1000  # experiments of each kind; with 1000 a coverage is known to 1.4 points
SEED: int = 0  # of the first draw
OUTPUT_DIR: Path = Path("plots")  # for the table

TEST_SHARE = 0.2
MARK = rb"\A# How often 95 % intervals hold the truth"


class Experiment(NamedTuple):
    """What is drawn."""

    n_units: int  # images, or groups of them
    n_values: int  # of each image
    separation: float  # of the classes' means, in standard deviations
    n_splits: int = 10
    group_size: int = 1  # mean; sizes vary by a factor of about two
    correlation: float = 0.0  # of two images of a group
    in_parts: bool = False  # each group is tested once, with one of the other class, instead of random splits


EXPERIMENTS = {
    "Independent images, ten random splits": [
        Experiment(60, 5, 0),
        Experiment(60, 5, 2),
        Experiment(200, 10, 0),
        Experiment(200, 10, 1),
        Experiment(600, 20, 0),
        Experiment(600, 300, 1.5),
        Experiment(600, 20, 2),
        Experiment(600, 20, 4),
        Experiment(2000, 20, 1),
    ],
    "Independent images, one split": [
        Experiment(200, 10, 1, n_splits=1),
        Experiment(600, 10, 2, n_splits=1),
        Experiment(2000, 10, 1, n_splits=1),
    ],
    "Groups, ten random splits": [
        Experiment(12, 5, 0, group_size=10, correlation=0.15),
        Experiment(12, 5, 2, group_size=10, correlation=0.15),
        Experiment(12, 5, 3.5, group_size=10, correlation=0.15),
        Experiment(22, 5, 2, group_size=10, correlation=0.15),
        Experiment(20, 5, 1, group_size=10, correlation=0.4),
        Experiment(50, 5, 0, group_size=10, correlation=0.15),
        Experiment(50, 10, 1.5, group_size=10, correlation=0.4),
        Experiment(300, 10, 1.5, group_size=5, correlation=0.4),
    ],
    "Groups, each tested once": [
        Experiment(10, 5, 0, 5, group_size=10, correlation=0.15, in_parts=True),
        Experiment(10, 5, 2, 5, group_size=10, correlation=0.15, in_parts=True),
        Experiment(50, 5, 1, 25, group_size=10, correlation=0.3, in_parts=True),
    ],
}


def draw_images(experiment, random):
    """Return values (n, n_values), labels (n,) and groups (n,) of new images."""
    n_units = experiment.n_units
    sizes = np.ones(n_units, dtype=int)
    if experiment.group_size > 1:
        sizes = np.maximum(2, experiment.group_size * random.lognormal(0, 0.5, n_units)).astype(int)
    groups = np.repeat(np.arange(n_units), sizes)
    labels = np.where(groups % 2, FAKE, REAL)
    own, shared = (random.standard_normal((n, experiment.n_values)) for n in (len(groups), n_units))
    values = np.sqrt(1 - experiment.correlation) * own + np.sqrt(experiment.correlation) * shared[groups]
    values[labels == FAKE, 0] += experiment.separation
    return values, labels, groups


def test_sides(experiment, labels, groups, random):
    """Yield which rows each split tests, (n,) bool."""
    if experiment.in_parts:
        yield from (groups // 2 == part for part in range(experiment.n_units // 2))
    else:
        for seed in random.integers(2**32, size=experiment.n_splits):
            yield held_out_rows(labels, groups, TEST_SHARE, seed)


def predict(values, labels, in_test):
    """Return what a linear classifier, fitted by ridge regression to the other rows, says of some rows."""
    train, targets = values[~in_test], np.where(labels[~in_test] == FAKE, 1.0, -1.0)
    centre, level = train.mean(axis=0), targets.mean()
    scatter = (train - centre).T @ (train - centre) + 0.01 * len(train) * np.eye(values.shape[1])
    weights = np.linalg.solve(scatter, (train - centre).T @ (targets - level))
    scores = (values[in_test] - centre) @ weights + level
    return Prediction(np.flatnonzero(in_test), labels[in_test], np.where(scores > 0, FAKE, REAL), scores)


def draw_experiment(experiment, seed):
    """Return (n_metrics, 3): mean over the splits, and the ends of its interval, of one simulated experiment."""
    random = np.random.default_rng(seed)
    values, labels, groups = draw_images(experiment, random)
    units = groups if experiment.group_size > 1 else None
    predictions = [predict(values, labels, in_test) for in_test in test_sides(experiment, labels, groups, random)]
    limits = intervals(predictions, units)
    in_splits = [metric_values(said, groups[said.rows]) for said in predictions]
    return np.array([
        (np.mean([found[metric] for found in in_splits]), *limits[metric]) for metric in METRICS
    ])  # fmt: skip


def coverage_texts(draws):
    """Return for each metric "95.1 (.832)": the percentage of intervals that hold the mean, and the mean."""
    means, low, high = np.moveaxis(draws, -1, 0)  # each (n_draws, n_metrics)
    texts = []
    for value, of_low, of_high in zip(means.T, low.T, high.T):
        is_defined = np.isfinite(value) & np.isfinite(of_low)
        if is_defined.mean() < 0.5:
            texts.append("")
            continue
        truth = value[np.isfinite(value)].mean()
        holds = (of_low <= truth) & (truth <= of_high)
        texts.append(f"{100 * holds[is_defined].mean():.1f} ({truth:.3f})")
    return texts


def coverage_table(experiments, n_draws, seed, pool):
    """Return the Markdown table of some experiments."""
    body = []
    for experiment in experiments:
        seeds = range(seed, seed + n_draws)
        draws = pool.map(partial(draw_experiment, experiment), seeds, chunksize=max(1, n_draws // 50))
        progress = tqdm(draws, str(experiment.n_units), n_draws, leave=False, unit="draw", disable=None)
        what = (experiment.n_units, experiment.n_values, f"{experiment.correlation:g}")
        body.append([*map(str, what), *coverage_texts(np.array(list(progress)))])
    return markdown_table(["images or groups", "values", "correlation", *map(heading, METRICS)], body)


def main():
    settings = read_settings(__name__)
    from threadpoolctl import threadpool_limits

    path = settings.output_dir / "interval_coverage.md"
    check_outputs([(path, MARK)], [])
    text = MARK.decode().removeprefix("\\A") + f"\n\nIn %, over {settings.n_draws} draws; in brackets the truth.\n"
    with ProcessPoolExecutor(initializer=threadpool_limits, initargs=(1,)) as pool:  # a core has a draw of its own
        for caption, experiments in EXPERIMENTS.items():
            text += f"\n{caption}\n\n{coverage_table(experiments, settings.n_draws, settings.seed, pool)}\n"
    write_text(path, text)
    print(text)
    print(f"written: {display_path(path)}")


if __name__ == "__main__":
    run(main)
