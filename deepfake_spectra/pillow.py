"""Pillow as every module here uses it: it leaves to them what is too large."""

from importlib import import_module

from deepfake_spectra.packages import LatePackage


def _load_image():
    """Return Pillow's `Image`, set up."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # it would warn from 89 million on; `image_files` has the limit that counts
    return Image


Image = LatePackage(_load_image)
ExifTags = LatePackage(lambda: import_module("PIL.ExifTags"))
JpegImagePlugin = LatePackage(lambda: import_module("PIL.JpegImagePlugin"))
