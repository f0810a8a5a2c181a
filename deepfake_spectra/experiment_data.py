"""Where the data of an experiment on images comes from: a folder of its own, the authors' features, or the sample."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, NamedTuple

import numpy as np

from deepfake_spectra.sample.build import FAKE_SOURCES as SAMPLE_FAKES
from deepfake_spectra.sample.build import LIMIT_SOURCES, PHOTOGRAPHS, build_image_sample, photograph_of
from deepfake_spectra.sample.build import REAL_SOURCES as SAMPLE_REALS
from deepfake_spectra.settings import REPOSITORY, ExperimentError, UsageError
from deepfake_spectra.image_files import read_gray
from deepfake_spectra.published_features import load_published_features
from deepfake_spectra.image_spectra import CLASS_NAMES, FAKE, REAL, Features, SpectrumDataset, load_spectra

_ALLOWED_VALUES = {  # of those constants that a script has
    "MAX_UNREADABLE": ("0 to 1", lambda share: 0 <= share <= 1),
    "N_BINS": ("at least 2, or none", lambda n_bins: n_bins is None or n_bins >= 2),
    "TEST_SHARE": ("above 0 and below 1", lambda share: 0 < share < 1),
    "N_SPLITS": ("at least 1", lambda n_splits: n_splits >= 1),
    "SVM_C": ("above 0", lambda C: 0 < C < float("inf")),
    "SVM_GAMMA": ("above 0", lambda gamma: 0 < gamma < float("inf")),
    "RBF_C": ("above 0", lambda C: 0 < C < float("inf")),
    "RBF_GAMMA": ("above 0", lambda gamma: 0 < gamma < float("inf")),
    "AUTHORS_SHARE": ("0 to 1", lambda share: 0 <= share <= 1),
    "LOGISTIC_MAX_ITER": ("at least 1", lambda n_iterations: n_iterations >= 1),
    "SEED": ("0 to 4294967295", lambda seed: 0 <= seed < 2**32),  # as scikit-learn has it
    "N_THREADS": ("at least 1, or -1 for one per core", lambda n_threads: n_threads == -1 or n_threads >= 1),
}

SAMPLE_FOLDER = REPOSITORY / "data/built_in_sample/images"
ALL_IMAGES = 10**9
SHOWN_PHOTOGRAPHS = ("astronaut", "chelsea", "china", "coffee", "coins")


class ExperimentData(NamedTuple):
    """The labelled spectra of a run, and what they are."""

    dataset: SpectrumDataset
    kind: Literal["images", "published_features", "built_in_sample"]
    sample_sizes: tuple[int, ...]
    load: Callable[[Features], SpectrumDataset] | None = (
        None  # the same images with other features, if there are images
    )
    limits: SpectrumDataset | None = None  # sample only: the same, and re-syntheses that no generator made

    @property
    def protocol(self) -> str:
        """Name of the random splits: the paper's, or, for the sample, with no photograph on both sides."""
        return "by_photograph" if self.is_sample else "published"

    @property
    def is_sample(self) -> bool:
        """Whether the numbers are of the built-in sample and say nothing about the data set of the experiment."""
        return self.kind == "built_in_sample"

    def figure_title(self, name: str, alteration: str = "") -> str:
        """Return what stands above the figures of an experiment: its name, and what was really measured."""
        altered = f", every image altered first: {alteration}" if alteration else ""
        return {
            "images": f"{name} experiment, {len(self.dataset)} images{altered}",
            "published_features": f"{name} experiment on the authors' features",
            "built_in_sample": f"Built-in sample (not {name}){altered}",
        }[self.kind]

    def output_dir(self, settings: SimpleNamespace) -> Path:
        """Return the folder to write to: OUTPUT_DIR itself for images only, so that nothing overwrites their results."""
        return settings.output_dir if self.kind == "images" else settings.output_dir / self.kind


def check_values(settings: SimpleNamespace) -> None:
    """End the run, before it has cost anything, where a setting has a value that it cannot have (UsageError)."""
    for name, (expected, is_allowed) in _ALLOWED_VALUES.items():
        value = getattr(settings, name.lower(), None)
        if name.lower() in vars(settings) and not is_allowed(value):
            raise UsageError(f"{name} is {value}: expected {expected}")
    if settings.output_dir.exists() and not settings.output_dir.is_dir():
        raise UsageError(f"{settings.output_dir}: a file, expected a folder; set OUTPUT_DIR or --output-dir")


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
        A folder or file that was named is not there, a setting has a value that it cannot have, or the sources cannot
        make two classes.
    ExperimentError
        What is there cannot be read.
    """
    check_values(settings)
    if settings.published_features:
        return _published(settings, features, n_bins)
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
        n_per_source = max(2, max(settings.sample_sizes, default=0) // len(labels))
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
    dataset.remarks.clear()  # that they are grey, which is how they were made
    sources_of_table = dataset.of_sources(SAMPLE_REALS + SAMPLE_FAKES)
    own_sizes = (len(sources_of_table), 100, 20)
    sizes = own_sizes if settings.sample_sizes == default_sizes else settings.sample_sizes
    return ExperimentData(sources_of_table, "built_in_sample", sizes, load, dataset)


def sample_crops(dataset: SpectrumDataset) -> dict[str, list[np.ndarray]]:
    """Return {source: the middle grey crop of some photographs} of the built-in sample, each real above its fake."""
    crops = {}
    for source in (name for pair in zip(SAMPLE_REALS, SAMPLE_FAKES) for name in pair):
        crops[source] = []
        for photograph in SHOWN_PHOTOGRAPHS:
            own = sorted(path for path in dataset.paths if path.startswith(f"{source}/{photograph}_"))
            crops[source].append(read_gray(SAMPLE_FOLDER / own[len(own) // 2]).gray)
    return crops


def sample_credit() -> str:
    """Return whom the photographs of `sample_crops` are owed to, in one sentence."""
    return "Photographs: " + "; ".join(
        f"{photo.name}, {photo.author}, {photo.licence}" for photo in PHOTOGRAPHS if photo.name in SHOWN_PHOTOGRAPHS
    )


def sizes_that_fit(dataset: SpectrumDataset, sample_sizes: tuple[int, ...]) -> tuple[list[int], list[str]]:
    """Return the sample sizes that the data can give, in equal numbers per source, and a sentence for each other one.

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
            least = f"{len(counts)} sources with 2 images each need at least {2 * len(counts)}"
            sentences.append(f"sample size {size} left out: {least}; raise SAMPLE_SIZES")
        elif counts[scarcest] < needed:
            found = f"found {counts[scarcest]} images, need {needed}"
            sentences.append(f"sample size {size} left out: {scarcest}: {found}; lower SAMPLE_SIZES")
        else:
            sizes.append(needed * len(counts))
            if sizes[-1] != size:
                sentences.append(f"sample size {size} became {sizes[-1]}: equal numbers of {len(counts)} sources")
    if not sizes:
        raise ExperimentError("; ".join(sentences) or "SAMPLE_SIZES is empty: name at least one")
    return list(dict.fromkeys(sizes)), sentences


def _labels_of_sources(real_sources, fake_sources):
    """Return {source: label}, if that makes two classes."""
    if not real_sources or not fake_sources:
        missing = "REAL_SOURCES" if not real_sources else "FAKE_SOURCES"
        raise UsageError(f"{missing} is empty: need at least one folder of each class")
    both = sorted(set(real_sources) & set(fake_sources))
    if both:
        raise UsageError(f"{', '.join(both)}: named both as a real and as a fake source; name it once")
    unprintable = [name for name in real_sources + fake_sources if not name.isprintable()]
    if unprintable:
        raise UsageError(f"source {unprintable[0]!a}: a table cannot show that name; rename the folder")
    return dict.fromkeys(real_sources, REAL) | dict.fromkeys(fake_sources, FAKE)


def _published(settings, features, n_bins):
    """Return the authors' features; they name no files, so that each class is one source."""
    if settings.data_dir:
        raise UsageError("found both DATA_DIR and PUBLISHED_FEATURES: name one of them")
    if features.convention != "published":
        raise UsageError("PUBLISHED_FEATURES are of the published convention: leave CONVENTION as it is")
    if features.alteration:
        raise UsageError("PUBLISHED_FEATURES come without images: leave ALTERATION empty")
    spectra, labels = load_published_features(settings.published_features, fake_label=1)
    if n_bins and n_bins != spectra.shape[1]:
        raise UsageError(
            f"{settings.published_features}: {spectra.shape[1]} values a spectrum, expected N_BINS = {n_bins}; it is of "
            "another experiment"
        )
    rows = [f"row {index}" for index in range(len(labels))]
    dataset = SpectrumDataset(spectra, labels, np.array(CLASS_NAMES)[labels], np.array(rows), rows, headers=None)
    return ExperimentData(dataset, "published_features", settings.sample_sizes)
