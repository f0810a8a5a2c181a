"""What a file says of where it comes from, and what its making left in it: remarks, on which no verdict rests.

Tags are what the file says: easily removed, easily forged. That a remark is missing means nothing.
"""

from collections.abc import Iterator

from deepfake_spectra.file_traits import FileTraits, file_traits
from deepfake_spectra.image_files import GrayImage
from deepfake_spectra.jpeg_grid import GRID_FOUND, grid_strength

LOSSLESS = ("PNG", "BMP", "TIFF")  # formats that have no blocks of their own
SCREEN_SIZES = {  # pixels, the longer side first, of common screens; some are those of frames of films, too
    (1280, 720), (1366, 768), (1440, 900), (1600, 900), (1680, 1050), (1920, 1080), (1920, 1200), (2560, 1080),
    (2560, 1440), (2560, 1600), (2560, 1664), (2880, 1800), (3024, 1964), (3440, 1440), (3456, 2234), (3840, 2160),
    (1334, 750), (1792, 828), (2340, 1080), (2400, 1080), (2436, 1125), (2532, 1170), (2556, 1179), (2622, 1206),
    (2688, 1242), (2778, 1284), (2796, 1290), (2868, 1320), (3088, 1440), (3120, 1440), (3200, 1440),
    (2160, 1620), (2360, 1640), (2388, 1668), (2732, 2048),
}  # fmt: skip


def file_remarks(content: bytes, image: GrayImage) -> tuple[str, ...]:
    """Return what is to be remarked of an image file, in words.

    Parameters
    ----------
    content : bytes
        Of the whole file.
    image : GrayImage
        What `image_files.decode_gray` makes of them.
    """
    traits = file_traits(content)
    return (*_said_by_tags(traits), *_left_by_making(traits, image))


def _said_by_tags(traits: FileTraits) -> Iterator[str]:
    """Yield what a file says of itself."""
    if traits.has_credentials:
        yield "carries Content Credentials (not verified)"
    if traits.source_type:
        yield f"IPTC says {traits.source_type}"
    yield f"camera tags say {traits.camera}" if traits.camera else "no camera tags"
    if traits.software:
        yield f"software tags say {traits.software}"


def _left_by_making(traits: FileTraits, image: GrayImage) -> Iterator[str]:
    """Yield what size and pixels tell."""
    size = sorted((int(image.header["width"]), int(image.header["height"])), reverse=True)
    if tuple(size) in SCREEN_SIZES and not traits.camera:
        yield f"screenshot-like size ({size[0]}x{size[1]})"
    if image.header["format"] in LOSSLESS and (grid_strength(image.gray) or 0) > GRID_FOUND:
        yield f"{image.header['format']} with the 8x8 grid of an earlier JPEG"
