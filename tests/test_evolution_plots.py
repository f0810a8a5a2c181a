"""Figures of generators by epoch: lines, bands and samples stand where the arrays say, and nothing overlaps."""

import numpy as np
import pytest
from figures import legend_of, lines_of, looks, panel
from pictures import colour_picture

from deepfake_spectra.evolution_plots import evolution_figure, evolution_spectra_figure
from deepfake_spectra.plots import square_axis

NETS = ("ordinary", "ordinary, soft weights", "octave", "octave, soft weights")
EPOCHS = (1, 5, 10, 25, 50)
SIDE = 16
X = square_axis(SIDE)[0]


def by_seed(lowest=1.0, n_epochs=50):
    """Return the values of three seeds for each net: they fall from epoch to epoch, and the mean is no seed's."""
    fall = np.linspace(20, 0, n_epochs)
    return {net: lowest + number + fall + np.array([[0.0], [1], [5]]) for number, net in enumerate(NETS)}


def samples(side=8):
    """Return nine pictures of each net at each epoch, no two alike."""
    numbers = iter(range(1000))
    return {
        net: {epoch: np.stack([colour_picture(next(numbers), (side, side)) for _ in range(9)]) for epoch in EPOCHS}
        for net in NETS
    }


def spectra_of(n=6):
    """Return the reals' spectra, and for each net and epoch some that lie higher by its number and by the epoch's."""
    real = 100 - 40 * X + np.random.default_rng(0).normal(0, 3, (n, len(X)))
    nets = {
        net: {epoch: real + 10 * number + epoch for epoch in EPOCHS} for number, net in enumerate(NETS)
    }  # the mean difference is 10 number + epoch in 20 ln|F|
    return real, nets


def detected(n_epochs=50):
    """Return what a detector finds of each net: share, lowest, highest."""
    mean = np.linspace(0.9, 0.6, n_epochs)
    return {net: (mean - 0.02 * number, mean - 0.1, mean + 0.05) for number, net in enumerate(NETS)}


@pytest.fixture
def evolution(draw):
    """Return the figure of all nets with its samples."""
    return draw(evolution_figure, by_seed(), samples(), "Distance", "Title")


@pytest.fixture
def spectral(draw):
    """Return the figure of the spectra of all nets."""
    return draw(evolution_spectra_figure, SIDE, *spectra_of(), detected(), by_seed(), "Title")


def edges_at(band, epoch):
    """Return the lowest and highest corner of a band at an epoch."""
    corners = band.get_paths()[0].vertices
    there = corners[corners[:, 0] == epoch, 1]
    return there.min(), there.max()


def assert_seeds(ax, values):
    """Hold that the axes show the mean over seeds of each net, and the lowest and highest seed as its band."""
    lines = lines_of(ax)
    assert list(lines) == list(values) and ax.get_xlabel() == "Epoch"
    for (net, line), band in zip(lines.items(), ax.collections, strict=True):
        assert line.get_xdata().tolist() == list(range(1, values[net].shape[1] + 1))
        np.testing.assert_allclose(line.get_ydata(), values[net].mean(axis=0))
        for epoch in (1, 50):
            seeds = values[net][:, epoch - 1]
            np.testing.assert_allclose(edges_at(band, epoch), (seeds.min(), seeds.max()))


def test_each_net_is_the_mean_of_its_seeds_within_the_lowest_and_the_highest(evolution):
    ax = evolution.axes[0]
    assert_seeds(ax, by_seed())
    assert ax.get_ylabel() == "Distance" and evolution.get_suptitle() == "Title"
    assert len({looks(line)[1] for line in lines_of(ax).values()}) == len(NETS)  # in grey print, too
    handles = legend_of(*evolution.subfigs[0].legends)
    assert {name: looks(handle) for name, handle in handles.items()} == {
        name: looks(line) for name, line in lines_of(ax).items()
    }


@pytest.mark.parametrize("lowest, scale", [(0.01, "log"), (0.0, "symlog"), (-0.5, "symlog")])
def test_the_axis_is_logarithmic_and_holds_values_that_are_not_above_zero_too(draw, lowest, scale):
    ax = draw(evolution_figure, by_seed(lowest), samples(), "Distance", "Title").axes[0]
    assert ax.get_yscale() == scale and ax.get_ylim()[0] < lowest


def test_no_distance_at_all_can_be_drawn(draw):
    zeros = {net: np.zeros((3, 50)) for net in NETS}
    draw(evolution_figure, zeros, samples(), "Distance", "Title").draw_without_rendering()


def test_the_epochs_of_the_samples_are_marked_above_them(evolution):
    marks = [line.get_xdata()[0] for line in evolution.axes[0].lines if line.get_label().startswith("_")]
    assert marks == list(EPOCHS)


def test_samples_stand_in_the_row_of_their_net_and_the_column_of_their_epoch_pixel_by_pixel(evolution):
    axes = np.reshape(evolution.axes[1:], (len(NETS), len(EPOCHS)))
    assert [ax.get_title() for ax in axes[0]] == [f"epoch {epoch}" for epoch in EPOCHS]
    assert [ax.get_ylabel().replace("\n", " ") for ax in axes[:, 0]] == list(NETS)
    for row, images in zip(axes, samples().values()):
        for ax, nine in zip(row, images.values()):
            [shown] = ax.images
            pixels = np.asarray(shown.get_array())
            assert shown.get_interpolation() == "auto" and pixels.shape == (26, 26, 3)  # three of 8, two lines
            for number, image in enumerate(nine):
                top, left = 9 * (number // 3), 9 * (number % 3)
                assert np.array_equal(pixels[top : top + 8, left : left + 8], image)
            assert (pixels[[8, 17]] == 255).all() and (pixels[:, [8, 17]] == 255).all()
    rows, columns = ([ax.get_position().y0 for ax in axes[:, 0]], [ax.get_position().x0 for ax in axes[0]])
    assert rows == sorted(rows, reverse=True) and columns == sorted(columns)


def test_each_panel_shows_its_nets_spectra_and_the_reals(spectral):
    real, nets = spectra_of()
    for net in NETS:
        ax = panel(spectral, net)
        reals, *lines = lines_of(ax).values()
        np.testing.assert_allclose(reals.get_ydata(), real.mean(axis=0))
        assert reals.get_color() == "black"
        [band] = ax.collections
        std = real[:, 0].std()
        np.testing.assert_allclose(edges_at(band, X[0]), (real[:, 0].mean() - std, real[:, 0].mean() + std))
        for epoch, line in zip(EPOCHS, lines, strict=True):
            assert line.get_label() == f"epoch {epoch}"
            np.testing.assert_allclose(line.get_xydata(), np.column_stack([X, nets[net][epoch].mean(axis=0)]))
        assert ax.get_ylim() == panel(spectral, NETS[0]).get_ylim()
    assert panel(spectral, NETS[0]).get_ylabel() == "Mean log power, 20 ln|F|"


def test_below_it_stands_the_difference_to_the_reals_in_decibels(spectral):
    unders = spectral.axes[len(NETS) : 2 * len(NETS)]
    assert unders[0].get_ylabel() == "Difference (dB)"
    for number, (net, ax) in enumerate(zip(NETS, unders)):
        zero, *lines = ax.lines
        assert set(zero.get_ydata()) == {0}
        above = list(lines_of(panel(spectral, net)).values())[1:]
        for epoch, line, same in zip(EPOCHS, lines, above, strict=True):
            np.testing.assert_allclose(line.get_ydata(), (10 * number + epoch) / np.log(10))
            assert np.array_equal(line.get_color(), same.get_color()) and looks(line)[1] == looks(same)[1]


@pytest.mark.parametrize("n_epochs", [3, 5])
def test_later_epochs_are_darker_and_the_last_is_a_solid_line(draw, n_epochs):
    real, nets = spectra_of()
    shown = {net: {epoch: spectra[epoch] for epoch in EPOCHS[:n_epochs]} for net, spectra in nets.items()}
    figure = draw(evolution_spectra_figure, SIDE, real, shown, detected(), by_seed(), "Title")
    _, *lines = lines_of(panel(figure, NETS[0])).values()
    brightness = [np.dot(line.get_color()[:3], (0.3, 0.6, 0.1)) for line in lines]
    assert brightness == sorted(brightness, reverse=True) and not lines[-1].is_dashed()
    named = [f"epoch {epoch}" for epoch in EPOCHS[:n_epochs]]
    assert list(legend_of(*figure.subfigs[0].legends)) == ["real, mean ± 1 s.d.", *named]


def test_at_the_foot_stand_the_distance_and_what_a_detector_finds_in_per_cent_beside_chance(spectral):
    left, right = spectral.axes[-2:]
    assert_seeds(left, by_seed())
    assert left.get_ylim()[0] == 0 and "dB" in left.get_ylabel()
    assert right.get_ylabel().replace("\n", " ") == "Balanced accuracy (%), 50 is chance"
    for (net, line), band in zip(lines_of(right).items(), right.collections, strict=True):
        mean, low, high = detected()[net]
        np.testing.assert_allclose(line.get_ydata(), 100 * mean)
        np.testing.assert_allclose(edges_at(band, 1), (100 * low[0], 100 * high[0]))
    assert set(right.lines[-1].get_ydata()) == {50}
    assert list(legend_of(*spectral.subfigs[1].legends)) == list(NETS)


@pytest.mark.parametrize("which", ["evolution", "spectral"])
def test_nothing_is_cut_off_and_no_legend_lies_over_a_panel(which, request):
    figure = request.getfixturevalue(which)
    figure.draw_without_rendering()
    whole = figure.get_tightbbox()
    assert 0 <= whole.x0 < whole.x1 <= figure.get_figwidth() and 0 <= whole.y0 < whole.y1 <= figure.get_figheight()
    texts = [axis.label for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)] + [ax.title for ax in figure.axes]
    texts += [part._supxlabel for part in figure.subfigs if part._supxlabel]
    for legend in [legend for part in figure.subfigs for legend in part.legends]:
        box = legend.get_window_extent()
        others = [ax.get_window_extent() for ax in figure.axes]
        others += [text.get_window_extent() for text in texts if text.get_text()]
        assert not any(box.overlaps(other) for other in others)


def test_one_epoch_of_one_seed_and_one_net_can_be_drawn(tmp_path):
    real, _ = spectra_of()
    one = {"ordinary": np.array([[2.0]])}
    evolution_figure(tmp_path / "one.png", one, {"ordinary": {1: samples()["octave"][5]}}, "Distance", "Title")
    detector = {"ordinary": tuple(np.array([value]) for value in (0.7, 0.6, 0.8))}
    evolution_spectra_figure(tmp_path / "two.png", SIDE, real, {"ordinary": {1: real}}, detector, one, "Title")
    assert {path.name for path in tmp_path.iterdir()} == {"one.png", "one.pdf", "two.png", "two.pdf"}
