"""Real photographs and fakes of them: images and clips for every experiment whose data set is not there.

    build_image_sample(Path("data/built_in_sample/images"))     # <source>/<photograph>_<nn>.png, 128x128, grey
    build_video_sample(Path("data/built_in_sample/videos"))     # real/ and fake/<photograph>_<n>.mp4

The fakes are the photographs themselves, re-synthesised by one of two small encoder-decoders that were trained with an
adversarial loss (`deepfake_spectra.sample.train`), after AutoGAN (Zhang, Karaman, Chang, "Detecting and Simulating
Artifacts in GAN Fake Images", 2019). Content is the same in both classes, so that only the up-sampling can tell them
apart: a transposed convolution, or nearest neighbour and a convolution.

Every source holds the same number of crops, from all photographs. The crops of a photograph are dealt alternately to
photographs_a and photographs_b; the fakes of the first are transposed_convolution, those of the second
nearest_convolution. A photograph is a group: a split that has one on both sides measures the photograph.
"""

import hashlib
import shutil
import tempfile
import time
from contextlib import closing, suppress
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepfake_spectra.alterations import alter
from deepfake_spectra.clips import write_clip
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, FAKE, REAL, ImageFolder
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import REPOSITORY, display_path
from deepfake_spectra.opencv import cv2
from deepfake_spectra.packages import require
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.pillow import Image
from deepfake_spectra.sample.generators import load_generator, resynthesise


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
ALTERED_SOURCES = ("bicubic_upsampling", "blur")  # photographs: no generator made these, whatever a detector says

CROP_SIDE = 128  # pixels
BLUR_SIGMA = 0.8  # pixels

CLIP_SIDE = 256  # pixels
CLIP_FRAMES = 40
CLIP_RATE = 25  # frames a second
CLIP_CRF = 23  # H.264 constant rate factor, as in FaceForensics++ c23
SENSOR_NOISE = 2.0  # grey levels, standard deviation
FACE_RADII = (68, 92)  # pixels: re-synthesised within the first, where the centre third lies, untouched past the second

IMAGES_DIR = REPOSITORY / "data/built_in_sample/images"
VIDEOS_DIR = REPOSITORY / "data/built_in_sample/videos"
FRAMES_DIR = REPOSITORY / "data/built_in_sample/deepfake_detection"  # the crops of the clips
IMAGES_SHA256 = "799d09dc9aa1bf2555d24bf08d57eb36d75b222b6c5391bc25390081e193d73a"  # of all pixels
CLIPS_SHA256 = "45d876f43219f77db02c0d523fecc20b2f0693e5d7b7a933600d7fd65189447a"  # of all frames, before H.264
DIGEST_FILE = "pixels.sha256"
LEFT_OVER_AFTER = 3600  # seconds, many times what a build takes


def photograph_of(path: Path | str) -> str:
    """Return the photograph, which is the group, that a crop, a clip or a frame of a clip was made from."""
    return Path(path).stem.split("_")[0]


def sample_images(experiment: str, with_altered: bool = False) -> ImageFolder:
    """Return the sample's images, made first if need be; if asked, also those that no generator made, as fakes."""
    build_image_sample(IMAGES_DIR)
    fakes = FAKE_SOURCES + ALTERED_SOURCES * with_altered
    return ImageFolder(
        IMAGES_DIR,
        dict.fromkeys(REAL_SOURCES, REAL) | dict.fromkeys(fakes, FAKE),
        sample_cache(experiment),
        BUILT_IN_SAMPLE,
        photograph_of,
        "photograph",
    )


def sample_cache(experiment: str) -> Path:
    """Return the folder for the sample's spectra."""
    return REPOSITORY / "data/spectra" / f"built_in_sample_{experiment}"


def build_image_sample(folder: Path) -> None:
    """Make the sample's images in `folder`, unless it holds them already.

    Parameters
    ----------
    folder : Path
        Gets one sub-folder for each of `REAL_SOURCES`, `FAKE_SOURCES` and `ALTERED_SOURCES`, and in each the same
        number of 8-bit grey 128x128 PNG, of the same pixels on every processor. A folder that exists is taken as it is:
        it was put there whole. A sentence is printed where its pixels are not those of `IMAGES_SHA256`.
    """
    _build(folder, _write_images)
    _tell_if_other(folder, IMAGES_SHA256)


def build_video_sample(folder: Path) -> None:
    """Make the sample's clips in `folder`, unless it holds them already.

    Parameters
    ----------
    folder : Path
        Gets `real` and `fake`, with two H.264 clips of 40 grey 256x256 frames from each photograph: a window moves
        along one diagonal of the photograph, and along the other. A fake is the real clip of the same name whose
        middle, where a face would be, is re-synthesised and blended in softly: by the transposed convolution in clip 0,
        by the other in clip 1. The sensor noise, the same in both, comes after: they differ by the generator alone.
        The same frames on every processor, and by one build of ffmpeg the same bytes. A folder that exists is taken as
        it is: it was put there whole. A sentence is printed where its frames are not those of `CLIPS_SHA256`.
    """
    if not folder.is_dir():
        require("imageio_ffmpeg")
    _build(folder, _write_clips)
    _tell_if_other(folder, CLIPS_SHA256)


def load_photograph(name: str) -> np.ndarray:
    """Return a photograph of `PHOTOGRAPHS` as grey (height, width) uint8."""
    if next(photo.package for photo in PHOTOGRAPHS if photo.name == name) == "scikit-learn":
        from sklearn.datasets import load_sample_image

        picture = load_sample_image(f"{name}.jpg")
    else:
        import skimage.data

        picture = getattr(skimage.data, name)()
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


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
    height, width = (side // 2 for side in gray.shape)
    picture = Image.fromarray(gray[: 2 * height, : 2 * width])  # OpenCV's cubic has no filter before it and would alias
    return np.asarray(
        picture.resize((width, height), Image.Resampling.BICUBIC).resize(picture.size, Image.Resampling.BICUBIC)
    )


def altered(gray: np.ndarray) -> dict[str, np.ndarray]:
    """Return a picture as each of `ALTERED_SOURCES` has it: up-sampled, blurred slightly."""
    pictures = (upsample_bicubically(gray), alter(gray, f"blur {BLUR_SIGMA}"))
    return dict(zip(ALTERED_SOURCES, pictures, strict=True))


def _write_images(photograph, folder):
    """Write the crops of one photograph, all sources; return the SHA-256 of their pixels."""
    digest = hashlib.sha256()
    gray, painted = _paint(photograph)
    pictures = dict.fromkeys(REAL_SOURCES, gray) | painted | altered(gray)
    for number, (source, picture) in enumerate(pictures.items()):
        (folder / source).mkdir(exist_ok=True)
        for index, crop in enumerate(crops(picture)[number % 2 :: 2]):
            _, png = cv2.imencode(".png", crop)
            (folder / source / f"{photograph}_{index:02}.png").write_bytes(png.tobytes())
            digest.update(crop.tobytes())
    return digest.hexdigest()


def _write_clips(photograph, folder):
    """Write the clips of one photograph, real and fake; return the SHA-256 of their frames."""
    digest = hashlib.sha256()
    gray, painted = _paint(photograph)
    for number, generator in enumerate(FAKE_SOURCES):
        for label, picture in ("real", gray), ("fake", painted[generator]):
            (folder / label).mkdir(exist_ok=True)
            frames = list(_clip_frames(photograph, gray, picture, number))
            _encode(folder / label / f"{photograph}_{number}.mp4", frames)
            digest.update(np.stack(frames).tobytes())
    return digest.hexdigest()


def _clip_frames(photograph, gray, painted, number):
    """Yield the frames of a clip: a moving window of the photograph, its middle painted, with sensor noise."""
    rows, columns = (np.linspace(0, side - CLIP_SIDE, CLIP_FRAMES).round().astype(int) for side in gray.shape)
    if number % 2:
        columns = columns[::-1]
    square = (np.arange(CLIP_SIDE) - (CLIP_SIDE - 1) / 2) ** 2
    inner, outer = FACE_RADII
    distance = np.sqrt(square[:, None] + square)  # one value everywhere, as `hypot` need not be
    mask = np.clip((outer - distance) / (outer - inner), 0, 1)
    random = np.random.default_rng([*photograph.encode(), number])  # the same noise in real and fake
    for row, column in zip(rows, columns):
        window = np.s_[row : row + CLIP_SIDE, column : column + CLIP_SIDE]
        frame = gray[window] + mask * (painted[window].astype(float) - gray[window])
        frame += random.normal(0, SENSOR_NOISE, frame.shape)
        yield np.rint(np.clip(frame, 0, 255)).astype(np.uint8)


def _encode(path, frames):
    """Write frames as H.264, whole."""
    write_clip(path, frames, CLIP_CRF, CLIP_RATE)
    if cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) != CLIP_FRAMES:
        raise ExperimentError(f"built-in sample, {path.name}: ffmpeg wrote no whole file; is the disk full?")


@cache  # images and clips need the same
def _paint(photograph):
    """Return a photograph, and {generator: what it makes of it}."""
    gray = load_photograph(photograph)
    return gray, {name: resynthesise(gray, load_generator(name)) for name in FAKE_SOURCES}


def _build(folder, write_photograph):
    """Fill `folder` with what `write_photograph` writes of every photograph, and the SHA-256 of all its pixels.

    A folder that is there stays as it is.
    """
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    _remove_left_overs(folder)
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    names = [photo.name for photo in PHOTOGRAPHS]
    try:
        with tempfile.TemporaryDirectory(prefix=f".partial-{folder.name}-", dir=folder.parent) as temporary:
            whole = Path(temporary, folder.name)
            whole.mkdir()
            with threadpool_limits(1), closing(in_threads(partial(write_photograph, folder=whole), names, -1)) as made:
                digests = [*tqdm(made, f"making {folder.name}", len(names), unit="photograph", disable=None)]
            (whole / DIGEST_FILE).write_text(hashlib.sha256("".join(digests).encode()).hexdigest())
            whole.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # else another run was faster, and made the same
            error.filename = str(folder)  # a full disk names none, and the temporary name means nothing to anybody
            raise


def _tell_if_other(folder, expected):
    """Print a sentence where a folder does not hold the pixels that the numbers in the docs were measured on."""
    file = folder / DIGEST_FILE
    if not file.is_file() or file.read_bytes() != expected.encode():
        print(
            f"{display_path(folder)}: its pixels are not those of the numbers in the README, since another version of "
            "this code or of its packages made them; expect slightly other numbers, or remove it to have it made anew"
        )


def _remove_left_overs(folder):
    """Remove what killed builds of `folder` left beside it; younger ones may be another run's that is still at work."""
    for left_over in folder.parent.glob(f".partial-{folder.name}-*"):
        with suppress(FileNotFoundError):  # its own run has ended
            if time.time() - left_over.stat().st_mtime > LEFT_OVER_AFTER:
                shutil.rmtree(left_over, ignore_errors=True)
