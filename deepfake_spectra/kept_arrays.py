"""Arrays that took long to compute, kept on disk for the next run."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deepfake_spectra.errors import check
from deepfake_spectra.files import DAMAGED_NPZ, display_path, whole_file
from deepfake_spectra.spectrum_cache import seal_of


def kept_arrays(folder: Path, key: str, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return what `compute` gives, from the folder where it lies there already, else computed and kept there.

    Parameters
    ----------
    folder : Path
    key : str
        All that the arrays depend on: what they are computed of, and by what code.
    compute : () -> {name: array}
        No name is "seal".

    Returns
    -------
    {name: array}
        Computed again, with a word, where the file is damaged.
    """
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
    if path.exists():
        try:
            with np.load(path, allow_pickle=False) as kept:
                arrays = {name: kept[name] for name in kept.files if name != "seal"}
                check(kept["seal"].item() == _seal(key, arrays), "not as it was written")
                return arrays
        except DAMAGED_NPZ:  # a cache, and no more
            tqdm.write(f"{display_path(path)}: damaged, what it held is computed again")
    arrays = compute()
    with whole_file(path) as temporary:
        np.savez(temporary, **arrays, seal=np.array(_seal(key, arrays)))
    return arrays


def _seal(key, arrays):
    """Return the digest of arrays and of what they were computed of."""
    return seal_of(arrays | {"key": np.array(key)})
