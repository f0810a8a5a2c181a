"""OpenCV as every module here uses it: silent, and one thread each, since we work on several files at once."""
try:
    import cv2
except ImportError as error:
    if ".so" not in str(error):
        raise
    raise SystemExit(  # the package is there; a system library that it links to is not
        f"OpenCV cannot be loaded ({error}); on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0 libxcb1"
    ) from None

cv2.setNumThreads(1)
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a broken file is reported by whoever reads it, in one sentence

__all__ = ["cv2"]
