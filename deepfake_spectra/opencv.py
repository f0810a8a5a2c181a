"""OpenCV as every module here uses it: silent, and one thread each, since we work on several files at once."""

import os

from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.packages import LatePackage

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read when OpenCV is loaded: silent
os.environ["OPENCV_IPP"] = "disabled"  # Intel's resize gives other pixels on other processors; setUseIPP is by thread


def _load():
    """Return OpenCV, set up."""
    try:
        import cv2
    except ImportError as error:
        if ".so" not in str(error):
            raise
        raise ExperimentError(  # the package is there; a system library that it links to is not
            f"OpenCV cannot be loaded ({error}); on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0 libxcb1, or "
            "put opencv-python-headless in the place of opencv-python"
        ) from None
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # who reads a broken file says so
    return cv2


cv2 = LatePackage(_load)
