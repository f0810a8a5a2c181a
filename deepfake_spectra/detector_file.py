"""A judge in one file: the labelled spectra that a detector is fitted to, what it is fitted with, and who made it when.

    save_judge(path, new_judge("faces_hq", {"kernel": "linear", "C": 1.0}, dataset))
    detector = read_judge(path).detector()

Spectra are the model, since a fit takes a second. The file is a `safetensors` file: arrays, whose sizes its reader
checks against the file's, and a text; nothing in it is run. It holds no name of any image.

    spectra                 (n, n_bins) float64     as the classifier gets them: cropped, resampled and normalised
    labels                  (n,) uint8              0 real, 1 fake
    groups                  (n,) int64              equal numbers must not stand on both sides of a split
    sources                 (n,) int64              index into the description's `sources`
    width, height, jpeg_quality, format, subsampling    (n,) int64, of the files' headers; the last two are indices
    metadata "description"  text, JSON              the rest, see `save_judge`
"""

import json
import os
import re
import shlex
import sys
import textwrap
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from deepfake_spectra.answers import FALSE_ALARM_RATE
from deepfake_spectra.classification import MOST_SVC_ROWS
from deepfake_spectra.dataset import (
    IMAGE_HEADER,
    ORIGINS,
    PUBLISHED_FEATURES,
    Crop,
    Feature,
    Precision,
    SpectrumDataset,
)
from deepfake_spectra.detector import FakeDetector
from deepfake_spectra.errors import ExperimentError, UsageError, check
from deepfake_spectra.files import display_path, printable, whole_file
from deepfake_spectra.image_files import READ_FORMATS
from deepfake_spectra.results import commit
from radial_spectrum import Convention

FORMAT_VERSION = 3
Experiment = Literal["faces_hq", "celeba", "deepfake_detection", "resaved"]
KERNELS = {"linear": {"C"}, "rbf": {"C", "gamma"}}  # its parameters
SUBSAMPLINGS = ("", "4:4:4", "4:2:2", "4:2:0")
INTEGERS = {  # array: its least value, and the first that is too large
    "labels": (0, 2), "groups": (0, 2**31), "sources": (0, 2**31), "width": (1, 2**24), "height": (1, 2**24),
    "jpeg_quality": (0, 101), "format": (0, len(READ_FORMATS)), "subsampling": (0, len(SUBSAMPLINGS)),
}  # fmt: skip
MAKING = {  # how a judge was made, and the form of each text
    "made": r"\d{4}-\d\d-\d\d \d\d:\d\d UTC",
    "command": r".{1,1000}",
    "commit": r"([0-9a-f]{40}(\+changes)?)?",
}
DESCRIPTION = {"format_version", "experiment", "origin", "feature", "classifier", "sources", *MAKING}

LARGEST_FILE = 2**28  # bytes; 40,000 spectra of 722 values take 240 MB
MOST_SPECTRA = 50_000  # a fit to more would take hours
LARGEST_VALUE = 1e4  # of a spectrum: log powers reach some 500, divided ones are about 1
PARAMETER_RANGE = (1e-4, 1e4)  # of C and gamma; the experiments' lie from 0.86 to 6.37
EXPECTED = "expected a judge that a train script wrote, <experiment>_judge.safetensors"


class Judge(NamedTuple):
    """What a detector is fitted to and with, and how it was made."""

    experiment: str
    classifier: dict
    dataset: SpectrumDataset
    made: str  # "2026-11-23 14:05 UTC"
    command: str
    commit: str  # "" outside git

    def detector(self, seed: int = 0, n_threads: int = -1, false_alarm_rate: float = FALSE_ALARM_RATE) -> FakeDetector:
        """Return the detector, fitted; see there."""
        return FakeDetector(self.dataset, self.experiment, self.classifier, seed, n_threads, false_alarm_rate)

    def making(self) -> str:
        """Return when, by which command and from which code it was made."""
        code, _, changes = self.commit.partition("+")
        code = f" (commit {code[:7]}{' with ' * bool(changes)}{changes})" if code else ""
        return f"made {self.made} by {self.command}{code}"


def new_judge(experiment: str, classifier: dict, dataset: SpectrumDataset) -> Judge:
    """Return a judge that is made now, by the script that runs; its command names the home folder as `~`."""
    home = os.path.expanduser("~") + os.sep
    words = [Path(sys.argv[0]).name, *(word.replace(home, f"~{os.sep}") for word in sys.argv[1:])]
    command = printable(f"python {shlex.join(words)}")[:1000]
    return Judge(experiment, classifier, dataset, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", command, commit() or "")


def judge_file(folder: Path, experiment: str) -> Path:
    """Return where the judge of an experiment lies among its results."""
    return folder / f"{experiment}_judge.safetensors"


def save_run(
    folder: Path, experiment: str, dataset: SpectrumDataset, svc: object, groups: list[str] | None = None
) -> None:
    """Save the judge of a run beside its results, and print how it is asked.

    There is none of the authors' own features, since no image can be compared with them, and none with parameters that
    no judge may have: an older one, which this run did not make, is removed then.

    Parameters
    ----------
    folder : Path
        That `results.check_results` has looked at.
    experiment : Experiment
    dataset : SpectrumDataset
    svc : sklearn.svm.SVC
        The experiment's own, linear or RBF; only its parameters are read.
    groups : (n,) str, optional
        What must not stand on both sides of a split; default those of the dataset.
    """
    path = judge_file(folder, experiment)
    classifier = {"kernel": svc.kernel} | {name: getattr(svc, name) for name in sorted(KERNELS[svc.kernel])}
    if dataset.origin is PUBLISHED_FEATURES:
        return
    try:
        _checked_classifier(classifier)
    except ValueError as reason:
        path.unlink(missing_ok=True)
        print(f"no judge for detect_fakes.py: {reason}")
        return
    if groups is not None:
        dataset = replace(dataset, groups=np.array(groups))
    if dataset.is_drawn and len(dataset) > MOST_SVC_ROWS:
        print(f"the judge is of {MOST_SVC_ROWS:,} of these {len(dataset):,} images: its fits take more than n^2 time")
        dataset = dataset.of_draw(MOST_SVC_ROWS)
    save_judge(path, new_judge(experiment, classifier, dataset))
    shown = display_path(path)
    print(f"judge: {shown}; ask it: python detect_fakes.py --judge {shlex.quote(shown)} FILE")


def save_judge(path: Path, judge: Judge) -> None:
    """Write a judge, whole; groups become numbers, and no path of an image goes with them."""
    from safetensors.numpy import save

    dataset = judge.dataset
    names = list(dataset.counts())
    headers = dataset.headers
    arrays = {
        "spectra": np.ascontiguousarray(dataset.spectra, np.float64),
        "labels": dataset.labels.astype(np.uint8),
        "groups": np.unique(dataset.groups, return_inverse=True)[1],
        "sources": np.array([names.index(name) for name in dataset.sources]),
        "format": np.array([READ_FORMATS.index(name) for name in headers["format"]]),
        "subsampling": np.array([SUBSAMPLINGS.index(name) for name in headers["subsampling"]]),
    } | {name: headers[name].astype(np.int64) for name in ("width", "height", "jpeg_quality")}
    description = {
        "format_version": FORMAT_VERSION,
        "experiment": judge.experiment,
        "origin": dataset.origin.name,
        "feature": asdict(dataset.feature),
        "classifier": judge.classifier,
        "sources": [printable(name) for name in names],
    } | {name: getattr(judge, name) for name in MAKING}
    with whole_file(path) as temporary:
        # save_file would make it readable for its owner only
        temporary.write_bytes(save(arrays, {"description": json.dumps(description)}))


def read_judge(path: Path) -> Judge:
    """Return the judge of a file that may come from anybody.

    Parameters
    ----------
    path : Path
        As `save_judge` writes it.

    Raises
    ------
    UsageError
        Nothing of that name is there.
    ExperimentError
        Anything else than expected: no file, other arrays, lengths or types, values that are not finite, only one
        class, an unknown description.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise UsageError(f"{display_path(path)}: no such file; {EXPECTED}")
    try:
        check(path.is_file(), "not a file")
        check(path.stat().st_size <= LARGEST_FILE, f"more than {LARGEST_FILE >> 20} MiB")
        path.open("rb").close()  # says why a file cannot be read, where safe_open says that it is not there
        with safe_open(path, "numpy") as file:
            description = json.loads((file.metadata() or {}).get("description", "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        return _checked(arrays, description)
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = textwrap.shorten(ascii(str(error))[1:-1], 200) or type(error).__name__
        raise ExperimentError(f"{display_path(path)}: refused ({reason}); {EXPECTED}") from error


def _checked(arrays, description):
    """Return the judge of a file's arrays and description; ValueError where one is wrong."""
    version = description.get("format_version") if isinstance(description, dict) else None
    check(version not in range(1, FORMAT_VERSION), "of an older version; run its train script again")
    check(version == FORMAT_VERSION, f"no description of format version {FORMAT_VERSION}")
    check(description.keys() == DESCRIPTION, f"its description has the fields {', '.join(sorted(description))}")
    check(arrays.keys() == {"spectra", *INTEGERS}, f"its arrays are {', '.join(sorted(arrays))}")
    spectra, names = arrays["spectra"], description["sources"]
    check(spectra.ndim == 2 and spectra.dtype == np.float64 and spectra.shape[1] >= 2, "spectra of another form")
    check(len(spectra) <= MOST_SPECTRA, f"{len(spectra)} spectra, more than {MOST_SPECTRA}")
    check((np.abs(spectra) <= LARGEST_VALUE).all(), "spectra hold values that are not finite, or no log powers")
    check(
        isinstance(names, list) and all(isinstance(name, str) and name.isprintable() for name in names),
        "sources that cannot be printed",
    )
    for name, (least, end) in (INTEGERS | {"sources": (0, len(names))}).items():
        array = arrays[name]
        check(array.shape == spectra.shape[:1], f"{name} and spectra are of different lengths")
        check(array.dtype in (np.int64, np.uint8), f"{name} is of type {array.dtype}")
        check(((array >= least) & (array < end)).all(), f"{name} holds an impossible value")
    check(len(np.unique(arrays["labels"])) == 2, "only one class, need real and fake")
    headers = np.zeros(len(spectra), IMAGE_HEADER)
    for name in ("width", "height", "jpeg_quality"):
        headers[name] = arrays[name]
    headers["format"] = np.array(READ_FORMATS)[arrays["format"]]
    headers["subsampling"] = np.array(SUBSAMPLINGS)[arrays["subsampling"]]
    dataset = SpectrumDataset(
        spectra=spectra,
        labels=arrays["labels"].astype(int),
        sources=np.array(names)[arrays["sources"]],
        groups=arrays["groups"],
        paths=[f"row {row}" for row in range(len(spectra))],
        feature=_checked_feature(description["feature"], spectra.shape[1]),
        headers=headers,
        origin=ORIGINS[_one_of(ORIGINS, description, "origin")],
    )
    for name, form in MAKING.items():
        text = description[name]
        check(isinstance(text, str) and text.isprintable() and re.fullmatch(form, text), f"{name} of another form")
    experiment, making = (
        _one_of(get_args(Experiment), description, "experiment"),
        {name: description[name] for name in MAKING},
    )
    return Judge(experiment, _checked_classifier(description["classifier"]), dataset, **making)


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
    check(values.keys() == allowed.keys(), f"its feature has the fields {', '.join(sorted(values))}")
    return Feature(**{name: _one_of(known, values, name) for name, known in allowed.items()})


def _checked_classifier(values):
    """Return the kernel and parameters of a description; ValueError where a fit could not end, or is not known."""
    parameters = KERNELS[_one_of(KERNELS, values, "kernel")]
    check(values.keys() == {"kernel", *parameters}, f"its classifier has the fields {', '.join(sorted(values))}")
    low, high = PARAMETER_RANGE
    for name in parameters:
        is_number = type(values[name]) in (int, float)
        check(
            is_number and low <= values[name] <= high, f"{name} is {json.dumps(values[name])}, need {low:g} to {high:g}"
        )
    return values


def _one_of(known, values, name):
    """Return the value of that name; ValueError where it is none of those known, type and all: True is not 1."""
    value = values.get(name)
    check(
        any(type(value) is type(other) and value == other for other in known),
        f"{name} is {json.dumps(value)}, need one of {json.dumps(list(known))}",
    )
    return value
