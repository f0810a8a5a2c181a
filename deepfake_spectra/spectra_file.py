"""The labelled spectra of a run in one file: what `detect_fakes.py` judges by, and what can be given to others.

    known = load_spectra_file(Path("data/spectra/faces_hq.npz"))
    known.dataset.spectra, known.features, known.classifier

A plain `.npz` of numbers and texts, no pickle in it; `np.load` opens it anywhere. It holds

    spectra    (n, n_bins) float64      as the classifier gets them: cropped, resampled and normalised
    labels     (n,) "real" or "fake"
    sources    (n,) text
    groups     (n,) int                 equal numbers must not stand on both sides of a split
    headers    (n,) IMAGE_HEADER        size, format, JPEG quality and subsampling
    settings   text, JSON               see `_settings_of`

and no name of any file. Since a file of somebody else's may hold anything, nothing in it is believed: sizes are
compared with the length of the file before memory is taken, and whatever is not exactly as above is refused.
"""

import json
import math
import struct
import textwrap
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from deepfake_spectra.settings import REPOSITORY, ExperimentError, UsageError
from deepfake_spectra.file_names import shown
from deepfake_spectra.image_files import IMAGE_HEADER, READ_FORMATS
from radial_spectrum import Convention
from deepfake_spectra.image_spectra import CLASS_NAMES, FAKE, REAL, Crop, Features, SpectrumDataset
from deepfake_spectra.files import whole_file

Experiment = Literal["faces_hq", "celeba", "deepfake_detection"]

FORMAT_VERSION = 1
CLASSIFIERS = {"svm_linear": {"C"}, "svm_rbf": {"C", "gamma"}}  # name: its parameters

LARGEST_FILE = 2**30  # bytes; 40,000 spectra of 722 values take 240 MB
LARGEST_DIRECTORY = 2**12  # bytes of the zip's table of contents; ours takes 400
LONGEST_TEXT = 2**14  # characters of the settings, and of all the rest a good deal less
LARGEST_VALUE = 1e6  # of a spectrum: log powers reach some 500, divided ones are about 1
PARAMETER_RANGE = (1e-6, 1e6)  # of C and gamma; outside, a fit may take for ever
EXPECTED = "expected the spectra that a train script or --save-spectra of detect_fakes.py writes"


class KnownSpectra(NamedTuple):
    """Labelled spectra, and all that is needed to compute the same of another image and to fit the same classifier."""

    experiment: Experiment
    is_sample: bool
    features: Features
    normalise: bool
    classifier: dict  # {"name": "svm_linear", "C": 1.0} or {"name": "svm_rbf", "C": 6.37, "gamma": 0.86}
    dataset: SpectrumDataset


def spectra_path(experiment: Experiment, is_sample: bool) -> Path:
    """Return where a train script leaves the spectra of its last run."""
    return REPOSITORY / "data/spectra" / ("built_in_sample_" * is_sample + f"{experiment}.npz")


def save_run(
    experiment: Experiment,
    data,
    features: Features,
    classifier: dict,
    *,
    normalise: bool = False,
    groups: Sequence[str] | None = None,
) -> None:
    """Save the spectra of a run where `detect_fakes.py` looks for them, and print where that is.

    Of the authors' own features, and of altered images, nothing is saved: no new image could be compared with them.

    Parameters
    ----------
    experiment : {"faces_hq", "celeba", "deepfake_detection"}
    data : ExperimentData
    features : Features
    classifier : dict
        Name and parameters of the experiment's own, see `KnownSpectra`.
    normalise : bool
        Whether the spectra are divided by their first value.
    groups : (n,) str, optional
        What must not stand on both sides of a split; default those of the dataset.
    """
    if data.kind == "published_features":
        return
    if features.alteration:  # an image to be judged comes unaltered: its spectrum would not compare
        print("the spectra of altered images are not kept for detect_fakes.py")
        return
    path = spectra_path(experiment, data.is_sample)
    dataset = data.dataset if groups is None else SpectrumDataset(**vars(data.dataset) | {"groups": np.array(groups)})
    save_spectra_file(path, KnownSpectra(experiment, data.is_sample, features, normalise, classifier, dataset))
    print(f"{shown(path)}: the spectra of this run, for detect_fakes.py")


def save_spectra_file(path: Path, known: KnownSpectra) -> None:
    """Write labelled spectra, whole; groups become numbers, and no path goes with them."""
    dataset = known.dataset
    with whole_file(path) as temporary:
        np.savez(
            temporary,
            allow_pickle=False,
            spectra=np.ascontiguousarray(dataset.spectra, "<f8"),
            labels=np.array(CLASS_NAMES)[dataset.labels],
            sources=np.array([name if name.isprintable() else ascii(name) for name in dataset.sources.tolist()]),
            groups=np.unique(dataset.groups, return_inverse=True)[1].astype("<i8"),
            headers=dataset.headers,
            settings=json.dumps(_settings_of(known)),
        )


def load_spectra_file(path: Path) -> KnownSpectra:
    """Return labelled spectra from a file that may come from anybody.

    Parameters
    ----------
    path : Path
        As `save_spectra_file` writes it.

    Raises
    ------
    UsageError
        No such file.
    ExperimentError
        Anything else than expected: not an uncompressed zip with exactly the six arrays, an array of other type, of a
        shape that does not fit its bytes or the others', values that are not finite, only one class, unknown settings.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; {EXPECTED}")
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy would go on, with a word on stderr
            arrays = _read_arrays(file)
        return _known_spectra(arrays)
    except Exception as error:  # whatever bytes in a wrong place end in
        reason = textwrap.shorten(ascii(str(error))[1:-1], 200) or type(error).__name__
        raise ExperimentError(f"{shown(path)}: refused ({reason}); {EXPECTED}") from error


def _settings_of(known):
    """Return the JSON values that stand beside the arrays."""
    return {
        "format_version": FORMAT_VERSION,
        "experiment": known.experiment,
        "built_in_sample": known.is_sample,
        "features": {
            "convention": known.features.convention,
            "crop": known.features.crop,
            "precision": known.features.precision,
            "n_bins": known.dataset.spectra.shape[1],
            "normalise": known.normalise,
        },
        "classifier": known.classifier,
    }


def _read_arrays(file):
    """Return {name: array} of an open file, having compared every size with the file's own first."""
    n_bytes = file.seek(0, 2)
    if n_bytes > LARGEST_FILE:
        raise ValueError(f"more than {LARGEST_FILE >> 20} MiB")
    _check_directory(file, n_bytes)
    with zipfile.ZipFile(file) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        if sorted(f"{name}.npy" for name in _TYPES) != sorted(archive.namelist()):
            raise ValueError(f"it holds {', '.join(archive.namelist())}, not {', '.join(_TYPES)}")
        for name, member in members.items():
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise ValueError(f"{name} is compressed")
        if sum(member.file_size for member in members.values()) > n_bytes:
            raise ValueError("its parts are larger than the whole")
        for name, member in members.items():
            with archive.open(member) as content:
                _check_header(name, content, member.file_size)
        arrays = {}
        for name, member in members.items():
            with archive.open(member) as content:
                arrays[name] = np.lib.format.read_array(content, allow_pickle=False)
        return arrays


def _check_directory(file, n_bytes):
    """Refuse a zip whose table of contents, which zipfile would read whole, is longer than that of six arrays."""
    tail_length = 42  # the record at the end and, before it, the one that a zip of more than 4 GiB has
    file.seek(max(0, n_bytes - tail_length))
    tail = file.read(tail_length)
    if len(tail) < tail_length or tail[20:24] != b"PK\5\6":
        raise ValueError("not an .npz file, or cut short")
    directory_bytes, _, comment_bytes = struct.unpack("<2LH", tail[-10:])
    if tail.startswith(b"PK\6\7") or directory_bytes > LARGEST_DIRECTORY or comment_bytes:
        raise ValueError("it holds more than six arrays")
    file.seek(0)


def _check_header(name, content, n_bytes):
    """Refuse an array that is not of the right type and dimensions, or whose values are not exactly what follows."""
    version = np.lib.format.read_magic(content)
    if version != (1, 0):
        raise ValueError(f"{name} is of .npy version {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(content)
    n_dimensions, is_right = _TYPES[name]
    if dtype.hasobject or not is_right(dtype):
        raise ValueError(f"{name} is of type {dtype}")
    if len(shape) != n_dimensions or not all(type(side) is int and side > 0 for side in shape):
        raise ValueError(f"{name} is of shape {shape}")
    if math.prod(shape) * dtype.itemsize != n_bytes - content.tell():
        left = n_bytes - content.tell()
        raise ValueError(f"{name} declares {shape} values of {dtype.itemsize} bytes, and {left} bytes follow")


def _text_of_at_most(length):
    """Return the test for a text type of some characters at most."""
    return lambda dtype: dtype.kind == "U" and dtype.isnative and 0 < dtype.itemsize <= 4 * length


_TYPES = {  # array: number of dimensions, test of its type
    "spectra": (2, np.dtype("<f8").__eq__),
    "labels": (1, _text_of_at_most(4)),
    "sources": (1, _text_of_at_most(1024)),
    "groups": (1, np.dtype("<i8").__eq__),
    "headers": (1, IMAGE_HEADER.__eq__),
    "settings": (0, _text_of_at_most(LONGEST_TEXT)),
}


def _known_spectra(arrays):
    """Return arrays of the right types as spectra, or raise ValueError with what is wrong with their values."""
    spectra, headers = np.ascontiguousarray(arrays["spectra"]), arrays["headers"]
    n, n_bins = spectra.shape
    if n_bins < 2:
        raise ValueError("spectra of one value")
    lengths = {name: len(array) for name, array in arrays.items() if array.ndim}
    if set(lengths.values()) != {n}:
        raise ValueError(f"its arrays are of different lengths: {lengths}")
    if not (np.abs(spectra) <= LARGEST_VALUE).all():  # NaN compares as False
        raise ValueError("spectra hold values that are not finite, or no log powers")
    labels, sources = arrays["labels"].tolist(), arrays["sources"].tolist()
    if set(labels) != set(CLASS_NAMES):
        raise ValueError(f"the labels are {', '.join(sorted(set(labels)))}: need real and fake, both")
    _check_headers(headers)
    if not all(name.isprintable() for name in set(sources)):
        raise ValueError("a source has a name that cannot be printed")
    settings = _read_settings(str(arrays["settings"]), n_bins)
    dataset = SpectrumDataset(
        spectra=spectra,
        labels=np.where(np.array(labels) == CLASS_NAMES[FAKE], FAKE, REAL),
        sources=np.array(sources),
        groups=arrays["groups"],
        paths=[f"row {row}" for row in range(n)],
        headers=headers,
    )
    return KnownSpectra(**settings, dataset=dataset)


def _check_headers(headers):
    """Refuse headers that no image has."""
    if not all(((headers[side] > 0) & (headers[side] < 2**24)).all() for side in ("width", "height")):
        raise ValueError("headers hold an impossible size")
    if not set(headers["format"].tolist()) <= set(READ_FORMATS):
        raise ValueError(f"headers hold a format other than {', '.join(READ_FORMATS)}")
    if not ((headers["jpeg_quality"] >= 0) & (headers["jpeg_quality"] <= 100)).all():
        raise ValueError("headers hold an impossible JPEG quality")
    if not set(headers["subsampling"].tolist()) <= {"", "4:4:4", "4:2:2", "4:2:0"}:
        raise ValueError("headers hold an unknown subsampling")


def _read_settings(text, n_bins):
    """Return the JSON text as fields of KnownSpectra, if every value is one that we know."""
    try:
        settings = json.loads(text)
        described, classifier = settings["features"], settings["classifier"]
        parameters = {key: classifier[key] for key in sorted(CLASSIFIERS[classifier["name"]])}
        values_of = {
            "format_version": (settings["format_version"], (FORMAT_VERSION,)),
            "experiment": (settings["experiment"], get_args(Experiment)),
            "built_in_sample": (settings["built_in_sample"], (False, True)),
            "convention": (described["convention"], get_args(Convention)),
            "crop": (described["crop"], get_args(Crop)),
            "precision": (described["precision"], ("float64", "float32")),
            "n_bins": (described["n_bins"], (n_bins,)),
            "normalise": (described["normalise"], (False, True)),
        }
    except KeyError as error:
        raise ValueError(f"settings: {error} is missing or unknown") from None
    for key, (value, known) in values_of.items():
        if type(value) is not type(known[0]) or value not in known:
            raise ValueError(f"settings: {key} is {json.dumps(value)}, need one of {json.dumps(known)}")
    low, high = PARAMETER_RANGE
    if not all(type(value) in (int, float) and low <= value <= high for value in parameters.values()):
        raise ValueError(f"settings: a classifier with {json.dumps(parameters)}, need {low:g} to {high:g}")
    return {
        "experiment": settings["experiment"],
        "is_sample": settings["built_in_sample"],
        "features": Features(described["convention"], described["crop"], described["precision"]),
        "normalise": described["normalise"],
        "classifier": {"name": classifier["name"]} | parameters,
    }
