"""A detector in one file: the labelled spectra that it is fitted to, and what it is to be fitted with.

    save_detector(path, "faces_hq", {"kernel": "linear", "C": 1.0}, dataset)
    detector = load_detector(path)

Spectra are the model, since a fit takes a second. The file is a `safetensors` file: arrays, whose sizes its reader
checks against the file's, and a text; nothing in it is run. It holds no name of any file.

    spectra                 (n, n_bins) float64     as the classifier gets them: cropped, resampled and normalised
    labels                  (n,) uint8              0 real, 1 fake
    groups                  (n,) int64              equal numbers must not stand on both sides of a split
    sources                 (n,) int64              index into the description's `sources`
    width, height, jpeg_quality, format, subsampling    (n,) int64, of the files' headers; the last two are indices
    metadata "description"  text, JSON              see `_describe`
"""

import json
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import numpy as np

from deepfake_spectra.dataset import (
    FAKE,
    IMAGE_HEADER,
    ORIGINS,
    PUBLISHED_FEATURES,
    REAL,
    Crop,
    Feature,
    Precision,
    SpectrumDataset,
)
from deepfake_spectra.detector import FakeDetector
from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.files import REPOSITORY, display_path, whole_file
from deepfake_spectra.image_files import READ_FORMATS
from radial_spectrum import Convention

FORMAT_VERSION = 2
EXPERIMENTS = ("faces_hq", "celeba", "deepfake_detection")
KERNELS = {"linear": {"C"}, "rbf": {"C", "gamma"}}  # its parameters
SUBSAMPLINGS = ("", "4:4:4", "4:2:2", "4:2:0")

LARGEST_FILE = 2**30  # bytes; 40,000 spectra of 722 values take 240 MB
LARGEST_VALUE = 1e6  # of a spectrum: log powers reach some 500, divided ones are about 1
PARAMETER_RANGE = (1e-6, 1e6)  # of C and gamma; outside, a fit may take for ever
EXPECTED = "expected the spectra that a train script or --save-spectra of detect_fakes.py writes"


def detector_path(experiment: str, is_sample: bool) -> Path:
    """Return where a train script leaves the detector of its last run."""
    return REPOSITORY / "data/spectra" / ("built_in_sample_" * is_sample + f"{experiment}.safetensors")


def save_run(experiment: str, dataset: SpectrumDataset, svc: object, groups: list[str] | None = None) -> None:
    """Save the spectra of a run where `detect_fakes.py` looks for them, and print where that is.

    Of the authors' own features, and of altered images, nothing is saved: no new image could be compared with them.

    Parameters
    ----------
    experiment : {"faces_hq", "celeba", "deepfake_detection"}
    dataset : SpectrumDataset
    svc : sklearn.svm.SVC
        The experiment's own, linear or RBF; only its parameters are read.
    groups : (n,) str, optional
        What must not stand on both sides of a split; default those of the dataset.
    """
    if dataset.origin is PUBLISHED_FEATURES:
        return
    if dataset.feature.alteration:  # an image to be judged comes unaltered: its spectrum would not compare
        print("the spectra of altered images are not kept for detect_fakes.py")
        return
    path = detector_path(experiment, dataset.origin.name == "built_in_sample")
    classifier = {"kernel": svc.kernel} | {name: getattr(svc, name) for name in sorted(KERNELS[svc.kernel])}
    save_detector(path, experiment, classifier, dataset, groups)
    print(f"{display_path(path)}: the spectra of this run, for detect_fakes.py")


def save_detector(
    path: Path, experiment: str, classifier: dict, dataset: SpectrumDataset, groups: list[str] | None = None
) -> None:
    """Write what a detector is fitted to, whole; groups become numbers, and no path goes with them."""
    from safetensors.numpy import save_file

    names = list(dataset.counts())
    headers = dataset.headers
    arrays = {
        "spectra": np.ascontiguousarray(dataset.spectra, np.float64),
        "labels": dataset.labels.astype(np.uint8),
        "groups": np.unique(dataset.groups if groups is None else groups, return_inverse=True)[1],
        "sources": np.array([names.index(name) for name in dataset.sources]),
        "format": np.array([READ_FORMATS.index(name) for name in headers["format"]]),
        "subsampling": np.array([SUBSAMPLINGS.index(name) for name in headers["subsampling"]]),
    } | {name: headers[name].astype(np.int64) for name in ("width", "height", "jpeg_quality")}
    description = {
        "format_version": FORMAT_VERSION,
        "experiment": experiment,
        "origin": dataset.origin.name,
        "feature": asdict(dataset.feature),
        "classifier": classifier,
        "sources": names,
    }
    with whole_file(path) as temporary:
        save_file(arrays, temporary, {"description": json.dumps(description)})


def load_detector(path: Path, seed: int = 0, n_threads: int = -1) -> FakeDetector:
    """Return a detector fitted to the spectra of a file that may come from anybody.

    Parameters
    ----------
    path : Path
        As `save_detector` writes it.
    seed, n_threads
        See `FakeDetector`.

    Raises
    ------
    UsageError
        No such file.
    ExperimentError
        Anything else than expected: other arrays, lengths or types, values that are not finite, only one class, an
        unknown description.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UsageError(f"{path}: no such file; {EXPECTED}")
    try:
        _require(path.stat().st_size <= LARGEST_FILE, f"more than {LARGEST_FILE >> 20} MiB")
        with safe_open(path, "numpy") as file:
            description = json.loads((file.metadata() or {})["description"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        experiment, classifier, dataset = _checked(arrays, description)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = textwrap.shorten(ascii(str(error))[1:-1], 200) or type(error).__name__
        raise ExperimentError(f"{display_path(path)}: refused ({reason}); {EXPECTED}") from error
    return FakeDetector(dataset, experiment, classifier, seed, n_threads)


def _checked(arrays, description):
    """Return experiment, classifier and data set of a file's arrays and description; ValueError where one is wrong."""
    _require(description["format_version"] == FORMAT_VERSION, "another version of the format")
    experiment, origin = description["experiment"], ORIGINS[description["origin"]]
    _require(experiment in EXPERIMENTS, "an unknown experiment")
    classifier = description["classifier"]
    parameters = {name: value for name, value in classifier.items() if name != "kernel"}
    low, high = PARAMETER_RANGE
    _require(
        parameters.keys() == KERNELS[classifier["kernel"]]
        and all(type(value) in (int, float) and low <= value <= high for value in parameters.values()),
        f"a classifier with {json.dumps(parameters)}, need {low:g} to {high:g}",
    )
    spectra, labels, sources = (arrays[name] for name in ("spectra", "labels", "sources"))
    _require(arrays.keys() == {"spectra", "labels", "groups", "sources", "format", "subsampling", "width", "height",
                               "jpeg_quality"}, "other arrays")  # fmt: skip
    _require(spectra.ndim == 2 and spectra.dtype == np.float64 and spectra.shape[1] >= 2, "spectra of another form")
    n, n_bins = spectra.shape
    integers = {name: array for name, array in arrays.items() if name != "spectra"}
    _require(
        all(array.shape == (n,) and array.dtype in (np.int64, np.uint8) for array in integers.values()),
        "its arrays are of different lengths or types",
    )
    _require((np.abs(spectra) <= LARGEST_VALUE).all(), "spectra hold values that are not finite, or no log powers")
    _require(set(labels.tolist()) == {REAL, FAKE}, "need labels 0 and 1, real and fake, both")
    names = description["sources"]
    _require(all(isinstance(name, str) and name.isprintable() for name in names), "a source that cannot be printed")
    ends = {"sources": len(names), "format": len(READ_FORMATS), "subsampling": len(SUBSAMPLINGS), "jpeg_quality": 101}
    for name, end in (ends | {"width": 2**24, "height": 2**24}).items():
        least = 1 if name in ("width", "height") else 0
        _require(((integers[name] >= least) & (integers[name] < end)).all(), f"{name} holds an impossible value")
    headers = np.zeros(n, IMAGE_HEADER)
    for name in ("width", "height", "jpeg_quality"):
        headers[name] = integers[name]
    headers["format"] = np.array(READ_FORMATS)[integers["format"]]
    headers["subsampling"] = np.array(SUBSAMPLINGS)[integers["subsampling"]]
    return experiment, classifier, SpectrumDataset(
        spectra=spectra,
        labels=labels.astype(int),
        sources=np.array(names)[sources],
        groups=arrays["groups"],
        paths=[f"row {row}" for row in range(n)],
        feature=_checked_feature(description["feature"], n_bins),
        headers=headers,
        origin=origin,
    )  # fmt: skip


def _checked_feature(values, n_bins):
    """Return the Feature of a description; ValueError where a value is not one that it can have."""
    allowed = {
        "convention": get_args(Convention),
        "crop": get_args(Crop),
        "precision": get_args(Precision),
        "alteration": ("",),
        "n_bins": (n_bins,),
        "normalise": (False, True),
    }
    _require(values.keys() == allowed.keys(), "other fields of a feature")
    for name, value in values.items():
        _require(any(value is known or value == known and type(value) is type(known) for known in allowed[name]),
                 f"{name} is {json.dumps(value)}, need one of {json.dumps(allowed[name])}")  # fmt: skip
    return Feature(**values)


def _require(is_right, what_is_wrong):
    """Raise ValueError unless something is as it must be."""
    if not is_right:
        raise ValueError(what_is_wrong)
