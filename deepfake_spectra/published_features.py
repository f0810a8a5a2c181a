"""The authors' released features, read without trusting the file.

    dataset = published_dataset(Path("celeba_low_1000.pkl"), Feature(n_bins=80, normalise=True))
    spectra, labels = load_published_features(Path("test_1000.pkl"), fake_label=0)

They are pickles of `{"data": (n, bins), "label": (n,)}`, written by an old NumPy. A pickle is a program that may call
whatever can be imported, so this one is never run, only transcribed: each call to one of the globals that make up a
NumPy array is written down with its arguments, any other global is refused by name. The arrays are then built here,
from bytes that stand in the file, so a small file cannot ask for a large array.
"""

import io
import pickle
import pickletools
import re
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepfake_spectra.dataset import (
    CLASS_NAMES,
    FAKE,
    PAPER_CONVENTIONS,
    PUBLISHED_FEATURES,
    REAL,
    Feature,
    SpectrumDataset,
)  # fmt: skip
from deepfake_spectra.errors import ExperimentError, UsageError
from radial_spectrum import resample_spectrum

LARGEST_FILE = 2**28  # bytes; 40,000 spectra of 722 values take 231 MB
MOST_OPERATIONS = 1000  # two arrays take about 100; a million nested tuples would crash the interpreter
MOST_REUSES = 10  # of objects in the memo or on the stack; two arrays take 8; hashing 60 times (t, t) would never end
LARGEST_VALUE = 1e6  # of a spectrum, in size; the logarithm of a power, or two of them divided, stays far below
ARRAY_GLOBALS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),  # NumPy 1
    ("numpy._core.multiarray", "_reconstruct"),  # NumPy 2
    ("_codecs", "encode"),  # Python 3 writes bytes so in protocol 2
}
EXPECTED = "expected a pickle (protocol 2 to 4) of two NumPy arrays, {'data': (n, bins), 'label': (n,)}, and no more"


def published_dataset(path: Path, feature: Feature) -> SpectrumDataset:
    """Return the authors' features of Faces-HQ or CelebA; they name no files, so that each class is one source.

    Parameters
    ----------
    path : Path
        `dataset_freq_1000.pkl` or `celeba_low_1000.pkl`.
    feature : Feature
        What the user asks for: it must be what the file holds. Whether the spectra are normalised is read off them.

    Raises
    ------
    UsageError
        Another feature, or spectra of another length.
    ExperimentError
        See `load_published_features`.
    """
    spectra, labels = load_published_features(path, fake_label=1)
    check_published(path, spectra, feature, Feature())
    rows = [f"row {index}" for index in range(len(labels))]
    dataset = SpectrumDataset(
        spectra,
        labels,
        sources=np.array(CLASS_NAMES)[labels],
        groups=np.array(rows),
        paths=rows,
        feature=replace(feature, n_bins=spectra.shape[1], normalise=bool(np.all(spectra[:, 0] == 1))),
        origin=PUBLISHED_FEATURES,
    )
    dataset.remarks += dataset.duplicate_remarks()
    return dataset


def check_published(path: Path, spectra: np.ndarray, asked: Feature, published: Feature) -> None:
    """End the run where the user asks for another feature than a file of the authors holds (UsageError).

    Both of the authors' conventions pass: CelebA's released real images are of the earlier one, and the images of the
    other files are square.
    """
    for name in ("convention", "crop", "precision", "alteration"):
        held = PAPER_CONVENTIONS if name == "convention" else (getattr(published, name),)
        if getattr(asked, name) not in held:
            raise UsageError(
                f"{path}: the authors' features are of {name.upper()} {' or '.join(map(repr, held))}, which cannot be "
                f"changed without images: found {getattr(asked, name)!r}"
            )
    if asked.n_bins not in (None, spectra.shape[1]):
        raise UsageError(
            f"{path}: {spectra.shape[1]} values a spectrum, expected N_BINS = {asked.n_bins}; it is of another "
            "experiment"
        )


def load_published_features(path: Path, fake_label: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the spectra and labels of a feature file as the authors released it.

    Parameters
    ----------
    path : Path
        `celeba_low_1000.pkl`, `dataset_freq_1000.pkl`, `train_3200.pkl`, `test_1000.pkl`, or a file of the same form.
    fake_label : {0, 1}
        What the file calls a fake: 1 in Faces-HQ and CelebA, 0 in DeepFakeDetection.

    Returns
    -------
    spectra : ndarray of float64, (n, bins)
    labels : ndarray of int, (n,)
        REAL or FAKE.

    Raises
    ------
    ExperimentError
        No such file, not such a pickle, a global that NumPy arrays do not need, shapes that disagree, values that are
        not finite or too large for a spectrum, spectra that are all the same, labels other than 0 and 1, or only one
        of them.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; {EXPECTED}")
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ExperimentError(f"{path}: found more than {LARGEST_FILE >> 20} MiB; {EXPECTED}")
    try:
        features = _transcribe(content)
        if not isinstance(features, dict) or not {"data", "label"} <= features.keys():
            raise TypeError("no dict with 'data' and 'label'")
        spectra, label = (_build_array(features[key]) for key in ("data", "label"))
    except Exception as error:  # whatever opcodes in a wrong order end in
        raise ExperimentError(f"{path}: refused ({textwrap.shorten(str(error), 200)}); {EXPECTED}") from error
    if spectra.ndim != 2 or 0 in spectra.shape or label.shape != spectra.shape[:1]:
        raise ExperimentError(f"{path}: found data of shape {spectra.shape} and label of {label.shape}; {EXPECTED}")
    spectra = spectra.astype(np.float64)
    broken = np.count_nonzero(~(np.abs(spectra) <= LARGEST_VALUE).all(axis=1))
    if broken:
        raise ExperimentError(
            f"{path}: {broken} of {len(spectra)} spectra hold values that are not finite, or none of a spectrum: "
            f"expected {-LARGEST_VALUE:g} to {LARGEST_VALUE:g}"
        )
    if np.array_equal(spectra.min(axis=0), spectra.max(axis=0)):
        raise ExperimentError(f"{path}: all {len(spectra)} spectra are the same; there is nothing to tell apart")
    classes = np.unique(label)
    if not np.array_equal(classes, [0, 1]):
        found = textwrap.shorten(", ".join(map(str, classes[:10])), 60)
        raise ExperimentError(f"{path}: found the labels {found}; expected 0 and 1, real and fake")
    return spectra, np.where(label == fake_label, FAKE, REAL)


class _Call:
    """A global that the pickle asked for, the arguments it was to be called with, the state it was to be given."""

    def __init__(self, name, arguments=()):
        self.name, self.arguments, self.state = name, arguments, ()

    def __call__(self, *arguments):
        return _Call(self.name, arguments)

    def __setstate__(self, state):
        self.state = state


class _Transcriber(pickle.Unpickler):
    """An unpickler that imports nothing."""

    def find_class(self, module, name):
        if (module, name) not in ARRAY_GLOBALS:
            raise pickle.UnpicklingError(f"it asks for {f'{module}.{name}'[:100]!r}, which no array needs")
        return _Call(name)


def original_lengths(spectra: np.ndarray) -> np.ndarray:
    """Return the length that each spectrum had before it was resampled, which tells the size of its image.

    Parameters
    ----------
    spectra : ndarray, (n_images, n_bins)
        As `radial_spectrum.resample_spectrum` leaves them, also divided by their first value.

    Returns
    -------
    ndarray of int, (n_images,)
        0 where no shorter length fits: not resampled, or from a longer spectrum.

    Notes
    -----
    A spectrum of m values becomes n_bins values of a spline with m parameters: it lies in a subspace of m dimensions.
    The smallest m whose subspace holds a row is its length: the row is then orthogonal, to 1e-9, to what random vectors
    have outside of that subspace.
    """
    n_bins = spectra.shape[1]
    lengths = np.zeros(len(spectra), dtype=int)
    probes = np.random.default_rng(0).normal(size=(n_bins, 3))
    for length in range(4, n_bins):
        rows = np.flatnonzero(lengths == 0)
        basis = np.linalg.qr(resample_spectrum(np.eye(length), n_bins).T)[0]
        outside = probes - basis @ (basis.T @ probes)
        lengths[rows[np.abs(spectra[rows] @ outside).max(axis=1) < 1e-9]] = length
    return lengths


def _transcribe(content):
    """Return what the pickle describes, with a `_Call` wherever it would have called something."""
    n_reuses = 0
    for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
        # the C unpickler allocates its memo up to the highest index: 5 bytes could ask for 64 GB
        if count == MOST_OPERATIONS or "PUT" in operation.name and argument >= MOST_OPERATIONS:
            raise pickle.UnpicklingError(f"more than {MOST_OPERATIONS} operations or memo entries")
        n_reuses += operation.name in ("DUP", "GET", "BINGET", "LONG_BINGET")
        if n_reuses > MOST_REUSES:
            raise pickle.UnpicklingError(f"more than {MOST_REUSES} objects used again")
    return _Transcriber(io.BytesIO(content), encoding="latin1").load()  # latin1: the bytes in a string of Python 2


def _build_array(described):
    """Return the array that a transcribed `_reconstruct(...)` and its state stand for."""
    match described:
        case _Call(name="_reconstruct", state=(_, tuple(shape), dtype, fortran, content)):
            pass
        case _:
            raise TypeError("'data' or 'label' is not an array")
    match dtype:
        case _Call(name="dtype", arguments=(str(kind), *_), state=(_, str(order), *_)):
            pass
        case _:
            raise TypeError("an array is of no dtype")
    if not re.fullmatch("[<>|=][fiu][1248]", order + kind):
        raise TypeError(f"an array is of dtype {kind[:20]!r}, not of numbers")
    match content:
        case _Call(name="encode", arguments=(str(text), "latin1")) | str(text):
            content = text.encode("latin1")
    return np.frombuffer(content, order + kind).reshape(shape, order="F" if fortran else "C")
