"""What the tests share: a copy of the repository to run scripts in, the same in this process, and the real data."""

import importlib
import shutil
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from clusters import Cluster
from pictures import write_source

from deepfake_spectra import interrupts
from deepfake_spectra.dataset import FAKE, REAL, Feature, ImageFolder
from deepfake_spectra.files import REPOSITORY
from deepfake_spectra.image_spectra import load_spectra
from deepfake_spectra.sample import build as sample
from deepfake_spectra.settings import run

REAL_DATA = {  # what the README calls a data set, and where it may lie
    "faces_hq": ("data/public_faces", "../shared/data/faces_hq"),
    "faces_hq_paper": ("data/faces_hq_900", "../shared/data/faces_hq_paper"),
    "celeba": ("data/public_celeba", "../shared/data/celeba"),
    "faceforensics": ("data/public_clips", "../shared/data/faceforensics"),
    "faceforensics_c40": ("data/public_clips_c40", "../shared/data/faceforensics_c40"),
    "dfdc": ("data/public_dfdc", "../shared/data/dfdc"),
    "published_features": ("data/published_features", "../shared/data/published_features"),
}


linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="needs file names, links, pipes or signals as Linux has them"
)


class Finished(NamedTuple):
    """How a script ended, and what it printed."""

    status: int
    out: str
    err: str


def real_data(name: str) -> Path:
    """Return the folder of a real data set; skips the test where it is not there."""
    for folder in REAL_DATA[name]:
        if (REPOSITORY / folder).is_dir():
            return (REPOSITORY / folder).resolve()
    pytest.skip(f"needs the images or features {name}, in {REAL_DATA[name][0]}")


def pytest_configure():
    """Have scripts hear the signals that we are told to ignore, as in the background of a shell or under nohup."""
    for number in interrupts.SIGNALS:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def signals(monkeypatch):
    """Leave signals to pytest: a script that is called in its process would have Ctrl-C ignored when it has ended."""
    monkeypatch.setattr(interrupts, "raise_first", lambda: None)
    monkeypatch.setattr(interrupts, "ignore", lambda: None)


@pytest.fixture(scope="session")
def built_sample(tmp_path_factory) -> Path:
    """Return a folder with the built-in sample's `images` and, where ffmpeg is installed, `videos`; not to be changed.

    They are made once for all tests.
    """
    folder = tmp_path_factory.mktemp("built_in_sample")
    sample.build_image_sample(folder / "images")
    if find_spec("imageio_ffmpeg"):
        sample.build_video_sample(folder / "videos")
    return folder


@pytest.fixture(scope="session")
def clone(tmp_path_factory, built_sample) -> Path:
    """Return a copy of the repository, not under git: a script run there cannot touch our data and plots."""
    folder = tmp_path_factory.mktemp("repository") / "clone"
    shutil.copytree(
        REPOSITORY / "deepfake_spectra", folder / "deepfake_spectra", ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in REPOSITORY.glob("*.py"):
        shutil.copy(path, folder)
    shutil.copytree(built_sample, folder / "data/built_in_sample")
    return folder


@pytest.fixture
def call(tmp_path, monkeypatch, capsys, built_sample):
    """Return a function that runs a script in this process, as `python NAME.py WORDS` would in an empty repository.

    `call("train_faces_hq", "--seed", 1)` -> Finished. The repository is `tmp_path / "repository"`: constants and
    caches lie there, and what the sample needs is already made. Faster than a new process by two seconds.
    """
    repository = tmp_path / "repository"
    repository.mkdir()
    for name, module in list(sys.modules.items()):
        if name.startswith("deepfake_spectra.") and hasattr(module, "REPOSITORY"):
            monkeypatch.setattr(module, "REPOSITORY", repository)
    monkeypatch.setattr(sample, "IMAGES_DIR", built_sample / "images")
    monkeypatch.setattr(sample, "VIDEOS_DIR", built_sample / "videos")
    monkeypatch.setattr(sample, "FRAMES_DIR", repository / "data/built_in_sample/deepfake_detection")

    def call(script: str, *words) -> Finished:
        module = importlib.import_module(script)
        for name, other in list(sys.modules.items()):
            if (name == script or name.startswith("deepfake_spectra.")) and hasattr(other, "REPOSITORY"):
                monkeypatch.setattr(other, "REPOSITORY", repository)
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            run(module.main)
        printed = capsys.readouterr()
        return Finished(exit_.value.code, printed.out, printed.err)

    return call


@pytest.fixture
def cluster(tmp_path):
    """Return a dask cluster without workers."""
    (tmp_path / "dask").mkdir()
    cluster = Cluster(tmp_path / "dask")
    yield cluster
    cluster.stop()


@pytest.fixture
def drawn(monkeypatch) -> dict[str, tuple]:
    """Return {figure function of an experiment: arguments of its last call}; they draw nothing, which saves seconds."""
    from deepfake_spectra import evolution_plots, plane_plots, plots, result_plots

    noted = {}
    for module in (plots, plane_plots, result_plots, evolution_plots):
        for name in vars(module):
            if name.endswith("_figure") and name not in ("new_figure", "save_figure", "judged_figure", "image_figure"):
                monkeypatch.setattr(module, name, lambda *arguments, name=name: noted.update({name: arguments}))
    return noted


@pytest.fixture
def train(call, drawn, request):
    """Return a function that runs the script that a test file is named after, in this process and without figures.

    It gives what the script printed. One thread: more cost more than they save on so few images.
    """
    script = request.module.__name__.removeprefix("test_")

    def train(*flags) -> str:
        done = call(script, "--n-threads", 1, *flags)
        assert (done.status, done.err) == (0, "")
        return done.out

    return train


@pytest.fixture
def draw(monkeypatch):
    """Return a function that calls a figure function and returns the Figure, instead of having it written."""
    from deepfake_spectra import plots

    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))

    def draw(function, *arguments):
        figures.clear()
        function(Path("figure.png"), *arguments)
        assert len(set(figures)) == 1  # as PNG and as PDF
        return figures[-1]

    return draw


@pytest.fixture
def two_sources(tmp_path) -> Path:
    """Return a folder with 12 grey PNG pictures, 64x48, in either of `real` and `fake`; the fakes are blurred more."""
    write_source(tmp_path / "data/real", 12)
    write_source(tmp_path / "data/fake", 12, first_seed=100, blur=1.5)
    return tmp_path / "data"


@pytest.fixture
def load(two_sources, tmp_path):
    """Return a function that gives the spectra of the two sources, by default of all images and from one cache."""

    def load(feature=Feature(), n_samples=None, *, folder=two_sources, cache="cache", group_of=None, **options):
        labels = {"real": REAL, "fake": FAKE}
        images = ImageFolder(folder, labels, tmp_path / cache, group_of=group_of, group_name="pair" * bool(group_of))
        return load_spectra(images, feature, n_samples, **options)

    return load
