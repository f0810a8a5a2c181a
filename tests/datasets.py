"""Data sets and predictions for tests: noise with a known difference between its classes."""

import numpy as np

from deepfake_spectra.dataset import FAKE, IMAGE_HEADER, REAL, Feature, SpectrumDataset
from deepfake_spectra.metrics import Prediction

SOURCES = {"real_a": REAL, "real_b": REAL, "fake_a": FAKE, "fake_b": FAKE}
EQUAL_HEADER = (64, 48, "PNG", 0, "")


def make_dataset(n_per_source=20, gap=2.0, n_groups=None, seed=0, n_bins=5, sources=SOURCES, header=EQUAL_HEADER):
    """Return noise, that of fakes shifted by `gap`; with `n_groups`, image i of a source is of photograph i % n."""
    names = np.repeat(list(sources), n_per_source)
    labels = np.array([sources[name] for name in names])
    spectra = np.random.default_rng(seed).normal(size=(len(labels), n_bins)) + gap * labels[:, None]
    numbers = np.tile(np.arange(n_per_source), len(sources))
    paths = [f"{name}/{number}.png" for name, number in zip(names, numbers)]
    groups = np.array([f"photograph {number % n_groups}" for number in numbers] if n_groups else paths)
    return SpectrumDataset(
        spectra, labels, names, groups, paths, Feature(n_bins=n_bins),
        headers=np.array([header] * len(labels), dtype=IMAGE_HEADER), group_name="photograph" if n_groups else "",
    )  # fmt: skip


def make_prediction(labels, scores):
    """Return what a classifier said whose threshold is 0."""
    labels, scores = np.array(labels), np.array(scores, dtype=float)
    return Prediction(np.arange(len(labels)), labels, np.where(scores > 0, FAKE, REAL), scores)


def random_prediction(n, seed=0):
    """Return one that is right more often than not, with ties among its scores."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(n) % 2)
    return make_prediction(labels, np.round(random.normal(labels - 0.5, 1), 1))
