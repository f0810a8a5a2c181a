"""How good the samples of nets are, epoch by epoch: what is measured of them, and its rows of results."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

from deepfake_spectra import image_distances
from deepfake_spectra.dataset import FAKE, REAL
from deepfake_spectra.image_distances import (
    diversity,
    face_network_features,
    face_network_file,
    kernel_distance,
    nearest_neighbour_accuracy,
    spectra_of,
    spectral_distance,
)
from deepfake_spectra.intervals import student_interval, wilson_interval
from deepfake_spectra.kept_arrays import kept_arrays
from deepfake_spectra.spectrum_cache import code_of, measured_by

SCORES = ("kernel_distance", "nearest_neighbour_accuracy", "diversity", "spectral_distance", "balanced_accuracy")
SHARES = ("nearest_neighbour_accuracy", "balanced_accuracy")  # of them, those that lie in 0 ... 1
COLLAPSED_BELOW = 0.5  # diversity: photographs, blurred or noisy ones, too, have .9 to 1; nine repeated .2 to .3
N_FOLDS = 5  # of the detector's cross-validation

Values = Mapping[tuple[str, int, int], Mapping[str, float]]  # {(net, seed, epoch): {score: value}}


def measure(pictures: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """Return what scores are made of, from the folder if it lies there.

    Parameters
    ----------
    pictures : (n, side, side, 3) uint8
    folder : Path

    Returns
    -------
    {"spectra": (n, n_bins), "features": (n, d)}
        See `image_distances.spectra_of` and `image_distances.face_network_features`.
    """

    def compute():
        return {"spectra": spectra_of(pictures), "features": face_network_features(pictures)}

    digest = hashlib.sha256(np.ascontiguousarray(pictures)).hexdigest()
    return kept_arrays(folder / "measured", json.dumps([digest, _measured_by()]), compute)


@cache
def _measured_by():
    """Return what `measure` depends on besides the pictures: code, packages, the network's weights."""
    files = code_of(image_distances).encode(), face_network_file().read_bytes()
    return [measured_by(), *(hashlib.sha256(content).hexdigest() for content in files)]


def compare(
    generated: dict[str, np.ndarray],
    real: dict[str, np.ndarray],
    groups: Sequence[str],
    seed: int,
    generated_groups: Sequence[str] | None = None,
) -> dict[str, float]:
    """Return the SCORES of samples, against as many reals.

    The detector is a linear SVM on standardised spectra. Each picture is judged once, by a fit of four fifths of the
    others, with none of its group among them; balanced accuracy is over all.

    Parameters
    ----------
    generated, real : dict
        As `measure` gives them.
    groups : sequence of str, (n,)
        Of the reals: the photograph that each is of.
    seed : int
        Of the folds.
    generated_groups : sequence of str, optional
        Of the samples, where they are reals in their place; default each its own.
    """
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    if generated_groups is None:
        generated_groups = [f"sample {number}" for number in range(len(groups))]
    labels = np.repeat([REAL, FAKE], len(groups))
    predicted = cross_val_predict(
        make_pipeline(StandardScaler(), SVC(kernel="linear")),
        np.concatenate([real["spectra"], generated["spectra"]]),
        labels,
        groups=[*groups, *generated_groups],
        cv=StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed),
    )
    of_features = (generated["features"], real["features"])
    return {
        "kernel_distance": kernel_distance(*of_features),
        "nearest_neighbour_accuracy": nearest_neighbour_accuracy(*of_features),
        "diversity": diversity(*of_features),
        "spectral_distance": spectral_distance(generated["spectra"], real["spectra"]),
        "balanced_accuracy": balanced_accuracy_score(labels, predicted),
    }


def epoch_rows(values: Values, nets: Sequence[str], seeds: Sequence[int], epochs: Sequence[int], **keys) -> list[dict]:
    """Return a row of results for each net, epoch and score: the mean of the seeds, and Student's interval."""
    rows = []
    for net, epoch, score in product(nets, epochs, SCORES):
        of_seeds = [values[net, seed, epoch][score] for seed in seeds]
        row = row_of(of_seeds, table="epochs", condition=f"epoch {epoch}", test_sources=[net], metric=score, **keys)
        if score in SHARES and len(seeds) > 1:
            row |= {"low": max(row["low"], 0.0), "high": min(row["high"], 1.0)}
        rows.append(row)
    return rows


def difference_rows(
    values: Values, pairs: Sequence[tuple[str, str]], seeds: Sequence[int], epoch: int, **keys
) -> list[dict]:
    """Return a row for each pair of nets and score: the first less the second, of runs with the same seed."""
    rows = []
    for (first, second), score in product(pairs, SCORES):
        of_seeds = [values[first, seed, epoch][score] - values[second, seed, epoch][score] for seed in seeds]
        condition = f"epoch {epoch}: {first} less {second}"
        sources = [first, second]
        rows.append(
            row_of(of_seeds, table="difference", condition=condition, test_sources=sources, metric=score, **keys)
        )
    return rows


def collapse_rows(
    values: Values, nets: Sequence[str], seeds: Sequence[int], epochs: Sequence[int], **keys
) -> list[dict]:
    """Return a row for each net: the share of runs whose samples were diverse once, and in a later epoch were not."""
    rows = []
    for net in nets:
        of_seeds = [np.array([values[net, seed, epoch]["diversity"] for epoch in epochs]) for seed in seeds]
        collapsed = [has_collapsed(diversities) for diversities in of_seeds]
        low, high = wilson_interval(np.mean(collapsed), len(seeds))
        row = row_of(collapsed, table="collapse", test_sources=[net], metric="collapsed", **keys)
        rows.append(row | {"std": None, "low": low, "high": high})
    return rows


def has_collapsed(diversities: np.ndarray) -> bool:
    """Return whether the diversities of a run (n_epochs,) fall below COLLAPSED_BELOW after they were not."""
    is_low = diversities < COLLAPSED_BELOW
    return bool(np.any(is_low[np.argmin(is_low) :])) and not is_low.all()


def row_of(scores: Sequence[float], **keys) -> dict:
    """Return a row of results of some runs: `mean`, `scores`; of several also `std`, `low` and `high`, Student's."""
    scores = np.array(scores, float)
    row = keys | {"mean": scores.mean(), "scores": scores.tolist()}
    if len(scores) > 1:
        std = scores.std(ddof=1)
        low, high = student_interval(scores.mean(), std / len(scores) ** 0.5, len(scores) - 1)
        row |= {"std": std, "low": low, "high": high}
    return row
