"""How many images a second become a spectrum: the straightforward code, ours, and what no code can beat.

Each way reads the same files, from the file to the radial spectrum, on one thread and on all cores: baseline JPEGs,
progressive ones, PNGs of the same pixels. All ways take turns in one run, so that what else the machine does falls on
each of them; the speed is the median over the turns, the ratios the median of the ratios within a turn. In the same run
the spectra are compared: a fast wrong answer ends it.

    python benchmark_spectrum.py                                    # on images that it makes itself
    python benchmark_spectrum.py --images-dir data/faces_hq

Writes plots/benchmark.md.
"""

from deepfake_spectra.settings import read_settings, run  # isort: skip; hears Ctrl-C

import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import scipy
from tqdm import tqdm

from deepfake_spectra.dataset import Feature
from deepfake_spectra.errors import ExperimentError, UnreadableImage, UsageError
from deepfake_spectra.files import check_outputs, display_path, repository_path, write_text
from deepfake_spectra.image_files import list_images, read_gray
from deepfake_spectra.machine import command_line, machine
from deepfake_spectra.measurement import measure_spectrum
from deepfake_spectra.opencv import cv2
from deepfake_spectra.packages import joblib
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.simulation import one_over_f
from deepfake_spectra.tables import markdown_table

# data
IMAGES_DIR: Path | None = None  # folder of images, searched recursively; none: JPEGs made for the purpose
N_IMAGES: int = 32  # images to read at most; of a folder the first ones
SIDE: int = 1024  # pixels, of the images made
JPEG_QUALITY: int = 75  # of the images made; they then decode as fast as photographs of that quality, 3.5 ms
SEED: int = 0  # of the noise in the images made

# measurement
N_REPEATS: int = 7  # turns of each way
N_THREADS: int = -1  # measured beside one thread; -1: one per core

# output
OUTPUT_DIR: Path = Path("plots")  # for benchmark.md

KINDS = {"JPEG": ".jpg", "progressive JPEG": ".jpg", "PNG": ".png"}  # of the files made
LARGEST_DEVIATION = {"float64": 1e-9, "float32": 1e-3}  # relative; the straightforward running sum itself errs by 1e-10


def make_images(folder, settings):
    """Write pictures with the 1/f amplitude of photographs and little colour; return {kind of file: their paths}."""
    side = settings.side
    paths = {kind: [] for kind in KINDS}
    for number in range(settings.n_images):
        noise = np.random.default_rng((settings.seed, number)).standard_normal((3, side, side), dtype=np.float32)
        luminance, *colour = one_over_f(noise)
        tints = (colour[0], -colour[0] - colour[1], colour[1])
        pixels = np.stack([128 + 50 * luminance + 10 * tint for tint in tints], axis=-1).clip(0, 255).astype(np.uint8)
        for kind, ending in KINDS.items():
            of_jpeg = {cv2.IMWRITE_JPEG_QUALITY: settings.jpeg_quality, cv2.IMWRITE_JPEG_PROGRESSIVE: "prog" in kind}
            options = [int(word) for option in of_jpeg.items() for word in option] if ending == ".jpg" else []
            path = folder / f"{kind} {number:04}{ending}"
            path.write_bytes(cv2.imencode(ending, pixels, options)[1])
            paths[kind].append(path)
    return paths


def find_images(folder, n_images):
    """Return the first images of a folder; an error where one has no spectrum."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; set IMAGES_DIR or --images-dir to a folder of images")
    paths = list_images(folder)[0][:n_images]
    if not paths:
        raise UsageError(f"{folder}: found no image, need at least one")
    for path in paths:
        try:
            measure_spectrum(read_gray(path).gray, Feature())
        except UnreadableImage as reason:
            raise ExperimentError(f"{path}: {reason}; take it out of the folder") from None
    return paths


def straightforward_spectrum(path):
    """Return the spectrum as it is usually written: transform, shift, logarithm, sort by radius, running sum."""
    gray = decode(path)
    plane = np.fft.fftshift(np.fft.fft2(gray))
    log_power = 20 * np.log(np.abs(plane + 1e-8))
    y, x = np.indices(gray.shape)
    radii = np.hypot(x - (gray.shape[1] - 1) / 2, y - (gray.shape[0] - 1) / 2)
    order = np.argsort(radii.flat)
    rings = radii.flat[order].astype(int)
    last_of_ring = np.flatnonzero(np.diff(rings, append=rings[-1] + 1))
    running_sum = np.cumsum(log_power.flat[order])[last_of_ring]
    averages = np.diff(running_sum, prepend=0) / np.diff(last_of_ring, prepend=-1)
    return averages[1:-1]


def our_spectrum(feature, path):
    """Return the spectrum as every experiment here computes it."""
    return measure_spectrum(read_gray(path).gray, feature)


def decode(path):
    """Return the grey image: the least that any code has to do; OpenCV itself opens no file of an undecodable name."""
    return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)


def decode_and_transform(dtype, path):
    """Decode and transform; the result is dropped."""
    scipy.fft.rfft2(decode(path).astype(dtype), workers=1)


WAYS = {
    "straightforward": straightforward_spectrum,
    "ours, float64": partial(our_spectrum, Feature()),
    "ours, float32": partial(our_spectrum, Feature(precision="float32")),
    "limit: decoding + rfft2, float64": partial(decode_and_transform, np.float64),
    "limit: decoding + rfft2, float32": partial(decode_and_transform, np.float32),
    "limit: decoding": decode,
}


def largest_deviations(paths):
    """Return {precision: largest relative deviation of a bin from the straightforward code}; an error if too large."""
    largest = dict.fromkeys(LARGEST_DEVIATION, 0.0)
    for path in paths:
        expected = straightforward_spectrum(path)
        for precision in largest:
            found = WAYS[f"ours, {precision}"](path)
            if found.shape != expected.shape:
                raise ExperimentError(
                    f"{path}: {precision} gives {len(found)} values, the straightforward code {len(expected)}"
                )
            deviation = np.abs(found / expected - 1).max()
            if not deviation <= LARGEST_DEVIATION[precision]:
                raise ExperimentError(
                    f"{path}: {precision} differs from the straightforward code by {deviation:.1e}, "
                    f"expected at most {LARGEST_DEVIATION[precision]:g}"
                )
            largest[precision] = max(largest[precision], deviation)
    return largest


def measure_speeds(paths, thread_counts, n_repeats):
    """Return {(way, n_threads): images a second, (n_repeats,)}; all take turns, each time from another start."""
    contenders = [(name, n_threads) for n_threads in thread_counts for name in WAYS]
    speeds = {contender: np.empty(n_repeats) for contender in contenders}
    for repeat in tqdm(range(n_repeats), unit="turn", disable=None):
        start = repeat % len(contenders)
        for name, n_threads in contenders[start:] + contenders[:start]:
            started = time.perf_counter()
            run_way(WAYS[name], paths, n_threads)
            speeds[name, n_threads][repeat] = len(paths) / (time.perf_counter() - started)
    return speeds


def run_way(way, paths, n_threads):
    """Go through the files as `load_spectra` does, threads over files."""
    for _ in in_threads(way, paths, n_threads):
        pass


def speed_table(speeds_of):
    """Return a Markdown table of {kind: speeds}: median images a second, and ratios with their range over the turns.

    The ratios are to the straightforward code on one thread, and to the limit in the same precision on as many threads.
    """
    body = []
    for kind, speeds in speeds_of.items():
        for (name, n_threads), measured in speeds.items():
            limit = speeds.get((f"limit: decoding + rfft2, {name.removeprefix('ours, ')}", n_threads))
            body.append([
                kind, name, str(n_threads), f"{np.median(measured):.1f}", f"{1000 / np.median(measured):.2f}",
                ratio_text(measured / speeds["straightforward", 1], 1),
                "" if limit is None else ratio_text(limit / measured, 2),
            ])  # fmt: skip
    names = [
        "files",
        "from the file on",
        "threads",
        "images/s",
        "ms/image",
        "speed to straightforward",
        "time to limit",
    ]
    return markdown_table(names, body)


def ratio_text(ratios, n_digits):
    """Return the median of ratios and their range."""
    return "{:.{n}f} ({:.{n}f}–{:.{n}f})".format(np.median(ratios), ratios.min(), ratios.max(), n=n_digits)


def circumstances(paths_of, settings):
    """Return what was measured, and on what."""
    made = f"made by the script (1/f noise in colour, JPEG quality {settings.jpeg_quality})"
    origin = made if settings.images_dir is None else f"from {repository_path(settings.images_dir)}"
    paths = next(iter(paths_of.values()))
    sizes = sorted({"{1}x{0}".format(*decode(path).shape) for path in paths})
    more = f" and {len(sizes) - 3} other sizes" if len(sizes) > 3 else ""
    kilobytes = [f"{kind} {np.mean([path.stat().st_size for path in of_kind]) / 1000:.0f} kB"
                 for kind, of_kind in paths_of.items()]  # fmt: skip
    return (
        f"{len(paths)} images of {', '.join(sizes[:3])}{more}, on average {', '.join(kilobytes)}, {origin}; "
        f"{settings.n_repeats} turns of each way, medians. {machine('numpy', 'scipy', 'opencv', 'joblib', 'ducc0')}."
    )


def main():
    settings = read_settings(__name__)
    table = settings.output_dir / "benchmark.md"
    check_outputs([(table, rb"\A# Speed\n")], [settings.images_dir] if settings.images_dir else [])
    with ExitStack() as stack:
        if settings.images_dir is None:
            paths_of = make_images(Path(stack.enter_context(tempfile.TemporaryDirectory())), settings)
        else:
            paths_of = {"as they are": find_images(settings.images_dir, settings.n_images)}
        paths = [path for of_kind in paths_of.values() for path in of_kind]
        deviations = largest_deviations(paths)  # reads each file once before it counts
        thread_counts = sorted({1, joblib.effective_n_jobs(settings.n_threads)})
        speeds_of = {
            kind: measure_speeds(of_kind, thread_counts, settings.n_repeats) for kind, of_kind in paths_of.items()
        }
        agreement = ", ".join(f"{deviation:.0e} in {precision}" for precision, deviation in deviations.items())
        text = (
            f"{speed_table(speeds_of)}\n\nSpeed: to the straightforward code on one thread, turn by turn. Time: to "
            "decoding + rfft2 in the same precision on as many threads. In brackets lowest and highest. Largest "
            f"relative deviation of a bin from the straightforward code, on these images: {agreement}.\n\n"
            f"{circumstances(paths_of, settings)}\n\n    {command_line()}"
        )
    print(f"{text}\n")
    write_text(table, f"# Speed\n\n{text}\n")
    print(f"written: {display_path(table)}")


if __name__ == "__main__":
    run(main)
