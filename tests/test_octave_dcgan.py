"""Octave convolution against its definition, the nets' shapes and weights, and a training that was interrupted."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from deepfake_spectra.errors import ExperimentError  # noqa: E402
from deepfake_spectra.octave_dcgan import (  # noqa: E402
    KINDS,
    LATENT,
    Block,
    Discriminator,
    Generator,
    OctaveConvolution,
    Recipe,
    halving_channels,
    make_nets,
    soft_weight_of,
    train,
)

PATHS = {"high_to_high", "high_to_low", "low_to_high", "low_to_low"}


def random_branches(n_high, n_low, side=8, seed=0):
    """Return features of both resolutions, float64 so that sums can be compared."""
    random = torch.Generator().manual_seed(seed)
    draw = lambda n, side: torch.randn(2, n, side, side, generator=random, dtype=torch.float64)  # noqa: E731
    return {"high": draw(n_high, side), "low": draw(n_low, side // 2)}


def convolved(features, weight):
    """Return the 3x3 convolution with zeros beyond the border, one tap at a time, in NumPy."""
    features, weight = features.numpy(), weight.detach().numpy()
    height, width = features.shape[2:]
    padded = np.pad(features, ((0, 0), (0, 0), (1, 1), (1, 1)))
    result = 0
    for row, column in np.ndindex(3, 3):
        tap = padded[:, :, row : row + height, column : column + width]
        result = result + np.einsum("oi,nihw->nohw", weight[:, :, row, column], tap)
    return result


def halved(features):
    """Return the means of 2x2 pixels."""
    n, channels, height, width = features.shape
    return features.reshape(n, channels, height // 2, 2, width // 2, 2).mean((3, 5))


def test_octave_convolution_is_the_sum_of_its_four_paths():
    layer = OctaveConvolution(10, 6, 0.5, 0.5).double()
    features = random_branches(5, 5)
    found = layer(features)
    weight = {name: path.weight for name, path in layer.paths.items()}
    assert set(weight) == PATHS
    high, low = features["high"], features["low"]
    from_low = convolved(low, weight["low_to_high"]).repeat(2, axis=2).repeat(2, axis=3)
    expected = {
        "high": convolved(high, weight["high_to_high"]) + from_low,
        "low": convolved(low, weight["low_to_low"]) + convolved(halved(high), weight["high_to_low"]),
    }
    for branch in expected:
        np.testing.assert_allclose(found[branch].detach().numpy(), expected[branch], atol=1e-13)


def test_a_case_computed_by_hand():
    layer = OctaveConvolution(2, 2, 0.5, 0.5)
    with torch.no_grad():
        for factor, name in enumerate(sorted(PATHS), 1):  # high_to_high 1, high_to_low 2, low_to_high 3, low_to_low 4
            layer.paths[name].weight.zero_()
            layer.paths[name].weight[0, 0, 1, 1] = factor
    high, low = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]]), torch.tensor([[[[10.0]]]])
    found = layer({"high": high, "low": low})
    assert found["high"].tolist() == [[[[31.0, 33.0], [35.0, 37.0]]]]  # itself and 3 x 10
    assert found["low"].tolist() == [[[[48.0]]]]  # 4 x 10 and 2 x the mean, 4


def test_with_alpha_0_it_is_an_ordinary_convolution():
    layer = OctaveConvolution(3, 4, 0, 0)
    assert set(layer.paths) == {"high_to_high"}
    pictures = torch.randn(2, 3, 8, 8)
    found = layer({"high": pictures})
    expected = torch.nn.functional.conv2d(pictures, layer.paths["high_to_high"].weight, padding=1)
    assert list(found) == ["high"] and torch.equal(found["high"], expected)


@pytest.mark.parametrize(
    "alphas, paths",
    [
        ((0, 0.5), {"high_to_high", "high_to_low"}),
        ((0.5, 0), {"high_to_high", "low_to_high"}),
        ((0.25, 0.5), PATHS),
    ],
)
def test_paths_and_shapes_follow_the_shares(alphas, paths):
    layer = OctaveConvolution(8, 6, *alphas)
    assert set(layer.paths) == paths
    n_low = int(8 * alphas[0])
    features = {name: values.float() for name, values in random_branches(8 - n_low, n_low).items() if values.shape[1]}
    shapes = {branch: tuple(values.shape) for branch, values in layer(features).items()}
    expected = {"high": (2, 6 - int(6 * alphas[1]), 8, 8), "low": (2, int(6 * alphas[1]), 4, 4)}
    assert shapes == {branch: shape for branch, shape in expected.items() if shape[1]}


def test_every_path_of_both_octave_nets_learns():
    recipe = Recipe("octave_soft", 0, 32, 2e-4, (0.5, 0.999), 4)
    nets = make_nets(recipe, 32, "cpu")
    pictures = nets["generator"](torch.randn(4, LATENT), 0.5)
    nets["discriminator"](pictures, 0.5).square().sum().backward()
    for net in nets.values():
        paths = [(name, weight) for name, weight in net.named_parameters() if ".paths." in name]
        assert {name.split(".")[-2] for name, _ in paths} == PATHS
        for name, weight in paths:
            assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side, channels", [(32, [64, 32, 16]), (64, [64, 32, 16, 8]), (128, [64, 32, 16, 8, 4])])
def test_nets_make_and_judge_pictures_of_each_size(kind, side, channels):
    assert halving_channels(side, 64) == channels
    recipe = Recipe(kind, 0, 64, 2e-4, (0.5, 0.999), 4)
    generator, discriminator = Generator(side, 64, recipe.alpha), Discriminator(side, 64, recipe.alpha)
    pictures = generator(torch.randn(2, LATENT), soft_weight_of(kind, 1))
    assert pictures.shape == (2, 3, side, side) and pictures.abs().max() <= 1
    assert discriminator(pictures, soft_weight_of(kind, 1)).shape == (2,)


def test_an_octave_net_has_the_channels_of_the_ordinary_one_and_as_many_weights():
    counts = {
        alpha: [weight.numel() for weight in Generator(64, 64, alpha).blocks[1].convolution.parameters()]
        for alpha in (0.0, 0.5)
    }
    assert len(counts[0.0]) == 1 and len(counts[0.5]) == 4
    assert sum(counts[0.0]) == sum(counts[0.5])


def test_soft_weights_are_the_authors_and_constant_from_epoch_25():
    weights = [soft_weight_of("octave_soft", epoch) for epoch in (1, 2, 24, 25, 26, 50)]
    np.testing.assert_allclose(weights, [0.22, 0.24, 0.68, 0.7, 0.7, 0.7])
    assert soft_weight_of("octave", 1) is None and soft_weight_of("ordinary", 30) is None


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_soft_weights_multiply_the_same_channels_of_both_nets(alpha):
    block = Block(6, 5, alpha, alpha, slope=0.2)
    features = {name: values.float() for name, values in random_branches(3, 3).items()}
    if not alpha:
        features = {"high": torch.randn(2, 6, 8, 8)}
    plain, soft = block(features, None), block(features, 0.7)
    if alpha:
        torch.testing.assert_close(soft["high"], 0.7 * plain["high"])
        torch.testing.assert_close(soft["low"], 0.3 * plain["low"])
    else:  # of five channels two would be low
        torch.testing.assert_close(soft["high"][:, :3], 0.7 * plain["high"][:, :3])
        torch.testing.assert_close(soft["high"][:, 3:], 0.3 * plain["high"][:, 3:])


def test_all_weights_start_as_in_dcgan_and_by_the_seed():
    recipe = Recipe("octave", 3, 128, 2e-4, (0.5, 0.999), 4)
    first, again = make_nets(recipe, 64, "cpu"), make_nets(recipe, 64, "cpu")
    for name, net in first.items():
        for (weight_name, weight), other in zip(net.named_parameters(), again[name].parameters()):
            assert torch.equal(weight, other)
            if weight.dim() > 1 and weight.numel() > 2000:
                assert abs(weight.std().item() / 0.02 - 1) < 0.1, weight_name
    other = make_nets(Recipe("octave", 4, 128, 2e-4, (0.5, 0.999), 4), 64, "cpu")
    assert not torch.equal(first["generator"].linear[0].weight, other["generator"].linear[0].weight)


IMAGES = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)


def trained(recipe, n_epochs, path, stop_after=None):
    """Return {epoch: samples} of a training; with `stop_after` it is left there, before that epoch's checkpoint."""
    z = np.random.default_rng(1).standard_normal((6, LATENT), np.float32)
    samples = {}
    for epoch in train(recipe, IMAGES, n_epochs, path, "cpu"):
        samples[epoch.number] = epoch.draw(z)
        if epoch.number == stop_after:
            break
    return samples


@pytest.mark.parametrize("kind", ["ordinary", "octave_soft"])
def test_a_resumed_training_equals_one_that_was_never_stopped(kind, tmp_path):
    recipe = Recipe(kind, 0, 32, 2e-4, (0.5, 0.999), 8)
    whole = trained(recipe, 4, tmp_path / "whole.pt")
    first = trained(recipe, 4, tmp_path / "stopped.pt", stop_after=3)
    later = trained(recipe, 4, tmp_path / "stopped.pt")
    assert list(whole) == [1, 2, 3, 4] and list(first) == [1, 2, 3] and list(later) == [3, 4]
    for epoch, samples in (first | later).items():
        assert np.array_equal(samples, whole[epoch])
    assert not np.array_equal(whole[3], whole[4])
    assert trained(recipe, 4, tmp_path / "stopped.pt") == {}


def test_a_training_can_be_made_longer(tmp_path):
    recipe = Recipe("octave", 1, 32, 2e-4, (0.5, 0.999), 8)
    whole = trained(recipe, 3, tmp_path / "whole.pt")
    trained(recipe, 1, tmp_path / "longer.pt")
    later = trained(recipe, 3, tmp_path / "longer.pt")
    assert list(later) == [2, 3] and np.array_equal(later[3], whole[3])


def test_samples_do_not_depend_on_each_other(tmp_path):
    recipe = Recipe("octave_soft", 0, 32, 2e-4, (0.5, 0.999), 8)
    z = np.random.default_rng(1).standard_normal((6, LATENT), np.float32)
    epoch = next(train(recipe, IMAGES, 1, tmp_path / "a.pt", "cpu"))
    alone = np.concatenate([epoch.draw(z[row : row + 1]) for row in range(6)])
    assert np.abs(alone.astype(int) - epoch.draw(z)).max() <= 1  # sums in another order


@pytest.mark.parametrize(
    "damage", [lambda content: b"", lambda content: content[:-50], lambda content: b"\x80\x02junk"]
)
def test_a_damaged_checkpoint_is_one_sentence(damage, tmp_path):
    recipe, path = Recipe("ordinary", 0, 32, 2e-4, (0.5, 0.999), 8), tmp_path / "checkpoint.pt"
    trained(recipe, 1, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ExperimentError, match=r"checkpoint\.pt: no checkpoint of this training .*; remove it"):
        trained(recipe, 2, path)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    trained(Recipe("ordinary", 0, 32, 2e-4, (0.5, 0.999), 8), 1, path)
    with pytest.raises(ExperimentError, match="of another recipe"):
        trained(Recipe("ordinary", 1, 32, 2e-4, (0.5, 0.999), 8), 2, path)


def test_a_checkpoint_runs_nothing_that_it_holds(tmp_path):
    import pickle

    class Attack:
        def __reduce__(self):
            return (tmp_path.joinpath("was_run").touch, ())

    path = tmp_path / "checkpoint.pt"
    torch.save({"recipe": Attack()}, path, pickle_module=pickle)
    with pytest.raises(ExperimentError, match="no checkpoint of this training"):
        trained(Recipe("ordinary", 0, 32, 2e-4, (0.5, 0.999), 8), 2, path)
    assert not (tmp_path / "was_run").exists()
