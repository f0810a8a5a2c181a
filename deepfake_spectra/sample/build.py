"""Real photographs and fakes of them: images and clips for every experiment whose data set is not there.

    build_image_sample(Path("data/built_in_sample/images"))     # <source>/<photograph>_<nn>.png, 128x128, grey
    build_video_sample(Path("data/built_in_sample/videos"))     # real/ and fake/<photograph>_<n>.mp4

The fakes are the photographs themselves, re-synthesised by one of two small encoder-decoders that were trained with an
adversarial loss (`deepfake_spectra.sample.train`), after AutoGAN (Zhang, Karaman, Chang, "Detecting and Simulating
Artifacts in GAN Fake Images", 2019). Content is the same in both classes, so that only the up-sampling can tell them
apart: a transposed convolution, or nearest neighbour and a convolution. Their forward pass below is plain NumPy.

Every source holds the same number of crops, from all photographs. The crops of a photograph are dealt alternately to
photographs_a and photographs_b; the fakes of the first are transposed_convolution, those of the second
nearest_convolution. A photograph is a group: a split that has one on both sides measures the photograph.
"""

import hashlib
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepfake_spectra.settings import REPOSITORY, ExperimentError
from deepfake_spectra.opencv import cv2


class Photograph(NamedTuple):
    """A photograph inside the wheel of a package we need anyway, with what that package's documentation says of it."""

    name: str
    package: str
    author: str
    licence: str
    link: str


FLICKR = "https://www.flickr.com/photos"
SKIMAGE = "https://scikit-image.org/docs/stable/api/skimage.data.html"
PHOTOGRAPHS = (
    Photograph("astronaut", "scikit-image", "NASA", "public domain", "https://flic.kr/p/r9qvLn"),
    Photograph("brick", "scikit-image", "CC0Textures", "CC0", "https://cc0textures.com/view.php?tex=Bricks25"),
    Photograph("camera", "scikit-image", "Lav Varshney", "CC0", f"{SKIMAGE}#skimage.data.camera"),
    Photograph("chelsea", "scikit-image", "Stefan van der Walt", "CC0", f"{SKIMAGE}#skimage.data.chelsea"),
    Photograph("china", "scikit-learn", "danielbuechele", "CC BY 2.0", f"{FLICKR}/danielbuechele/6061409035"),
    Photograph("coffee", "scikit-image", "Rachel Michetti", "CC0", f"{SKIMAGE}#skimage.data.coffee"),
    Photograph(
        "coins",
        "scikit-image",
        "Brooklyn Museum",
        "no known copyright restrictions",
        "https://www.brooklynmuseum.org/opencollection/archives/image/51611",
    ),
    # scikit-learn's README names danielbuechele here too, but the links it gives are vultilion's photograph
    Photograph("flower", "scikit-learn", "vultilion", "CC BY 2.0", f"{FLICKR}/vultilion/6056698931"),
    Photograph(
        "grass",
        "scikit-image",
        "linolafett",
        "CC0",
        "https://www.deviantart.com/linolafett/art/Grass-01-434853879",
    ),
    Photograph("gravel", "scikit-image", "CC0Textures", "CC0", "https://cc0textures.com/view.php?tex=Gravel04"),
    Photograph("rocket", "scikit-image", "SpaceX", "public domain", f"{FLICKR}/spacexphotos/16511594820"),
)
STORED_AS_JPEG = ("china", "flower", "rocket")  # their crops carry an 8x8 grid, which the fakes may lose

REAL_SOURCES = ("photographs_a", "photographs_b")
FAKE_SOURCES = ("transposed_convolution", "nearest_convolution")  # also the names of the generators
LIMIT_SOURCES = ("bicubic_upsampling", "blur")  # no generator made these: what a detector says of them is its limit

CROP_SIDE = 128  # pixels
BLUR_SIGMA = 0.8  # pixels
PADDING = 32  # pixels, more than the 26 that a generator sees to each side of an output pixel
GENERATOR_FOLDER = Path(__file__).parent

CLIP_SIDE = 256  # pixels
CLIP_FRAMES = 40
CLIP_RATE = 25  # frames a second
CLIP_CRF = 23  # H.264 constant rate factor, as in FaceForensics++ c23
SENSOR_NOISE = 2.0  # grey levels, standard deviation
FACE_RADII = (68, 92)  # pixels: re-synthesised within the first, where the centre third lies, untouched past the second

STAMP = "made_by.json"
LEFT_OVER_AFTER = 3600  # seconds without a change, after which a temporary folder is nobody's


def photograph_of(path: Path | str) -> str:
    """Return the photograph, which is the group, that a crop, a clip or a frame of a clip was made from."""
    return Path(path).stem.split("_")[0]


def build_image_sample(folder: Path) -> None:
    """Make the sample's images in `folder`, unless it holds them already.

    Parameters
    ----------
    folder : Path
        Gets one sub-folder for each of `REAL_SOURCES`, `FAKE_SOURCES` and `LIMIT_SOURCES`, and in each the same number
        of 8-bit grey 128x128 PNG. The same bytes on every run on one machine; elsewhere at most one grey level apart.

    Raises
    ------
    ExperimentError
        The folder holds something that was not made here.
    """
    _build(folder, _write_images, ("scikit-image", "scikit-learn"))


def build_video_sample(folder: Path) -> None:
    """Make the sample's clips in `folder`, unless it holds them already.

    Parameters
    ----------
    folder : Path
        Gets `real` and `fake`, with two H.264 clips of 40 grey 256x256 frames from each photograph: a window moves
        along one diagonal of the photograph, and along the other. A fake is the real clip of the same name whose
        middle, where a face would be, is re-synthesised and blended in softly: by the transposed convolution in clip 0,
        by the other in clip 1. The sensor noise, the same in both, comes after: they differ by the generator alone.

    Raises
    ------
    ExperimentError
        The folder holds something that was not made here.
    """
    _build(folder, _write_clips, ("scikit-image", "scikit-learn", "imageio-ffmpeg"))


def load_photograph(name: str) -> np.ndarray:
    """Return a photograph of `PHOTOGRAPHS` as grey (height, width) uint8."""
    if next(photo.package for photo in PHOTOGRAPHS if photo.name == name) == "scikit-learn":
        from sklearn.datasets import load_sample_image

        picture = load_sample_image(f"{name}.jpg")
    else:
        import skimage.data

        picture = getattr(skimage.data, name)()
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def load_generator(path: Path) -> dict[str, np.ndarray]:
    """Return a generator's weights, float32, by layer: `encoder_1.weight`, `encoder_1.bias`, ..."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def resynthesise(gray: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Return a whole photograph as a generator paints it.

    Parameters
    ----------
    gray : ndarray of uint8, (height, width)
        Both sides at least 36. It is padded by reflection, so that the zeros with which the convolutions pad do not
        reach the picture.
    weights : dict
        As `load_generator` gives them.

    Returns
    -------
    ndarray of uint8, (height, width)
    """
    height, width = gray.shape
    padding = [(PADDING, PADDING + -side % 4) for side in gray.shape]  # two halvings: the sides must be multiples of 4
    picture = np.pad(gray, padding, mode="reflect").astype(np.float32) / 127.5 - 1
    painted = generate(picture, weights)[PADDING : PADDING + height, PADDING : PADDING + width]
    return np.rint((np.clip(painted, -1, 1) + 1) * 127.5).astype(np.uint8)


def generate(picture: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Return a generator's output for one float32 picture (height, width), sides multiples of 4, values in -1 ... 1.

    Without clipping, and with zeros beyond the picture's border: the network itself, as it was trained.
    """

    def convolve(features, name, stride=1):
        return _convolve(features, weights[f"{name}.weight"], weights[f"{name}.bias"], stride)

    features = _relu(convolve(picture[None], "encoder_1", 2))
    features = _relu(convolve(features, "encoder_2", 2))
    features = convolve(convolve(features, "bottleneck_in"), "bottleneck_out")
    for block in ("residual_1", "residual_2"):
        features = features + convolve(_relu(convolve(features, f"{block}_in")), f"{block}_out")
    for layer in ("decoder_1", "decoder_2"):
        if f"{layer}_transposed.weight" in weights:
            features = _convolve_transposed(
                features, weights[f"{layer}_transposed.weight"], weights[f"{layer}_transposed.bias"]
            )
        else:
            features = convolve(features.repeat(2, axis=1).repeat(2, axis=2), layer)
        features = _relu(features)
    return convolve(features, "output")[0]


def crops(picture: np.ndarray) -> list[np.ndarray]:
    """Return the 128x128 crops of a picture, an even number of them, without overlap, from a grid in its middle."""
    top, left = (side % CROP_SIDE // 2 for side in picture.shape)
    cut = [
        picture[row : row + CROP_SIDE, column : column + CROP_SIDE]
        for row in range(top, picture.shape[0] - CROP_SIDE + 1, CROP_SIDE)
        for column in range(left, picture.shape[1] - CROP_SIDE + 1, CROP_SIDE)
    ]
    return cut[: len(cut) // 2 * 2]


def upsample_bicubically(gray: np.ndarray) -> np.ndarray:
    """Return a picture halved and doubled again, both bicubically; of an odd side the last line is lost."""
    from PIL import Image  # its cubic filters before it decimates; OpenCV's does not, and would alias

    height, width = (side // 2 for side in gray.shape)
    picture = Image.fromarray(gray[: 2 * height, : 2 * width])
    return np.asarray(
        picture.resize((width, height), Image.Resampling.BICUBIC).resize(picture.size, Image.Resampling.BICUBIC)
    )


def blur(gray: np.ndarray) -> np.ndarray:
    """Return a picture blurred slightly."""
    return cv2.GaussianBlur(gray, (0, 0), BLUR_SIGMA)


def _relu(features):
    """Return features with what is negative set to zero."""
    return np.maximum(features, 0)


def _convolve(features, weight, bias, stride):
    """Convolve (n_in, height, width) with (n_out, n_in, side, side), zeros beyond the border, one tap at a time."""
    side = weight.shape[-1]
    padding = (side - 1) // 2
    height, width = (length // stride for length in features.shape[1:])
    padded = np.pad(features, ((0, 0), (padding, padding), (padding, padding)))
    result = np.repeat(bias, height * width).reshape(-1, height, width)
    for row, column in np.ndindex(side, side):
        tap = padded[:, row : row + stride * height : stride, column : column + stride * width : stride]
        result += np.tensordot(weight[:, :, row, column], tap, 1)
    return result


def _convolve_transposed(features, weight, bias):
    """Up-sample (n_in, height, width) twice by a transposed convolution, (n_in, n_out, 4, 4), stride 2, padding 1."""
    _, height, width = features.shape
    result = np.zeros((len(bias), 2 * height + 2, 2 * width + 2), np.float32)
    for row, column in np.ndindex(4, 4):
        tap = np.tensordot(weight[:, :, row, column].T, features, 1)
        result[:, row : row + 2 * height : 2, column : column + 2 * width : 2] += tap
    return result[:, 1:-1, 1:-1] + bias[:, None, None]


def _write_images(photograph, folder):
    """Write the crops of one photograph, all sources."""
    gray = load_photograph(photograph)
    transposed, nearest = (resynthesise(gray, weights) for weights in _shipped_generators())
    pictures = (gray, gray, transposed, nearest, upsample_bicubically(gray), blur(gray))
    for number, (source, picture) in enumerate(zip(REAL_SOURCES + FAKE_SOURCES + LIMIT_SOURCES, pictures)):
        (folder / source).mkdir(exist_ok=True)
        for index, crop in enumerate(crops(picture)[number % 2 :: 2]):
            _, png = cv2.imencode(".png", crop)
            (folder / source / f"{photograph}_{index:02}.png").write_bytes(png.tobytes())


def _write_clips(photograph, folder):
    """Write the clips of one photograph, real and fake."""
    gray = load_photograph(photograph)
    for number, weights in enumerate(_shipped_generators()):
        for label, painted in ("real", gray), ("fake", resynthesise(gray, weights)):
            (folder / label).mkdir(exist_ok=True)
            _encode(folder / label / f"{photograph}_{number}.mp4", _clip_frames(photograph, gray, painted, number))


def _clip_frames(photograph, gray, painted, number):
    """Yield the frames of a clip: a moving window of the photograph, its middle painted, with sensor noise."""
    rows, columns = (np.linspace(0, side - CLIP_SIDE, CLIP_FRAMES).round().astype(int) for side in gray.shape)
    if number % 2:
        columns = columns[::-1]
    distance = np.abs(np.arange(CLIP_SIDE) - (CLIP_SIDE - 1) / 2)
    inner, outer = FACE_RADII
    mask = np.clip((outer - np.hypot(distance[:, None], distance)) / (outer - inner), 0, 1)
    random = np.random.default_rng([*photograph.encode(), number])  # the same noise in real and fake
    for row, column in zip(rows, columns):
        window = np.s_[row : row + CLIP_SIDE, column : column + CLIP_SIDE]
        frame = gray[window] + mask * (painted[window].astype(float) - gray[window])
        frame += random.normal(0, SENSOR_NOISE, frame.shape)
        yield np.rint(np.clip(frame, 0, 255)).astype(np.uint8)


def _encode(path, frames):
    """Write frames as H.264, on one thread of ffmpeg, since the bytes depend on the number of threads."""
    from imageio_ffmpeg import write_frames

    writer = write_frames(
        path, (CLIP_SIDE, CLIP_SIDE), pix_fmt_in="gray", fps=CLIP_RATE, codec="libx264", quality=None,
        output_params=["-crf", str(CLIP_CRF), "-threads", "1"],
    )  # fmt: skip
    writer.send(None)
    for frame in frames:
        writer.send(frame.tobytes())
    writer.close()


@lru_cache(maxsize=1)
def _shipped_generators():
    """Return the weights of the two generators, in the order of `FAKE_SOURCES`."""
    return tuple(load_generator(GENERATOR_FOLDER / f"{name}.npz") for name in FAKE_SOURCES)


def _build(folder, write_photograph, packages):
    """Fill `folder` with what `write_photograph` writes for every photograph, unless it is there and up to date."""
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    maker = _fingerprint(packages)
    if _is_made_by(maker, folder):
        return
    if folder.exists() and any(folder.iterdir()) and not (folder / STAMP).exists():
        raise ExperimentError(f"{folder}: holds files that were not made here; give the sample a folder of its own")
    with _whole_folder(folder) as partial, threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        names = [photo.name for photo in PHOTOGRAPHS]
        made = pool.map(lambda name: write_photograph(name, partial), names)
        for _ in tqdm(made, f"making {folder.name}", len(names), unit="photograph", disable=None):
            pass
        n_files = sum(1 for _ in partial.glob("*/*"))
        (partial / STAMP).write_text(json.dumps({"maker": maker, "n_files": n_files}) + "\n")


def _fingerprint(packages):
    """Return a hash of all that decides the sample's content: this file, the weights, the packages."""
    digest = hashlib.sha256(json.dumps({name: version(name) for name in packages}).encode())
    for path in (Path(__file__), *(GENERATOR_FOLDER / f"{name}.npz" for name in FAKE_SOURCES)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_made_by(maker, folder):
    """Tell whether `folder` holds a complete sample made by `maker`."""
    if not (folder / STAMP).exists():
        return False
    return json.loads((folder / STAMP).read_text()) == {"maker": maker, "n_files": sum(1 for _ in folder.glob("*/*"))}


@contextmanager
def _whole_folder(folder):
    """Yield a temporary folder beside `folder`, and put it in its place when the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left_over in folder.parent.glob(f".partial-*-{folder.name}"):  # of a run that was killed
        if time.time() - left_over.stat().st_mtime > LEFT_OVER_AFTER:
            shutil.rmtree(left_over, ignore_errors=True)
    partial, replaced = (folder.with_name(f".partial-{what}{os.getpid()}-{folder.name}") for what in ("", "old-"))
    try:
        partial.mkdir()
        yield partial
        if folder.exists():
            folder.rename(replaced)
        partial.rename(folder)
    finally:
        for path in (partial, replaced):
            shutil.rmtree(path, ignore_errors=True)
