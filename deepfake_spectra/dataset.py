"""The types that travel between modules: labels, the feature, where data are from, the data set, a split."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from deepfake_spectra.duplicates import duplicate_remarks, equal_images, linked_rows
from radial_spectrum import Convention

REAL, FAKE = 0, 1
CLASS_NAMES = ("real", "fake")

Crop = Literal["none", "centre_third"]
Precision = Literal["float64", "float32"]
PAPER_CONVENTIONS = ("published", "published_2019")  # the authors' code, later and earlier; on squares they are one

IMAGE_HEADER = np.dtype(
    [("width", "i4"), ("height", "i4"), ("format", "U8"), ("jpeg_quality", "i2"), ("subsampling", "U8")]
)  # as stored, before any turn by EXIF; jpeg_quality is 0 and subsampling "" where the format has none


@dataclass(frozen=True)
class Feature:
    """What is computed of an image; two spectra can be compared only where this is the same."""

    convention: Convention = "published"
    crop: Crop = "none"
    precision: Precision = "float64"
    alteration: str = ""  # what is done to every image first, for controls; see `alterations.alter`
    n_bins: int | None = None  # length that the spectrum is resampled to; None: the shortest of the data set
    normalise: bool = False  # whether it is then divided by its first value

    @property
    def measured(self) -> dict[str, str]:
        """What the spectrum of an image depends on, before its length and scale are set."""
        return {name: value for name, value in vars(self).items() if name not in ("n_bins", "normalise")}

    def altered(self, steps: str) -> "Feature":
        """Return the same feature of images to which more is done, after what is done to them already."""
        return replace(self, alteration=" + ".join(filter(None, (self.alteration, steps))))


class Origin(NamedTuple):
    """What the images of a data set are, as far as results, figures and detectors have to say so."""

    name: str
    said: str  # behind "experiment" in titles
    subfolder: str  # of the output folder, so that no other origin's results are overwritten


IMAGES = Origin("images", "", "")
PUBLISHED_FEATURES = Origin("published_features", " on the authors' features", "published_features")
BUILT_IN_SAMPLE = Origin("built_in_sample", " on the built-in sample: no reproduction of the paper", "built_in_sample")
ORIGINS = {origin.name: origin for origin in (IMAGES, PUBLISHED_FEATURES, BUILT_IN_SAMPLE)}


@dataclass
class ImageFolder:
    """Images to be read: where they are, and of which class."""

    path: Path
    labels_of_sources: dict[str, int]  # sub-folder, as "celebA-HQ_10K" or "real/youtube_c23" -> REAL or FAKE
    cache_dir: Path  # for their spectra
    origin: Origin = IMAGES
    group_of: Callable[[str], str] | None = None  # path -> what it must not be separated from; None: each its own
    group_name: str = ""  # what `group_of` gives: "photograph", "video"
    # what lies in it, once it has been listed: see `image_folders.list_sources`
    listing: tuple | None = field(default=None, init=False, compare=False, repr=False)

    def source_dirs(self) -> list[Path]:
        """Return the folders that are read."""
        return [self.path / source for source in self.labels_of_sources]


@dataclass
class SpectrumDataset:
    """Spectra of one experiment, one row an image; all arrays share their first axis."""

    spectra: np.ndarray  # (n_images, n_bins) float64
    labels: np.ndarray  # (n_images,) int, REAL or FAKE
    sources: np.ndarray  # (n_images,) str
    groups: np.ndarray  # (n_images,) str, the photograph or video that it is of; else the path itself
    paths: list[str]  # relative to the data folder, "/" between folders
    feature: Feature  # its n_bins is the spectra's length, given or found
    headers: np.ndarray | None = None  # (n_images,) IMAGE_HEADER; other fields, or None, where there are no files
    digests: list[str] | None = None  # SHA-256 of each file
    origin: Origin = IMAGES
    group_name: str = ""  # what the groups are: "photograph", "video"; "" where each image is its own
    identities: list[frozenset[str]] | None = None  # per image, whom it shows; None where that is not known
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (path, reason)
    remarks: list[str] = field(default_factory=list)  # sentences on what was changed or is to be known

    def __len__(self):
        return len(self.labels)

    @property
    def is_grouped(self) -> bool:
        """Whether images come in photographs or videos, so that they are not independent of each other."""
        return bool(self.group_name)

    @property
    def is_drawn(self) -> bool:
        """Whether its images are the first of a seeded order, source by source, and not all that there are."""
        return self.origin is IMAGES and not self.is_grouped

    @cached_property
    def equal_images(self) -> np.ndarray:
        """For each image the row of the first one that equals it, (n_images,); see `duplicates.equal_images`."""
        return equal_images(self.spectra, self.digests)

    @cached_property
    def kept_together(self) -> np.ndarray:
        """What must not stand on both sides of a split, (n_images,) str: groups, as one where they share an image."""
        return self.groups[linked_rows(self.groups.tolist(), self.equal_images.tolist())]

    @property
    def protocol(self) -> str:
        """Name of random splits that keep each group together: "random" where each image is its own."""
        return f"by_{self.group_name}" if self.is_grouped else "random"

    def duplicate_remarks(self) -> list[str]:
        """Return a sentence on each kind of equal images; see `duplicates.duplicate_remarks`."""
        return duplicate_remarks(self.equal_images, self.paths, self.labels, self.groups, self.group_name)

    def counts(self) -> dict[str, int]:
        """Return {source: number of images} in the order of the sources."""
        return dict(Counter(self.sources.tolist()))

    def sizes(self) -> list[tuple[int, int]]:
        """Return the stored (height, width) of each image; empty for published features."""
        if self.headers is None or "width" not in self.headers.dtype.names:
            return []
        return list(zip(self.headers["height"].tolist(), self.headers["width"].tolist()))

    def sources_of(self, label: int) -> list[str]:
        """Return the sources of one class, in order."""
        return list(dict.fromkeys(self.sources[self.labels == label].tolist()))

    def is_of_paper(self, paper_sources: dict[str, int], paper_feature: Feature) -> bool:
        """Whether the paper's numbers may stand beside: its feature, of its sources or from the authors' own file."""
        has_its_sources = dict(zip(self.sources.tolist(), self.labels.tolist())) == paper_sources
        is_its_data = self.origin is PUBLISHED_FEATURES or self.origin is IMAGES and has_its_sources
        is_its_convention = self.feature.convention in PAPER_CONVENTIONS
        has_its_feature = replace(self.feature, convention=paper_feature.convention) == paper_feature
        return is_its_data and is_its_convention and has_its_feature

    def of_sources(self, names: Sequence[str]) -> "SpectrumDataset":
        """Return the images of some sources only."""
        return self.of_rows(np.flatnonzero(np.isin(self.sources, names)))

    def of_draw(self, n_samples: int) -> "SpectrumDataset":
        """Return the draw of so many images, equal numbers of each source: of drawn ones the first, else all."""
        if not self.is_drawn:
            return self
        n_each = max(2, n_samples // len(self.counts()))
        rows = np.concatenate([np.flatnonzero(self.sources == source)[:n_each] for source in self.counts()])
        return self if len(rows) == len(self) else self.of_rows(np.sort(rows))  # a copy would need as much memory

    def of_rows(self, rows: Sequence[int]) -> "SpectrumDataset":
        """Return some images only."""
        arrays = {name: getattr(self, name)[rows] for name in ("spectra", "labels", "sources", "groups")}
        lists = {"paths": [self.paths[row] for row in rows]}
        for name in ("identities", "digests"):
            if getattr(self, name) is not None:
                lists[name] = [getattr(self, name)[row] for row in rows]
        return replace(self, **arrays, **lists, headers=None if self.headers is None else self.headers[rows])


class Split(NamedTuple):
    """Row numbers of one split."""

    train: np.ndarray
    test: np.ndarray
