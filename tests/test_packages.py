"""Packages load when they are used, tell their versions whatever they were installed as, and are named when missing."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest

from deepfake_spectra import opencv
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import REPOSITORY
from deepfake_spectra.packages import REQUIREMENTS, LatePackage, require, requirements_of, versions


def test_a_late_package_is_loaded_once_and_when_something_in_it_is_asked_for():
    loads = []
    package = LatePackage(lambda: loads.append("now") or SimpleNamespace(one=1, two=2))
    assert loads == []
    assert (package.one, package.two, loads) == (1, 2, ["now"])
    assert not hasattr(package, "three")


def test_a_late_package_is_loaded_once_by_threads_that_ask_at_the_same_time():
    loads = []
    package = LatePackage(lambda: time.sleep(0.1) or loads.append("now") or SimpleNamespace(one=1))
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: package.one, range(4))) == [1] * 4
    assert loads == ["now"]


def test_a_package_that_is_not_installed_is_required_in_vain():
    require("numpy", "importlib")
    with pytest.raises(ModuleNotFoundError) as missing:
        require("numpy", "no_such_package")
    assert missing.value.name == "no_such_package" and requirements_of(missing.value) == "requirements.txt"


@pytest.mark.parametrize("script", ["train_faces_hq", "draw_spectrum", "benchmark_spectrum", "extract_video_frames"])
def test_a_script_without_any_package_ends_in_one_sentence(script):
    bare = [sys.executable, "-S", f"{script}.py", "--help"]  # without the folder of packages
    ended = subprocess.run(bare, cwd=REPOSITORY, capture_output=True, text=True)
    said = f"{script}.py: numpy, scipy, tqdm not installed; run: pip install -r requirements.txt\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", said)


def test_a_missing_package_is_sent_to_the_file_that_installs_it():
    for package, file in REQUIREMENTS.items():
        missing = ModuleNotFoundError("of a part of it", name=f"{package}.part")
        assert requirements_of(missing) == file
        assert package.replace("_", "-") + "==" in (REPOSITORY / file).read_text(encoding="utf-8")
    assert requirements_of(ImportError("of no package")) == "requirements.txt"


def test_a_script_can_name_the_file_that_installs_all_it_needs():
    with pytest.raises(ModuleNotFoundError) as missing:
        require("numpy", "no_such_package", requirements="requirements-octave.txt")
    assert requirements_of(missing.value) == "requirements-octave.txt"
    with pytest.raises(ModuleNotFoundError) as missing:
        require("no_such_package")
    assert requirements_of(missing.value) == "requirements.txt"


def test_versions_are_the_modules_own_and_not_those_of_distributions(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: pytest.fail("opencv-python may be opencv-python-headless"))
    found = versions("numpy", "opencv", "nothing")
    assert found["numpy"] == np.__version__ and found["opencv"][0].isdigit()
    assert found["nothing"] is None
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    "why, kind, sentence",
    [
        ("libGL.so.1: cannot open shared object file", ExperimentError, r"libGL\.so\.1.*: apt-get install libgl1"),
        ("DLL load failed while importing cv2", ImportError, "DLL load failed while importing cv2$"),
    ],
)
def test_where_opencv_cannot_be_loaded_it_says_why(tmp_path, monkeypatch, why, kind, sentence):
    (tmp_path / "cv2.py").write_text(f"raise ImportError({why!r})")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    with pytest.raises(kind, match=sentence):
        opencv._load()
