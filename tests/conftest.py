"""A copy of the repository to run scripts in."""

import shutil
from pathlib import Path

import pytest

from deepfake_spectra.settings import REPOSITORY


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """Return a copy of the repository, not under git: a script run there cannot touch our data and plots."""
    folder = tmp_path_factory.mktemp("repository") / "clone"
    shutil.copytree(REPOSITORY / "deepfake_spectra", folder / "deepfake_spectra")
    for path in REPOSITORY.glob("*.py"):
        shutil.copy(path, folder)
    for sample in Path("data/built_in_sample/images"), Path("data/built_in_sample/videos"):
        if (REPOSITORY / sample).is_dir():  # where it is not there, or out of date, a script makes it in 12 seconds
            shutil.copytree(REPOSITORY / sample, folder / sample)
    return folder
