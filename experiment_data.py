"""Where the data of an experiment on images comes from: a folder of its own, the authors' features, or the sample."""
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, NamedTuple

import numpy as np

from built_in_sample import FAKE_SOURCES as SAMPLE_FAKES
from built_in_sample import LIMIT_SOURCES, build_image_sample, photograph_of
from built_in_sample import REAL_SOURCES as SAMPLE_REALS
from experiment_settings import REPOSITORY, ExperimentError, UsageError
from published_features import load_published_features
from spectrum_dataset import CLASS_NAMES, FAKE, REAL, Features, SpectrumDataset, load_spectra

SAMPLE_FOLDER = REPOSITORY / "data/built_in_sample/images"
ALL_IMAGES = 10**9


class ExperimentData(NamedTuple):
    """The labelled spectra of a run, and what they are."""

    dataset: SpectrumDataset
    kind: Literal["images", "published_features", "built_in_sample"]
    sample_sizes: tuple[int, ...]
    load: Callable[[Features], SpectrumDataset] | None = None  # the same images with other features, if there are images
    limits: SpectrumDataset | None = None  # sample only: the same, and re-syntheses that no generator made

    @property
    def protocol(self) -> str:
        """Name of the random splits: the paper's, or, for the sample, with no photograph on both sides."""
        return "by_photograph" if self.is_sample else "published"

    @property
    def is_sample(self) -> bool:
        """Whether the numbers are of the built-in sample and say nothing about the data set of the experiment."""
        return self.kind == "built_in_sample"

    def output_dir(self, settings: SimpleNamespace) -> Path:
        """Return the folder to write to; the sample has one of its own, so that it never overwrites a real result."""
        return settings.output_dir / "built_in_sample" if self.is_sample else settings.output_dir


def load_experiment_data(
    experiment: str,
    settings: SimpleNamespace,
    features: Features,
    default_sources: tuple[str, ...],
    default_sizes: tuple[int, ...],
    *,
    n_bins: int | None = None,
    normalise: bool = False,
) -> ExperimentData:
    """Return the spectra that the settings of an experiment ask for.

    Parameters
    ----------
    experiment : str
        Its name; its images are looked for in `data/<experiment>`, its spectra are kept in `data/spectra/<experiment>`.
    settings : SimpleNamespace
        `data_dir`, `real_sources`, `fake_sources`, `sample_sizes`, `published_features`, `seed`, `n_threads` and
        `max_unreadable` are read. A `data_dir` of None means `data/<experiment>` if that is there, else the sample.
    features : Features
    default_sources, default_sizes : tuple
        The script's own. The sample has others: it is refused where the user named sources, and brings its own sizes
        where the user named none.
    n_bins, normalise
        As in `spectrum_dataset.load_spectra`.

    Raises
    ------
    UsageError
        A folder or file that was named is not there, or the sources cannot make two classes.
    ExperimentError
        What is there cannot be read.
    """
    if settings.published_features:
        return _published(settings)
    data_dir = settings.data_dir or REPOSITORY / "data" / experiment
    is_sample = settings.data_dir is None and not data_dir.is_dir()
    if is_sample:
        if settings.real_sources + settings.fake_sources != default_sources:
            raise UsageError(f"{data_dir}: no such folder; the sources you named need --data-dir")
        print(
            f"data/{experiment} is not there: running on the built-in sample, crops of 11 photographs and "
            "re-syntheses of them; its numbers show how the method works and are no reproduction of the paper"
        )
        build_image_sample(SAMPLE_FOLDER)
        data_dir = SAMPLE_FOLDER
        labels = dict.fromkeys(SAMPLE_REALS, REAL) | dict.fromkeys(SAMPLE_FAKES + LIMIT_SOURCES, FAKE)
        n_per_source = ALL_IMAGES
    else:
        labels = _labels_of_sources(settings.real_sources, settings.fake_sources)
        n_per_source = max(settings.sample_sizes, default=0) // len(labels)
    cache_dir = REPOSITORY / "data/spectra" / (f"built_in_sample_{experiment}" if is_sample else experiment)

    def load(features):
        return load_spectra(
            data_dir,
            labels,
            n_per_source,
            features,
            cache_dir,
            n_bins=n_bins,
            normalise=normalise,
            group_of=photograph_of if is_sample else None,
            seed=settings.seed,
            n_threads=settings.n_threads,
            max_unreadable=settings.max_unreadable,
        )

    dataset = load(features)
    if not is_sample:
        return ExperimentData(dataset, "images", settings.sample_sizes, load)
    sources_of_table = dataset.of_sources(SAMPLE_REALS + SAMPLE_FAKES)
    own_sizes = (len(sources_of_table), 100, 20)
    sizes = own_sizes if settings.sample_sizes == default_sizes else settings.sample_sizes
    return ExperimentData(sources_of_table, "built_in_sample", sizes, load, dataset)


def sizes_that_fit(dataset: SpectrumDataset, sample_sizes: tuple[int, ...]) -> tuple[list[int], list[str]]:
    """Return the sample sizes that the data can give, rounded to equal numbers per source, and a sentence for others.

    Raises
    ------
    ExperimentError
        None of them fits.
    """
    counts = dataset.counts()
    scarcest = min(counts, key=counts.get)
    sizes, sentences = [], []
    for size in sample_sizes:
        needed = size // len(counts)
        if needed < 2:
            sentences.append(f"sample size {size} left out: need at least 2 images of each of {len(counts)} sources")
        elif counts[scarcest] < needed:
            found = f"found {counts[scarcest]} images, need {needed}"
            sentences.append(f"sample size {size} left out: {scarcest}: {found}; lower SAMPLE_SIZES")
        else:
            sizes.append(needed * len(counts))
    if not sizes:
        raise ExperimentError("; ".join(sentences) or "SAMPLE_SIZES is empty: name at least one")
    return sizes, sentences


def _labels_of_sources(real_sources, fake_sources):
    """Return {source: label}, if that makes two classes."""
    if not real_sources or not fake_sources:
        missing = "REAL_SOURCES" if not real_sources else "FAKE_SOURCES"
        raise UsageError(f"{missing} is empty: need at least one folder of each class")
    both = sorted(set(real_sources) & set(fake_sources))
    if both:
        raise UsageError(f"{', '.join(both)}: named both as a real and as a fake source")
    return dict.fromkeys(real_sources, REAL) | dict.fromkeys(fake_sources, FAKE)


def _published(settings):
    """Return the authors' features; they name no files, so that each class is one source."""
    spectra, labels = load_published_features(settings.published_features, fake_label=1)
    rows = [f"row {index}" for index in range(len(labels))]
    dataset = SpectrumDataset(spectra, labels, np.array(CLASS_NAMES)[labels], np.array(rows), rows, headers=None)
    return ExperimentData(dataset, "published_features", settings.sample_sizes)
