"""A DCGAN of ordinary or of octave convolutions, and its training, which resumes to the same result.

    recipe = Recipe(kind="octave_soft", seed=0, width=512, learning_rate=2e-4, betas=(0.5, 0.999), batch_size=64)
    for epoch in train(recipe, images, 50, Path("checkpoint.pt"), "cpu"):
        pictures = epoch.draw(z)        # (n, side, side, 3) uint8

The nets are those of Durall, Pfreundt, Keuper, "Stabilizing GANs with (Soft) Octave Convolutions", arXiv 1905.12534,
with the differences of docs/octave.md. Features are a dict of branches: "high", at full resolution, and "low", at half
of it. An ordinary net has the first alone: all else is the same.

Imported where a net is trained, since PyTorch takes seconds to load.
"""

import pickle
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits, interpolate, leaky_relu

from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import display_path, whole_file

KINDS = ("ordinary", "ordinary_soft", "octave", "octave_soft")
LATENT = 100  # numbers of which a picture is made
FIRST_SIDE = 4  # pixels, of the generator's first features and the discriminator's last
ALPHA = 0.5  # share of an octave net's channels at half resolution
INITIAL_STD = 0.02  # of all weights, as in DCGAN
LEAK = 0.2  # of the discriminator's activation
DRAWN_AT_ONCE = 250  # pictures
DAMAGED_CHECKPOINT = (  # what PyTorch's reader raises
    RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError, struct.error, BadZipFile,
    pickle.UnpicklingError,
)  # fmt: skip

Branches = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """What a training depends on, beside its images and the number of epochs."""

    kind: str  # one of KINDS
    seed: int
    width: int  # channels at 4x4 pixels; half of them at 8x8, and so on
    learning_rate: float
    betas: tuple[float, float]  # of Adam
    batch_size: int

    @property
    def alpha(self) -> float:
        """The share of channels at half resolution."""
        return ALPHA if self.kind.startswith("octave") else 0.0


class Epoch(NamedTuple):
    """What is known after an epoch; its generator is trained on as soon as the next one is asked for: draw before."""

    number: int  # from 1
    losses: dict[str, float]  # mean over the epoch, of either net
    generator: "Generator"
    soft_weight: float | None

    def draw(self, z: np.ndarray) -> np.ndarray:
        """Return the pictures of latent numbers z (n, LATENT) float32, (n, side, side, 3) uint8, red, green, blue.

        With the running means of its batch norms, so that no picture depends on the others, and with the soft weight
        that the epoch was trained with.
        """
        device = next(self.generator.parameters()).device
        self.generator.eval()
        with torch.no_grad():
            parts = [
                self.generator(torch.from_numpy(part).to(device), self.soft_weight).cpu()
                for part in np.split(z, range(DRAWN_AT_ONCE, len(z), DRAWN_AT_ONCE))
            ]
        self.generator.train()
        levels = (torch.cat(parts).permute(0, 2, 3, 1).numpy() + 1) * 127.5
        return np.rint(levels).astype(np.uint8)


class OctaveConvolution(nn.Module):
    """A 3x3 convolution, zeros beyond the border, no bias, of features at two resolutions.

    Octave convolution (Chen et al. 2019, arXiv 1904.05049): a path, that is an ordinary convolution, from each branch
    that comes in to each that goes out. From high to low the features are averaged over 2x2 pixels first, from low to
    high each value of the result becomes 2x2 of it; what arrives at a branch is added.

    Parameters
    ----------
    n_in, n_out : int
        Channels of both branches together.
    alpha_in, alpha_out : float
        The share of them at half resolution; with 0 there is no such branch.
    """

    def __init__(self, n_in: int, n_out: int, alpha_in: float, alpha_out: float):
        super().__init__()
        channels_in, channels_out = branch_channels(n_in, alpha_in), branch_channels(n_out, alpha_out)
        self.paths = nn.ModuleDict({
            f"{source}_to_{target}": nn.Conv2d(channels_in[source], channels_out[target], 3, padding=1, bias=False)
            for target in channels_out
            for source in channels_in
        })  # fmt: skip

    def forward(self, features: Branches) -> Branches:
        """Return the branches that go out: high (n, channels, height, width), low (n, channels, height/2, width/2)."""
        arrived = {}
        for name, path in self.paths.items():
            source, target = name.split("_to_")
            if name == "high_to_low":
                result = path(avg_pool2d(features[source], 2))
            elif name == "low_to_high":
                result = doubled(path(features[source]))
            else:
                result = path(features[source])
            arrived[target] = arrived[target] + result if target in arrived else result
        return arrived


class Block(nn.Module):
    """Octave convolution, batch norm and leaky ReLU of each branch, and soft weights, if there are any.

    Soft weights multiply the high branch by w and the low one by 1 - w. In an ordinary net, which has no low branch,
    they multiply those of its channels that would be low by 1 - w: the same weights without the two resolutions.
    """

    def __init__(self, n_in: int, n_out: int, alpha_in: float, alpha_out: float, slope: float):
        super().__init__()
        self.convolution = OctaveConvolution(n_in, n_out, alpha_in, alpha_out)
        channels = branch_channels(n_out, alpha_out)
        self.norms = nn.ModuleDict({branch: nn.BatchNorm2d(n) for branch, n in channels.items()})
        self.slope, self.n_high = slope, branch_channels(n_out, ALPHA)["high"]

    def forward(self, features: Branches, soft_weight: float | None) -> Branches:
        """Return the branches that go out."""
        found = {
            branch: leaky_relu(self.norms[branch](values), self.slope)
            for branch, values in self.convolution(features).items()
        }
        if soft_weight is None:
            return found
        if "low" in found:
            return {"high": found["high"] * soft_weight, "low": found["low"] * (1 - soft_weight)}
        of_channels = torch.full((found["high"].shape[1], 1, 1), soft_weight, device=found["high"].device)
        of_channels[self.n_high :] = 1 - soft_weight
        return {"high": found["high"] * of_channels}


class Generator(nn.Module):
    """LATENT numbers -> a linear layer -> features of 4x4 pixels -> blocks, each after doubling -> a picture.

    Parameters
    ----------
    side : int
        Of the pictures: 4 times a power of two.
    width : int
        Channels at 4x4 pixels.
    alpha : float
        Share of the channels at half resolution.
    """

    def __init__(self, side: int, width: int, alpha: float):
        super().__init__()
        channels = halving_channels(side, width)
        n_first = width * FIRST_SIDE**2
        self.width = width
        self.linear = nn.Sequential(nn.Linear(LATENT, n_first, bias=False), nn.BatchNorm1d(n_first), nn.ReLU())
        alphas = [0.0] + [alpha] * (len(channels) - 1)  # the linear layer's features have one resolution
        self.blocks = nn.ModuleList(
            Block(*n, alpha_in, alpha, slope=0) for n, alpha_in in zip(pairwise(channels), alphas)
        )
        self.last = OctaveConvolution(channels[-1], 3, alphas[-1], 0)

    def forward(self, z: torch.Tensor, soft_weight: float | None) -> torch.Tensor:
        """Return pictures (n, 3, side, side) in -1 ... 1 of z (n, LATENT)."""
        features = {"high": self.linear(z).view(-1, self.width, FIRST_SIDE, FIRST_SIDE)}
        for block in self.blocks:
            features = block({branch: doubled(values) for branch, values in features.items()}, soft_weight)
        last = self.last({branch: doubled(values) for branch, values in features.items()})
        return torch.tanh(last["high"])


class Discriminator(nn.Module):
    """A picture -> blocks, each after averaging over 2x2 pixels, the first, too -> one logit, above 0 for "real".

    Parameters are those of `Generator`, whose channels it has in reverse.
    """

    def __init__(self, side: int, width: int, alpha: float):
        super().__init__()
        channels = [3, *reversed(halving_channels(side, width))]
        alphas = [0.0] + [alpha] * (len(channels) - 2)  # a picture has one resolution
        self.blocks = nn.ModuleList(
            Block(*n, alpha_in, alpha, slope=LEAK) for n, alpha_in in zip(pairwise(channels), alphas)
        )
        self.last = OctaveConvolution(width, 1, alpha, 0)

    def forward(self, pictures: torch.Tensor, soft_weight: float | None) -> torch.Tensor:
        """Return the logits (n,) of pictures (n, 3, side, side)."""
        features = {"high": pictures}
        for block in self.blocks:
            features = block({branch: avg_pool2d(values, 2) for branch, values in features.items()}, soft_weight)
        last = self.last({branch: avg_pool2d(values, 2) for branch, values in features.items()})
        return last["high"].mean((1, 2, 3))


def branch_channels(n: int, alpha: float) -> dict[str, int]:
    """Return how many of n channels each branch has; those without any are left out."""
    n_low = int(n * alpha)
    return {branch: count for branch, count in (("high", n - n_low), ("low", n_low)) if count}


def halving_channels(side: int, width: int) -> list[int]:
    """Return the channels at 4, 8, ... pixels, half as many each time, below `side`: three for 32, four for 64."""
    return [width >> step for step in range((side // FIRST_SIDE).bit_length() - 1)]


def doubled(values: torch.Tensor) -> torch.Tensor:
    """Return features (n, channels, height, width) at twice the resolution, each value four times."""
    return interpolate(values, scale_factor=2, mode="nearest")


def soft_weight_of(kind: str, epoch: int) -> float | None:
    """Return the weight of the high branch in an epoch, from 1 on: .22, .24, ... .70 at the 25th and ever after."""
    return min(0.2 + epoch / 50, 0.7) if kind.endswith("soft") else None


def train(recipe: Recipe, images: np.ndarray, n_epochs: int, checkpoint: Path, device: str) -> Iterator[Epoch]:
    """Yield each epoch that is still to be trained, and write the checkpoint when the next is asked for.

    So what was made of an epoch is on disk before it is done: a run that is killed takes no epoch twice, nor leaves
    one out. Batches and latent numbers depend on the seed and the epoch alone, and are the same for all kinds of net.

    Parameters
    ----------
    recipe : Recipe
    images : (n, side, side, 3) uint8
        May be mapped from a file. Fewer than a batch at the end of an epoch are left out.
    n_epochs : int
    checkpoint : Path
        Read if it is there: both nets, both optimisers, the epoch.
    device : str
        "cpu" or "cuda". On the CPU a resumed training ends in the same bits as one that was never stopped.

    Raises
    ------
    ExperimentError
        The checkpoint is damaged or of another recipe; or a loss is no longer finite.

    Notes
    -----
    PyTorch works on one thread, and deterministically, from then on, since several trainings run at once.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    nets = make_nets(recipe, images.shape[1], device)
    optimisers = {
        name: torch.optim.Adam(net.parameters(), lr=recipe.learning_rate, betas=recipe.betas)
        for name, net in nets.items()
    }
    done = read_checkpoint(checkpoint, recipe, nets, optimisers, device) if checkpoint.exists() else 0
    for epoch in range(done + 1, n_epochs + 1):
        soft_weight = soft_weight_of(recipe.kind, epoch)
        losses = train_epoch(recipe, nets, optimisers, images, epoch, soft_weight, device)
        if not all(map(np.isfinite, losses.values())):
            raise ExperimentError(
                f"{recipe.kind}, seed {recipe.seed}: diverged in epoch {epoch}, a loss is not finite; lower "
                f"LEARNING_RATE, or leave {recipe.seed} out of SEEDS"
            )
        yield Epoch(epoch, losses, nets["generator"], soft_weight)
        write_checkpoint(checkpoint, recipe, nets, optimisers, epoch)


def make_nets(recipe: Recipe, side: int, device: str) -> dict[str, nn.Module]:
    """Return an untrained generator and discriminator, the same on every device."""
    random = torch.Generator().manual_seed(recipe.seed)
    nets = {"generator": Generator, "discriminator": Discriminator}
    for name, make in nets.items():
        nets[name] = make(side, recipe.width, recipe.alpha)
        for module in nets[name].modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, 0, INITIAL_STD, generator=random)
        nets[name].to(device, memory_format=torch.channels_last)  # a third of the time on a CPU, at these few channels
    return nets


def train_epoch(recipe, nets, optimisers, images, epoch, soft_weight, device) -> dict[str, float]:
    """Show all images once, in an order of the epoch's own; return the mean loss of either net."""
    random = np.random.default_rng((recipe.seed, epoch))
    order = random.permutation(len(images))
    n_batches = len(images) // recipe.batch_size
    totals = dict.fromkeys(nets, 0.0)
    for rows in np.split(order[: n_batches * recipe.batch_size], n_batches):
        z = random.standard_normal((recipe.batch_size, LATENT), np.float32)
        real = as_pictures(images[np.sort(rows)], device)
        for name, loss in train_batch(nets, optimisers, real, torch.from_numpy(z).to(device), soft_weight).items():
            totals[name] += loss / n_batches
    return totals


def train_batch(nets, optimisers, real, z, soft_weight) -> dict[str, float]:
    """Take one step with the discriminator, then one with the generator, by the non-saturating loss."""
    discriminator = nets["discriminator"]
    fake = nets["generator"](z, soft_weight)

    def loss_of(pictures, is_real):
        logits = discriminator(pictures, soft_weight)
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(is_real)))

    losses = {}
    for name, loss in (
        ("discriminator", lambda: loss_of(real, True) + loss_of(fake.detach(), False)),
        ("generator", lambda: loss_of(fake, True)),
    ):
        value = loss()
        optimisers[name].zero_grad()
        value.backward()
        optimisers[name].step()
        losses[name] = value.item()
    return losses


def as_pictures(images: np.ndarray, device: str) -> torch.Tensor:
    """Return images (n, side, side, 3) uint8 as the nets take them: (n, 3, side, side) float32 in -1 ... 1."""
    return (torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(
        memory_format=torch.channels_last
    )


def write_checkpoint(path, recipe, nets, optimisers, epoch) -> None:
    """Write all that a training needs to go on, whole."""
    states = {name: (nets[name].state_dict(), optimisers[name].state_dict()) for name in nets}
    with whole_file(path) as temporary:
        torch.save({"recipe": asdict(recipe), "epoch": epoch, "states": states}, temporary)


def read_checkpoint(path, recipe, nets, optimisers, device) -> int:
    """Load a checkpoint into nets and optimisers and return its epoch; nothing that a file holds is run."""
    try:
        kept = torch.load(path, map_location=device, weights_only=True)
        if kept["recipe"] != asdict(recipe):
            raise ValueError("of another recipe")
        for name, (net, optimiser) in kept["states"].items():
            nets[name].load_state_dict(net)
            optimisers[name].load_state_dict(optimiser)
        return int(kept["epoch"])
    except DAMAGED_CHECKPOINT as error:
        reason = str(error).partition("\n")[0][:80] or type(error).__name__
        raise ExperimentError(
            f"{display_path(path)}: no checkpoint of this training ({reason}); remove it, and the training begins anew"
        ) from None
