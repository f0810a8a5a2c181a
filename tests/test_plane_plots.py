"""Figures of pictures and planes: each array in its place, differences with their sign, rings around their centre."""

import numpy as np
import pytest
from figures import legend_of, lines_of, panel
from matplotlib.colors import to_rgb
from pictures import picture

from deepfake_spectra.dataset import FAKE, REAL
from deepfake_spectra.plane_plots import centres_figure, pipeline_figure, planes_figure, ring_edges
from deepfake_spectra.plots import COLOURS
from radial_spectrum import log_power_plane, spectrum_radii


def shown(ax):
    """Return the one array that is shown in an axes."""
    [image] = ax.images
    return np.asarray(image.get_array())


# --- mean planes


def test_planes_stand_by_state_and_their_difference_is_fake_minus_real_about_zero(draw):
    random = np.random.default_rng(0)
    planes = {
        "as they are": (random.normal(100, 5, (40, 40)), random.normal(110, 5, (40, 40))),
        "jpeg 75": (random.normal(90, 5, (40, 40)), random.normal(70, 5, (40, 40))),
    }
    figure = draw(planes_figure, planes, "Test")
    lefts = []
    differences = [ax for ax in figure.axes if ax.get_title() == "Fake minus real"]
    for (state, (real, fake)), ax in zip(planes.items(), differences, strict=True):
        of_real, of_fake = panel(figure, f"Real, {state}"), panel(figure, f"Fake, {state}")
        assert np.array_equal(shown(of_real), real) and np.array_equal(shown(of_fake), fake)
        assert of_real.images[0].get_clim() == of_fake.images[0].get_clim()  # one scale of both
        low, high = of_real.images[0].get_clim()
        assert min(real.min(), fake.min()) <= low < high <= max(real.max(), fake.max())
        assert shown(ax) == pytest.approx(fake - real)
        low, high = ax.images[0].get_clim()
        assert low == -high < 0 and high == pytest.approx(np.percentile(np.abs(fake - real), 99.5))
        colours = ax.images[0].cmap([0.0, 0.5, 1.0])[:, :3]  # blue below 0, white at it, red above
        assert colours[0][2] > colours[0][0] and colours[2][0] > colours[2][2] and min(colours[1]) > 0.9
        lefts.append(of_real.get_position().y0)
    assert lefts[0] > lefts[1] and figure.get_suptitle() == "Test"
    assert sum(ax.get_ylabel() == "20 ln|F|" for ax in figure.axes) == 4  # bars: of the scale, of the difference


def test_large_planes_are_averaged_over_squares_alike(draw):
    real = np.add.outer(np.arange(256.0), np.arange(256.0))
    figure = draw(planes_figure, {"as they are": (real, real + 3)}, "")
    mean = real.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    assert shown(panel(figure, "Real, as they are")) == pytest.approx(mean)
    assert shown(panel(figure, "Fake minus real")) == pytest.approx(np.full((128, 128), 3))


# --- two centres


def test_rings_stand_around_both_centres_and_each_curve_has_the_colour_of_its_own(draw):
    plane = np.random.default_rng(0).normal(size=(52, 44))
    centres = {"right": (21.5, 25.5), "2019": (21.5, 21.5)}
    curves = {"right": np.linspace(1, 0.5, 9), "2019": np.linspace(1, 0.4, 9), "released": np.linspace(1, 0.3, 5)}
    figure = draw(centres_figure, plane, curves, centres, "Test")
    left, right = figure.axes
    assert np.array_equal(shown(left), plane)
    assert left.get_xlim() == (-0.5, 43.5) and left.get_ylim() == (51.5, -0.5)  # pixel centres at whole numbers
    lines = lines_of(right)
    assert list(lines) == list(curves) == list(legend_of(right.get_legend()))
    for name, curve in curves.items():
        assert lines[name].get_xdata() == pytest.approx(np.linspace(0, 1, len(curve)))
        assert lines[name].get_ydata().tolist() == curve.tolist()
        assert legend_of(right.get_legend())[name].get_color() == lines[name].get_color()
    assert lines["released"].get_linestyle() == "--" and to_rgb(lines["released"].get_color()) == (0, 0, 0)
    crosses = {line.get_color(): line.get_xydata().tolist() for line in left.lines}
    assert crosses == {lines[name].get_color(): [[*centre]] for name, centre in centres.items()} and len(crosses) == 2
    for name, centre in centres.items():
        rings = [ring for ring in left.patches if ring.get_edgecolor()[:3] == to_rgb(lines[name].get_color())]
        assert [ring.center for ring in rings] == [centre] * 3 and not any(ring.get_fill() for ring in rings)
        assert [ring.radius for ring in rings] == pytest.approx([0.2 * 44, 0.4 * 44, 0.6 * 44])
    assert len(left.patches) == 6
    labels = ("Radius (0: first bin, 1: last bin)", "Mean log power / that of the first bin")
    assert (right.get_xlabel(), right.get_ylabel()) == labels and figure.get_suptitle() == "Test"


def test_rings_have_edges_at_dc_and_at_the_sides_of_the_plane():
    assert ring_edges((88.5, 108.5), (218, 178)) == pytest.approx([87 / 138, 107 / 138])  # DC is half a pixel off
    to_dc = np.hypot(0.5, 20.5)
    expected = [(radius - 1.5) / 154 for radius in (to_dc, 88.5, 128.5)]  # the centre of 2019, 155 values
    assert ring_edges((88.5, 88.5), (218, 178)) == pytest.approx(expected)


# --- from a picture to a verdict


def test_the_pipeline_shows_both_pictures_their_planes_their_spectra_and_the_verdicts(draw):
    pictures = [picture(0, (32, 32)), picture(1, (32, 32), 2.0)]
    planes = [log_power_plane(gray) for gray in pictures]
    radii = spectrum_radii((32, 32), unit="cycles/pixel")
    spectra = np.array([np.linspace(9, 5, len(radii)), np.linspace(9, 3, len(radii))])
    verdicts = ["called real (-1.2)", "called fake (+3.4)"]
    figure = draw(pipeline_figure, pictures, planes, radii, spectra, verdicts, "by somebody")
    real, real_plane, fake, fake_plane = (
        next(ax for ax in figure.axes if ax.images and np.array_equal(shown(ax), array))
        for pair in zip(pictures, planes) for array in pair
    )  # fmt: skip
    curves = panel(figure, "3  Mean over each ring: the radial spectrum")
    for label, ax, plane, said in ((REAL, real, real_plane, "Photograph"), (FAKE, fake, fake_plane, "Re-synthesis")):
        assert ax.get_ylabel() == said and ax.yaxis.label.get_color() == COLOURS[label][0]
        assert plane.get_xlabel() == verdicts[label] and plane.xaxis.label.get_color() == COLOURS[label][0]
        assert ax.images[0].get_clim() == (0, 255)
        line = curves.lines[label]
        assert line.get_color() == COLOURS[label][0] and line.get_label().startswith(said.lower())
        assert line.get_xdata() == pytest.approx(radii) and line.get_ydata().tolist() == spectra[label].tolist()
    assert real.get_position().y0 > fake.get_position().y0 and real.get_position().x0 < real_plane.get_position().x0
    assert real_plane.images[0].get_clim() == fake_plane.images[0].get_clim()
    assert real.get_title() == "1  Image, grey" and real_plane.get_title() == "2  2-D spectrum; verdict"
    assert curves.get_xlabel() == "Spatial frequency (cycles/pixel)"
    assert list(legend_of(curves.get_legend())) == list(lines_of(curves))
    assert figure._supxlabel.get_text() == "by somebody"
