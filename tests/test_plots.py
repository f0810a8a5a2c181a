"""Figures show what their legends and axes say: read from the lines and texts of the figure, not from its pixels."""

import warnings

import numpy as np
import pytest
from datasets import make_dataset, make_prediction
from figures import legend_of, lines_of, looks, panel, stepped_dataset
from matplotlib.cbook import is_math_text
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from pictures import picture

from deepfake_spectra.alterations import alter, altered_shape
from deepfake_spectra.dataset import FAKE, REAL, Feature
from deepfake_spectra.plots import (
    crops_figure,
    frequency_axis,
    image_figure,
    judged_figure,
    plot_mean_spectra,
    roc_figure,
    save_figure,
    spectrum_figure,
    spectrum_label,
)
from radial_spectrum import centre_third, log_power_plane, radial_spectrum, spectrum_radii

FREQUENCY, RADIUS = "Spatial frequency (cycles/pixel)", "Radius (0: first bin, 1: last bin)"
WHOLE, HIGHEST = "Mean ± 1 standard deviation", "The highest quarter"


# --- mean spectra


def test_each_line_is_the_mean_of_the_source_that_the_legend_names(draw):
    levels = {"fake_a": 50.0, "celeb": 10.0, "real_b": 20.0, "fake/gan": 60.0}
    source_of = {  # reals first
        "real: celeb (n = 4)": "celeb", "real_b (n = 4)": "real_b",
        "fake_a (n = 4)": "fake_a", "fake/gan (n = 4)": "fake/gan",
    }  # fmt: skip
    figure = draw(spectrum_figure, stepped_dataset(levels), np.zeros(8), "Linear SVM", "Test")
    handles = legend_of(*figure.legends)
    assert list(handles) == list(source_of)
    for title, first in ((WHOLE, 0), (HIGHEST, 6)):
        ax = panel(figure, title)
        for (label, line), band in zip(lines_of(ax).items(), ax.collections, strict=True):
            mean = levels[source_of[label]] + np.arange(first, 8)
            assert line.get_ydata() == pytest.approx(mean)
            assert line.get_xdata() == pytest.approx(np.arange(first, 8) / 7)
            assert looks(line) == looks(handles[label])
            edges = band.get_paths()[0].vertices[:, 1]
            assert (edges.min(), edges.max()) == pytest.approx((mean[0] - np.sqrt(2.5), mean[-1] + np.sqrt(2.5)))
            assert band.get_facecolor()[0, :3] == pytest.approx(to_rgb(line.get_color()))
        assert list(lines_of(ax)) == list(source_of)


def test_reals_are_unbroken_fakes_broken_lines_and_no_two_look_alike_in_grey_print():
    dataset = stepped_dataset({f"{kind}_{number}": 0 for kind in ("real", "fake") for number in range(4)})
    lines = lines_of(plot_mean_spectra(Figure().add_subplot(), np.arange(8), dataset))
    for label, line in lines.items():
        is_fake = label.startswith("fake")
        assert line.is_dashed() == is_fake
        red, *others = to_rgb(line.get_color())  # orange to purple, against green to blue
        assert red > max(others) if is_fake else red < min(others)
    assert len({looks(line)[1] for line in lines.values()}) == 8


def test_more_sources_than_colours_still_look_different():
    dataset = stepped_dataset({f"{kind}_{number}": 0 for kind in ("real", "fake") for number in range(12)})
    lines = lines_of(plot_mean_spectra(Figure().add_subplot(), np.arange(8), dataset))
    assert len({looks(line) for line in lines.values()}) == 24


def test_a_folders_name_is_no_formula_stands_on_one_line_and_needs_no_font(draw, tmp_path):
    dataset = stepped_dataset({"a$b$": 0, "fake\n$x": 1, "fake_\udcff": 2, "脸": 3})
    figure = draw(spectrum_figure, dataset, np.zeros(8), "Linear SVM", "$\\no formula$ 脸")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    texts = list(legend_of(*figure.legends))
    assert not any(map(is_math_text, texts))
    assert [text.replace(r"\$", "$") for text in texts] == [
        "real: a$b$ (n = 4)", "real: 脸 (n = 4)", r"fake\n$x (n = 4)", r"fake_\udcff (n = 4)",
    ]  # fmt: skip


def test_weights_are_drawn_with_their_sign(draw):
    weights = np.array([0, 1, -2, 3, -4, 5, -6, 7.0])
    figure = draw(spectrum_figure, stepped_dataset({"real": 0, "fake": 1}), weights, "Linear SVM", "Test")
    ax = panel(figure, "Linear SVM on all rows: weight × standard deviation (above 0: speaks for fake)")
    zero, line = ax.lines
    assert set(zero.get_ydata()) == {0} and line.get_ydata().tolist() == weights.tolist()
    assert line.get_xdata() == pytest.approx(np.arange(8) / 7) and not ax.yaxis_inverted()
    assert figure.get_suptitle() == "Test"


@pytest.mark.parametrize(
    "first, label", [(1, "Mean log power / that of the first bin"), (2, "Mean log power, 20 ln|F|")]
)
def test_the_axis_of_spectra_says_whether_they_were_divided_by_their_first_value(draw, first, label):
    dataset = stepped_dataset({"real": 0, "fake": 1})
    dataset.spectra[:, 0] = first
    dataset.spectra[0, 0] = 1
    assert spectrum_label(dataset.spectra) == label
    figure = draw(spectrum_figure, dataset, np.zeros(8), "Linear SVM", "Test")
    assert panel(figure, WHOLE).get_ylabel() == label


def test_crops_stand_in_the_row_of_their_source_beside_the_mean_spectra(draw):
    crops = {
        "photographs": [np.full((9, 12), level, np.uint8) for level in (10, 20, 30)],
        "my_gan": [np.full((9, 12), level, np.uint8) for level in (110, 120, 130)],
    }
    dataset = stepped_dataset({"photographs": 5, "my_fake": 9})
    figure = draw(crops_figure, crops, dataset, "by nobody")
    *pictures, spectra = figure.axes
    assert [int(ax.images[0].get_array()[0, 0]) for ax in pictures] == [10, 20, 30, 110, 120, 130]
    assert {ax.images[0].get_clim() for ax in pictures} == {(0, 255)}  # no picture is brightened
    assert [ax.get_ylabel() for ax in pictures] == ["photographs", "", "", "my\ngan", "", ""]
    tops = [ax.get_position().y0 for ax in pictures]
    assert min(tops[:3]) > max(tops[3:]) and len(set(np.round(tops, 3))) == 2
    lines = lines_of(spectra)
    assert lines["real: photographs (n = 4)"].get_ydata() == pytest.approx(5 + np.arange(8))
    assert lines["fake: my_fake (n = 4)"].get_ydata() == pytest.approx(9 + np.arange(8))
    assert list(legend_of(spectra.get_legend())) == list(lines)
    assert figure._supxlabel.get_text() == "by nobody"


# --- the axis of frequencies


def axis_of(header, n_bins, second_header=None, **feature):
    """Return the frequency axis of a data set whose images have this header, or every second one the second."""
    dataset = make_dataset(4, n_bins=n_bins, header=header)
    if second_header:
        dataset.headers[::2] = second_header
    dataset.feature = Feature(n_bins=n_bins, **feature)
    return frequency_axis(dataset)


@pytest.mark.parametrize("convention", ["published", "centred"])
def test_the_axis_of_squares_of_one_size_is_in_cycles_per_pixel(convention):
    radii = spectrum_radii((64, 64), convention, "cycles/pixel")
    x, label = axis_of((64, 64, "PNG", 0, ""), len(radii), convention=convention)
    assert label == FREQUENCY and x == pytest.approx(radii)
    resampled, _ = axis_of((64, 64, "PNG", 0, ""), 20, convention=convention)
    assert len(resampled) == 20 and resampled[[0, -1]] == pytest.approx(radii[[0, -1]])


@pytest.mark.parametrize("side", [64, 65])
def test_the_axis_of_a_crop_is_that_of_what_was_cut_out(side):
    cut = centre_third(np.zeros((side, side)))
    x, label = axis_of((side, side, "PNG", 0, ""), 12, crop="centre_third")
    expected = spectrum_radii(cut.shape, unit="cycles/pixel")
    assert label == FREQUENCY and x[[0, -1]] == pytest.approx(expected[[0, -1]])


@pytest.mark.parametrize("steps", ["crop 48x48", "resize 96x96", "jpeg 50", "blur 0.5", "crop 40x60 + resize 30x30"])
def test_images_altered_to_a_known_square_keep_cycles_per_pixel(steps):
    x, label = axis_of((64, 64, "PNG", 0, ""), 12, alteration=steps)
    expected = spectrum_radii(alter(picture(shape=(64, 64)), steps).shape, unit="cycles/pixel")
    assert label == FREQUENCY and x[[0, -1]] == pytest.approx(expected[[0, -1]])


def test_images_of_several_sizes_have_one_axis_once_they_were_scaled_to_one():
    sizes = (64, 48, "PNG", 0, ""), (80, 90, "PNG", 0, "")
    x, label = axis_of(sizes[0], 12, sizes[1], alteration="resize 32x32")
    assert label == FREQUENCY
    assert x[[0, -1]] == pytest.approx(spectrum_radii((32, 32), unit="cycles/pixel")[[0, -1]])


@pytest.mark.parametrize(
    "header, second, alteration",
    [
        ((64, 48, "PNG", 0, ""), None, ""),
        ((64, 64, "PNG", 0, ""), (32, 32, "PNG", 0, ""), ""),
        ((64, 64, "PNG", 0, ""), None, "crop 48x32"),
        ((64, 64, "PNG", 0, ""), None, "resize 32x48"),
        ((64, 32, "JPEG", 90, ""), None, "crop 32x20"),
    ],
)
def test_where_a_bin_has_no_one_frequency_the_axis_is_a_share_of_the_radius(header, second, alteration):
    x, label = axis_of(header, 12, second, alteration=alteration)
    assert label == RADIUS and x == pytest.approx(np.linspace(0, 1, 12))


def test_features_without_files_have_no_frequency():
    dataset = make_dataset(4, n_bins=12)
    dataset.headers = None
    assert frequency_axis(dataset)[1] == RADIUS
    dataset.headers = np.zeros(len(dataset), [("spectrum_length", "i4")])
    assert frequency_axis(dataset)[1] == RADIUS


@pytest.mark.parametrize("shape", [(48, 64), (31, 20)])
@pytest.mark.parametrize(
    "steps", ["", "crop 20x31", "crop 20x10", "resize 17x90", "jpeg 50", "blur 2", "resize 80x70 + jpeg 9 + crop 9x60"]
)
def test_the_shape_of_an_altered_image_is_known_beforehand(shape, steps):
    assert altered_shape(shape, steps) == alter(picture(shape=shape), steps).shape


# --- ROC curves


def test_a_perfect_detector_finds_all_fakes_before_it_calls_a_real_one_fake(draw):
    labels, right = [REAL, REAL, REAL, FAKE, FAKE], [-3, -2, -1, 1, 2]
    curves = {
        "perfect": [make_prediction(labels, right)],
        "always wrong": [make_prediction(labels, -np.array(right))],
        "three of four": [make_prediction([REAL, FAKE], [-1, 3]), make_prediction([REAL, FAKE], [1, 0])],
    }
    figure = draw(roc_figure, {"Frames": curves}, "Test")
    ax = panel(figure, "Frames")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Reals called fake", "Fakes called fake")
    points = {name: set(map(tuple, line.get_xydata().tolist())) for name, line in lines_of(ax).items()}
    assert points["perfect"] >= {(0, 0), (0, 1), (1, 1)} and points["always wrong"] >= {(0, 0), (1, 0), (1, 1)}
    assert (1, 0) not in points["perfect"] and (0, 1) not in points["always wrong"]
    assert points["three of four"] == {(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)}  # a fake, a real, a fake, a real
    handles = legend_of(*figure.legends)
    assert {name: looks(line) for name, line in lines_of(ax).items()} == {name: looks(h) for name, h in handles.items()}


def test_each_panel_of_curves_stands_under_its_own_title_and_no_two_curves_look_alike(draw):
    perfect, wrong = make_prediction([REAL, FAKE], [-1, 1]), make_prediction([REAL, FAKE], [1, -1])
    names = [f"classifier {number}, by block of 20 rows" for number in range(8)]
    panels = {"Frames": dict.fromkeys(names, [perfect]), "Videos": dict.fromkeys(names, [wrong])}
    figure = draw(roc_figure, panels, "Test")
    for title, corner in (("Frames", [0, 1]), ("Videos", [1, 0])):
        lines = lines_of(panel(figure, title))
        assert all(corner in line.get_xydata().tolist() for line in lines.values())
        assert len({looks(line) for line in lines.values()}) == 8
    assert list(legend_of(*figure.legends)) == names


# --- one file, judged or drawn


def test_a_judged_spectrum_lies_over_the_bands_and_marks_of_what_decided(draw):
    x = np.linspace(0, 0.7, 6)
    bands = {REAL: np.arange(3)[:, None] + np.zeros(6), FAKE: 10 + np.arange(3)[:, None] + np.zeros(6)}
    spectrum = np.arange(6) / 10
    evidence = np.array([0.1, 4.0, -0.2, -3.0, 2.0, 0.0])  # 4 and 3 make up more than half of 9.3
    figure = draw(judged_figure, x, ("radius", "power"), bands, spectrum, evidence, "$a$.png: fake")
    over, under = figure.axes
    lines = lines_of(over)
    for name, median, band in zip(("real", "fake"), (1, 11), over.collections, strict=True):
        line = lines[f"{name} training images: median and 5 to 95 %"]
        assert set(line.get_ydata()) == {median} and line.is_dashed() is (name == "fake")
        edges = band.get_paths()[0].vertices[:, 1]
        assert (edges.min(), edges.max()) == (median - 1, median + 1)
        assert band.get_facecolor()[0, :3] == pytest.approx(to_rgb(line.get_color()))
        assert lines[f"decided, for {name}"].get_color() == line.get_color()
    assert lines["this file"].get_ydata().tolist() == spectrum.tolist()
    assert lines["decided, for fake"].get_xydata().tolist() == [[x[1], spectrum[1]]]
    assert lines["decided, for real"].get_xydata().tolist() == [[x[3], spectrum[3]]]
    assert list(legend_of(over.get_legend())) == list(lines)
    for_fake, for_real, zero, curve = under.lines
    assert for_fake.get_xydata().tolist() == [[x[1], 4]] and for_real.get_xydata().tolist() == [[x[3], -3]]
    assert curve.get_ydata().tolist() == evidence.tolist() and set(zero.get_ydata()) == {0}
    assert under.get_title() == "Contribution to the decision value (above 0: speaks for fake)"
    assert (under.get_xlabel(), over.get_ylabel(), under.get_ylabel()) == ("radius", "power", "Contribution")
    assert not under.yaxis_inverted() and figure.get_suptitle() == "$a$.png: fake"


def drawn_image(draw, shape, convention="published", cut_off=0.5):
    """Return the figure of a picture, and the panels that it was drawn from."""
    gray = picture(3, shape)
    planes = gray, log_power_plane(gray), radial_spectrum(gray, convention), convention, -2.0 * gray
    return draw(image_figure, *planes, cut_off, "$x$.png"), planes


@pytest.mark.parametrize("shape, convention", [((40, 40), "published"), ((41, 41), "centred")])
def test_a_square_image_has_its_spectrum_over_cycles_per_pixel(draw, shape, convention):
    figure, (_, _, spectrum, _, _) = drawn_image(draw, shape, convention)
    ax = panel(figure, "Radial spectrum (dotted: cut-off)")
    line, cut = ax.lines
    assert line.get_ydata() == pytest.approx(spectrum) and ax.get_xlabel() == FREQUENCY
    assert line.get_xdata() == pytest.approx(spectrum_radii(shape, convention, "cycles/pixel"))
    assert cut.get_xdata() == pytest.approx([np.sqrt(0.5) / 2] * 2)  # half-way to the corner
    assert figure.get_suptitle() == "$x$.png"


def test_an_oblong_image_has_its_spectrum_over_the_radius_in_samples(draw):
    figure, _ = drawn_image(draw, (40, 30), cut_off=0.6)
    ax = panel(figure, "Radial spectrum (dotted: cut-off)")
    line, cut = ax.lines
    assert line.get_xdata() == pytest.approx(spectrum_radii((40, 30)))
    assert ax.get_xlabel() == "Radius in the 2-D spectrum (samples)" and cut.get_xdata() == pytest.approx([15, 15])


@pytest.mark.parametrize("shape", [(40, 30), (41, 33), (40, 41)])
def test_the_circle_of_the_cut_off_is_centred_on_dc(draw, shape):
    figure, (gray, log_power, _, _, highest) = drawn_image(draw, shape, cut_off=0.6)
    ax = panel(figure, "2-D spectrum, DC in the middle")
    [circle] = ax.patches
    row, column = np.unravel_index(log_power.argmax(), shape)  # a picture's mean is its largest frequency
    assert circle.center == (column, row)
    assert circle.radius == pytest.approx(0.6 * np.hypot(*shape) / 2) and not circle.get_fill()
    shown = {"Image": gray, ax.get_title(): log_power, "Image from its highest frequencies": np.abs(highest)}
    for title, plane in shown.items():
        [image] = panel(figure, title).images
        assert image.get_array().data == pytest.approx(plane)
        assert image.get_extent() == [-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5]  # pixel centres at whole numbers
    assert panel(figure, "Image").images[0].get_clim() == (0, 255)


def test_a_huge_image_is_averaged_over_squares_and_keeps_its_axes(draw):
    gray = np.repeat(np.arange(4010, dtype=np.uint8)[None], 9, axis=0)
    plane = gray.astype(float)
    figure = draw(image_figure, gray, plane, radial_spectrum(gray), "published", plane, 0.5, "")
    [image] = panel(figure, "Image").images
    assert image.get_array().shape == (4, 2005) and image.get_array()[0, :2].tolist() == [0.5, 2.5]
    assert image.get_extent() == [-0.5, 4009.5, 8.5, -0.5]


def test_a_figure_that_cannot_be_written_leaves_the_older_one(tmp_path):
    (tmp_path / "figure.png").write_text("older")
    (broken := Figure()).add_subplot().set_title("$\\no$")
    with pytest.raises(ValueError):
        save_figure(broken, tmp_path / "figure.png")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]


@pytest.mark.parametrize("ending, n_bytes", [("png", 1000), ("pdf", 1000), ("pdf", 17500)])
def test_a_figure_on_a_full_disk_is_an_error_of_the_system_that_names_it(tmp_path, ending, n_bytes):
    resource = pytest.importorskip("resource")
    path = tmp_path / f"figure.{ending}"
    path.write_text("older")
    (figure := Figure()).add_subplot().plot(np.random.default_rng(0).random(2000))  # more than a buffer holds
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))  # no file may grow beyond it
    try:
        with pytest.raises(OSError) as error:
            save_figure(figure, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.filename == str(path) and error.value.errno
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]
