"""Train the two generators of the built-in sample, and say what a detector makes of each.

    pip install -r requirements-training.txt
    python -m deepfake_spectra.sample.train

Two encoder-decoders learn to reproduce the photographs of `build.py`, by L1 plus an adversarial loss. They differ in
how they up-sample: by a transposed convolution, or by nearest neighbour and a convolution. A linear SVM tells their
crops from the real ones, in photographs that it has not seen, with an accuracy of 96.1 ± 3.4 % and 90.7 ± 5.3 %
(seed 0; 146 crops a class, 40 to 64 tested, 10 splits).

The rule, fixed before any score was seen: seeds 0, 1 and 2, 2000 steps, the last checkpoint, and **seed 0 is shipped
whatever it scores**; all three are reported. Few steps and a bottleneck are part of the recipe: a network that copies
its input perfectly leaves no trace, and these are there to show one. They are no model of what is hard to detect.

Writes plots/built_in_sample/sample_generators_accuracy.md, _accuracy.csv, _results.json and _files.txt, and each seed's
weights into data/sample_generators/; a finished seed is not trained again while settings and PyTorch stay the same.
Some 5 minutes on two cores. To ship seed 0, copy its two files over those beside this one and enter their SHA-256 in
`generators.py`. Where the processor or PyTorch rounds otherwise, 2000 steps lead to another generator: the report says
whether seed 0 is the shipped one.
"""

from deepfake_spectra.settings import read_settings, run, settings_record  # isort: skip; hears Ctrl-C

import hashlib
import json
import multiprocessing
from collections import ChainMap
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from deepfake_spectra.classification import score_classifiers, score_k_means
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, FAKE, REAL, Feature, SpectrumDataset
from deepfake_spectra.errors import ExperimentError, UnreadableImage
from deepfake_spectra.files import DAMAGED_NPZ, display_path, whole_file
from deepfake_spectra.measurement import measure_spectrum
from deepfake_spectra.packages import require
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.results import check_results, write_results
from deepfake_spectra.sample.build import (
    ALTERED_SOURCES,
    FAKE_SOURCES,
    PHOTOGRAPHS,
    STORED_AS_JPEG,
    altered,
    crops,
    load_photograph,
    photograph_of,
)  # fmt: skip
from deepfake_spectra.sample.generators import forward, load_generator, read_weights, resynthesise
from deepfake_spectra.splits import source_splits
from deepfake_spectra.tables import result_table, rows_of

if TYPE_CHECKING:
    import torch

# training
SEEDS: tuple[int, ...] = (0, 1, 2)  # the first is shipped
STEPS: int = 2000  # the signature fades when training goes on
L1_STEPS: int = 100  # at the start, without the adversarial loss
BATCH_SIZE: int = 8  # crops a step
PATCH_SIDE: int = 64  # pixels, a multiple of 4
LEARNING_RATE: float = 5e-4  # Adam, generator and discriminator
BETAS: tuple[float, ...] = (0.5, 0.99)  # of Adam
ADVERSARIAL_WEIGHT: float = 0.1  # of the hinge loss, beside L1 on pixels in -1 ... 1

# scores
TEST_SHARE: float = 0.2  # of the photographs: 2 of 11
N_SPLITS: int = 10  # how often the photographs are split anew
JPEG_QUALITY: int = 90  # for the row where both classes are compressed

# output
RUNS_DIR: Path = Path("data/sample_generators")  # the weights of every seed
OUTPUT_DIR: Path = Path("plots")  # for the tables

TRAINING_SETTINGS = (
    "STEPS", "L1_STEPS", "BATCH_SIZE", "PATCH_SIDE", "LEARNING_RATE", "BETAS", "ADVERSARIAL_WEIGHT",
)  # fmt: skip


def make_generator(architecture: str) -> "torch.nn.ModuleDict":
    """Return the untrained layers of a generator, by the names that its weights have in `generators.forward`."""
    from torch import nn

    layers = {
        "encoder_1": nn.Conv2d(1, 24, 4, stride=2, padding=1),
        "encoder_2": nn.Conv2d(24, 48, 4, stride=2, padding=1),
        "bottleneck_in": nn.Conv2d(48, 8, 1),
        "bottleneck_out": nn.Conv2d(8, 48, 1),
    }
    for block in ("residual_1", "residual_2"):
        layers |= {f"{block}_{end}": nn.Conv2d(48, 48, 3, padding=1) for end in ("in", "out")}
    if architecture == "transposed_convolution":
        layers["decoder_1_transposed"] = nn.ConvTranspose2d(48, 24, 4, stride=2, padding=1)
        layers["decoder_2_transposed"] = nn.ConvTranspose2d(24, 12, 4, stride=2, padding=1)
    else:
        layers["decoder_1"] = nn.Conv2d(48, 24, 3, padding=1)
        layers["decoder_2"] = nn.Conv2d(24, 12, 3, padding=1)
    return nn.ModuleDict(layers | {"output": nn.Conv2d(12, 1, 3, padding=1)})


def generate(layers: "torch.nn.ModuleDict", pictures: "torch.Tensor") -> "torch.Tensor":
    """Return a generator's output, (n, 1, height, width), for pictures of that shape with values in -1 ... 1."""
    from torch.nn.functional import interpolate, relu

    double = partial(interpolate, scale_factor=2, mode="nearest")
    return forward(pictures, lambda name, features: layers[name](features), relu, double, "decoder_1" not in layers)


def make_discriminator() -> "torch.nn.Sequential":
    """Return an untrained PatchGAN: one verdict for each patch of 22x22 pixels."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 24, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(24, 48, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(48, 1, 4, padding=1),
    )  # fmt: skip


def train(architecture: str, seed: int, settings, path: Path) -> None:
    """Train one generator on one thread and write its weights to `path`."""
    import torch
    from torch.nn.functional import l1_loss, relu

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    photographs = [load_photograph(photo.name) for photo in PHOTOGRAPHS]
    layers, discriminator = make_generator(architecture), make_discriminator()
    adam = partial(torch.optim.Adam, lr=settings.learning_rate, betas=settings.betas)
    painter, judge = adam(layers.parameters()), adam(discriminator.parameters())
    for step in range(settings.steps):
        patches = [random_patch(photographs, settings.patch_side, random) for _ in range(settings.batch_size)]
        real = torch.from_numpy(np.stack(patches)[:, None])
        fake = generate(layers, real)
        loss = l1_loss(fake, real)
        if step >= settings.l1_steps:
            hinge = relu(1 - discriminator(real)).mean() + relu(1 + discriminator(fake.detach())).mean()
            _descend(judge, hinge)
            loss = loss - settings.adversarial_weight * discriminator(fake).mean()
        _descend(painter, loss)
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, **{name: value.numpy() for name, value in layers.state_dict().items()})


def random_patch(photographs: list[np.ndarray], side: int, random: np.random.Generator) -> np.ndarray:
    """Return a square cut at random from one of the photographs, flipped at random, float32 in -1 ... 1."""
    gray = photographs[random.integers(len(photographs))]
    row, column = (random.integers(length - side + 1) for length in gray.shape)
    patch = gray[row : row + side, column : column + side][:: random.choice((1, -1)), :: random.choice((1, -1))]
    return patch.astype(np.float32) / 127.5 - 1


def _descend(optimiser, loss):
    """Take one step down the gradient of `loss`."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def train_all(settings) -> dict[str, Path]:
    """Train what is not there yet, two at a time; return {"<generator>_<seed>": file of its weights}."""
    record = {name: value for name, value in settings_record(settings).items() if name in TRAINING_SETTINGS}
    run_name = hashlib.sha256(json.dumps([record, version("torch")]).encode()).hexdigest()[:12]
    folder = settings.runs_dir / run_name
    paths = {(name, seed): folder / f"{name}_{seed}.npz" for seed in settings.seeds for name in FAKE_SOURCES}
    missing = [key for key, path in paths.items() if not path.exists()]
    print(f"{len(missing)} of {len(paths)} generators to train, in {display_path(folder)}")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:  # fork and torch do not mix
        trainings = [pool.submit(train, *key, settings, paths[key]) for key in missing]
        done = tqdm(as_completed(trainings), "training", len(trainings), unit="generator", disable=None)
        try:
            for training in done:  # counted here: the processes have no stderr of their own
                training.result()
        except BrokenProcessPool:
            raise ExperimentError("a training was killed, most likely for want of memory; lower BATCH_SIZE") from None
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():  # a kill reaches this process alone
                process.terminate()
            raise
    return {path.stem: path for path in paths.values()}


def read_trained(path: Path) -> dict[str, np.ndarray]:
    """Return the weights that `train` wrote, or raise ExperimentError where they are none of its generator."""
    layers = make_generator(path.stem.rpartition("_")[0]).state_dict()
    shapes = {name: tuple(value.shape) for name, value in layers.items()}
    try:
        weights = read_weights(path)
    except DAMAGED_NPZ:
        weights = {}
    is_whole = {name: value.shape for name, value in weights.items()} == shapes
    if not is_whole or not all(np.isfinite(value).all() for value in weights.values()):
        raise ExperimentError(f"{display_path(path)}: damaged, expected a generator's weights; remove it and run again")
    return weights


def painted_crops(generators: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return {"<source>/<photograph>_<nn>": crop}: photographs as they are, painted by each generator, altered."""

    def paint(photo):
        gray = load_photograph(photo.name)
        painted = {name: resynthesise(gray, weights) for name, weights in generators.items()}
        return {
            f"{source}/{photo.name}_{number:02}": crop
            for source, picture in ({"photographs": gray} | painted | altered(gray)).items()
            for number, crop in enumerate(crops(picture))
        }

    with threadpool_limits(1):
        found = in_threads(paint, PHOTOGRAPHS, -1)
        return dict(ChainMap(*tqdm(found, "painting", len(PHOTOGRAPHS), unit="photograph", disable=None)))


def dataset_of(pictures: dict[str, np.ndarray], alteration: str = "") -> SpectrumDataset:
    """Return the spectra of `painted_crops`, all of them altered first; every source but the photographs is fake."""
    feature = Feature(alteration=alteration)
    try:
        spectra = np.stack([measure_spectrum(crop, feature) for crop in pictures.values()])
    except UnreadableImage as reason:  # the photographs' crops are not: a generator's is
        raise ExperimentError(f"a painted crop is {reason}; train for more STEPS") from None
    sources = np.array([path.split("/")[0] for path in pictures])
    return SpectrumDataset(
        spectra=spectra,
        labels=np.where(sources == "photographs", REAL, FAKE),
        sources=sources,
        groups=np.array([photograph_of(path) for path in pictures]),
        paths=list(pictures),
        feature=replace(feature, n_bins=spectra.shape[1]),
        origin=BUILT_IN_SAMPLE,
        group_name="photograph",
    )


def score_generator(generator, other, dataset, compressed, settings) -> list[dict]:
    """Return the rows of a linear SVM that is trained on photographs and one generator, and those of k-means."""
    from sklearn.svm import SVC

    never_jpeg = dataset.of_rows(np.flatnonzero(~np.isin(dataset.groups, STORED_AS_JPEG)))
    rows = []
    for condition, used, asked in (
        ("the same generator", dataset, generator),
        (f"without {', '.join(STORED_AS_JPEG)}", never_jpeg, generator),
        (f"all as JPEG {settings.jpeg_quality}", compressed, generator),
        ("the other generator", dataset, other),
        *((name, dataset, name) for name in ALTERED_SOURCES),
    ):
        trained, tested = ["photographs", generator], ["photographs", asked]
        splits = source_splits(used, trained, tested, settings.test_share, settings.n_splits, seed=0)
        keys = {"table": generator.rpartition("_")[0], "n_samples": len(np.concatenate(splits[0]))}
        keys |= {"condition": condition, "train_sources": trained, "test_sources": tested}
        rows += score_classifiers(used, splits, {"svm_linear": SVC(kernel="linear")}, protocol=used.protocol, **keys)
        if condition == "the same generator":
            rows += score_k_means(used, splits, seed=0, **keys)
    return rows


def remarks_on(generators, pictures, dataset, settings) -> list[str]:
    """Return sentences: what the generators were trained with, which are shipped, how much too bright each paints."""
    levels = np.array([crop.mean() for crop in pictures.values()])
    means = {source: levels[dataset.sources == source].mean() for source in ("photographs", *generators)}
    brighter = ", ".join(f"{name} {means[name] - means['photographs']:+.1f}" for name in generators)
    remarks = [f"trained with PyTorch {version('torch')}", f"mean grey level less the photographs': {brighter}"]
    for name in FAKE_SOURCES:
        first, shipped = generators[f"{name}_{settings.seeds[0]}"], load_generator(name)
        is_shipped = all(np.array_equal(first[layer], shipped[layer]) for layer in shipped)
        remarks.append(f"{name}_{settings.seeds[0]} is {'' if is_shipped else 'not '}the {name} that is shipped")
    return remarks


def main() -> None:
    settings = read_settings(__name__)
    require("torch")
    folder = settings.output_dir / BUILT_IN_SAMPLE.subfolder
    check_results(folder, "sample_generators", [], [])
    generators = {name: read_trained(path) for name, path in train_all(settings).items()}
    pictures = painted_crops(generators)
    dataset, compressed = dataset_of(pictures), dataset_of(pictures, f"jpeg {settings.jpeg_quality}")
    rows, tables = [], []
    for name, other in permutations(FAKE_SOURCES):
        for seed in settings.seeds:
            rows += score_generator(f"{name}_{seed}", f"{other}_{seed}", dataset, compressed, settings)
        caption = (
            f"Trained on photographs and {name}, a column for each seed: accuracy in %, mean ± standard deviation "
            f"over {settings.n_splits} random splits, no photograph on both sides (95 % interval)"
        )
        lines = ("classifier", "protocol", "condition")
        tables.append((caption, result_table(rows_of(rows, name), lines, ("train_sources",))))
    title = "What a detector makes of the sample's generators"
    remarks = remarks_on(generators, pictures, dataset, settings)
    write_results(folder, "sample_generators", title, dataset, settings_record(settings), rows, tables, remarks, {})


if __name__ == "__main__":
    run(main)
