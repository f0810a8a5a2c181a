"""Trainings of several nets at once, and the samples that each leaves after every epoch."""

import hashlib
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from deepfake_spectra import octave_dcgan
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import DAMAGED_NPZ, display_path, whole_file
from deepfake_spectra.folder_lock import only_writer
from deepfake_spectra.octave_dcgan import Recipe, train
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.spectrum_cache import code_of


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
    epochs = [epoch_file(folder, recipe, epoch) for recipe in recipes for epoch in range(1, n_epochs + 1)]
    n_there = sum(path.exists() for path in epochs)
    print(f"{n_there} of {len(epochs)} epochs from {display_path(folder)}, {len(epochs) - n_there} to train")
    bar = tqdm(None, "training", len(epochs), unit="epoch", disable=None)
    counting = threading.Lock()

    def train_net(recipe):
        n_missing = n_epochs
        for epoch in train(recipe, images, n_epochs, run_dir(folder, recipe) / "checkpoint.pt", device_of_runs()):
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


def device_of_runs() -> str:
    """Return "cuda" where PyTorch finds a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def trained_by() -> list[str]:
    """Return what a training depends on besides images and recipe: its code, PyTorch, the kind of device."""
    code = hashlib.sha256(code_of(octave_dcgan).encode()).hexdigest()
    return [code, version("torch"), device_of_runs()]


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
