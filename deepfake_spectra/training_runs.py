"""Trainings of several nets at once, the samples that each leaves after every epoch, and what is measured of them."""

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from deepfake_spectra import image_distances
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import DAMAGED_NPZ, display_path, whole_file
from deepfake_spectra.folder_lock import only_writer
from deepfake_spectra.kept_arrays import kept_arrays
from deepfake_spectra.octave_dcgan import Recipe, train
from deepfake_spectra.opencv import cv2
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.spectrum_cache import measured_by
from radial_spectrum import radial_spectrum


def train_nets(
    recipes: Sequence[Recipe], images: np.ndarray, z: np.ndarray, n_epochs: int, folder: Path, n_threads: int
) -> None:
    """Train every net as far as it is not trained yet, on a GPU where PyTorch finds one, and keep its samples.

    Parameters
    ----------
    recipes : sequence of Recipe
    images : (n, side, side, 3) uint8
    z : (n_samples, LATENT) float32
        The latent numbers of the samples, the same for all nets and epochs.
    n_epochs : int
    folder : Path
        Gets a folder for each run: `checkpoint.pt`, and `epoch_001.npz` and so on with samples and losses.
    n_threads : int
        Runs at once; -1: one per core.

    Raises
    ------
    ExperimentError
        Another process trains there; or as `octave_dcgan.train`.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    bar = tqdm(None, "training", len(recipes) * n_epochs, unit="epoch", disable=None)
    counting = threading.Lock()

    def train_net(recipe):
        n_missing = n_epochs
        for epoch in train(recipe, images, n_epochs, run_dir(folder, recipe) / "checkpoint.pt", device):
            with whole_file(epoch_file(folder, recipe, epoch.number)) as temporary:
                np.savez(temporary, samples=epoch.draw(z), **epoch.losses)
            n_missing -= 1
            losses = ", ".join(f"{name} {loss:.2f}" for name, loss in epoch.losses.items())
            with counting:
                bar.set_postfix_str(f"{recipe.kind} {recipe.seed}: {losses}", refresh=False)
                bar.update()
        with counting:
            bar.update(n_missing)  # were there

    with only_writer(folder), bar:
        for _ in in_threads(train_net, recipes, n_threads):
            pass


def run_dir(folder: Path, recipe: Recipe) -> Path:
    """Return where a run keeps its nets and its epochs."""
    return folder / f"{recipe.kind}_{recipe.seed}"


def epoch_file(folder: Path, recipe: Recipe, epoch: int) -> Path:
    """Return where a run keeps the samples and the losses of an epoch."""
    return run_dir(folder, recipe) / f"epoch_{epoch:03}.npz"


def read_samples(folder: Path, recipe: Recipe, epoch: int) -> np.ndarray:
    """Return the samples of an epoch, (n, side, side, 3) uint8; ExperimentError where they are damaged or gone."""
    path = epoch_file(folder, recipe, epoch)
    try:
        with np.load(path, allow_pickle=False) as kept:
            return kept["samples"]
    except (*DAMAGED_NPZ, FileNotFoundError):
        raise ExperimentError(
            f"{display_path(path)}: damaged or gone; remove its folder, and that training begins anew"
        ) from None


def spectra_of(pictures: np.ndarray) -> np.ndarray:
    """Return the spectra (n, n_bins) of pictures (n, side, side, 3) uint8, also of a blank, as a failing net paints."""
    grays = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures)
    return np.stack([radial_spectrum(gray) for gray in grays])


def measure(pictures: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """Return what distances are taken of, from the folder if it lies there.

    Parameters
    ----------
    pictures : (n, side, side, 3) uint8
    folder : Path

    Returns
    -------
    {"spectra": (n, n_bins), "features": (n, d)}
        See `spectra_of` and `image_distances.face_network_features`.
    """

    def compute():
        return {"spectra": spectra_of(pictures), "features": image_distances.face_network_features(pictures)}

    digest = hashlib.sha256(np.ascontiguousarray(pictures)).hexdigest()
    code = hashlib.sha256(Path(image_distances.__file__).read_bytes()).hexdigest()
    return kept_arrays(folder / "measured", json.dumps([digest, code, measured_by()]), compute)
