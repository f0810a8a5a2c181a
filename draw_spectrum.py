"""Draw, for each image: the image, its 2-D spectrum, its radial spectrum, and the image from its highest frequencies.

The last panel is what the detector has to go by: a photograph leaves edges and noise there, up-convolution a pattern.

    python draw_spectrum.py face.jpg other.png
    python draw_spectrum.py --cut-off 0.7 -- -face.jpg      # a name that starts with a dash stands behind --

Writes plots/drawn/<name>-<digest of its full path>.png, one figure an image, and prints where. An image that cannot be
drawn is named and left out; the exit status is 1 then.
"""

from deepfake_spectra.settings import read_settings, run  # isort: skip; hears Ctrl-C

import os
import sys
from pathlib import Path

import numpy as np
import scipy

from deepfake_spectra.console import signed
from deepfake_spectra.dataset import Feature
from deepfake_spectra.errors import UnreadableImage
from deepfake_spectra.files import FIGURE_MARK, check_outputs, display_path, figure_name, figure_title, printable
from deepfake_spectra.image_files import REMARKS, read_gray
from deepfake_spectra.measurement import measure_spectrum
from radial_spectrum import Convention, log_power_plane

CONVENTION: Convention = "published"  # "centred" has DC at the centre and keeps every ring
CUT_OFF: float = 0.5  # the last panel keeps what lies above: 0 is DC, 0.71 Nyquist along rows and columns, 1 the corner
OUTPUT_DIR: Path = Path("plots/drawn")  # for the figures


def draw_image(path, figure_path, settings):
    """Write the figure of one image."""
    from deepfake_spectra.plots import image_figure  # matplotlib takes half a second, which --help need not wait for

    gray = read_and_warn(path)
    spectrum = measure_spectrum(gray, Feature(settings.convention))
    image_figure(
        figure_path,
        gray,
        log_power_plane(gray),
        spectrum,
        settings.convention,
        highest_frequencies(gray, settings.cut_off),
        settings.cut_off,
        f"{figure_title(path)}, {gray.shape[1]} × {gray.shape[0]} pixels",
    )


def read_and_warn(path):
    """Return a grey image, and say so on stderr if parts of it are damaged."""
    image = read_gray(path)
    if "damaged" in image.remarks:
        print(signed(f"{printable(str(path))}: {REMARKS['damaged']}"), file=sys.stderr)
    return image.gray


def highest_frequencies(gray, cut_off):
    """Return the image (height, width) without the frequencies below `cut_off` of the way from DC to the corner."""
    height, width = gray.shape
    transform = scipy.fft.rfft2(gray)
    rows, columns = scipy.fft.fftfreq(height, 1 / height), scipy.fft.rfftfreq(width, 1 / width)
    transform[np.hypot(rows[:, None], columns) < cut_off * np.hypot(height, width) / 2] = 0
    return scipy.fft.irfft2(transform, gray.shape)


def main():
    settings = read_settings(__name__, positional=("images", "image files to draw"))
    figures = {image: settings.output_dir / figure_name(Path(image)) for image in settings.images}
    files = map(Path, filter(os.path.isfile, figures))  # a name too long is no error there
    check_outputs([(path, FIGURE_MARK) for path in dict.fromkeys(figures.values())], files)
    n_left_out = 0
    for image, path in figures.items():
        try:
            draw_image(Path(image), path, settings)
            print(display_path(path), flush=True)
        except UnreadableImage as reason:
            n_left_out += 1
            print(signed(f"{printable(image)}: {reason}; not drawn"), file=sys.stderr)
    return 1 if n_left_out else 0


if __name__ == "__main__":
    run(main)
