"""What figures show of the built-in sample."""

from collections.abc import Sequence

import numpy as np

from deepfake_spectra.dataset import CLASS_NAMES, SpectrumDataset
from deepfake_spectra.image_files import read_gray
from deepfake_spectra.sample import build
from radial_spectrum import log_power_plane, spectrum_radii

SHOWN_PHOTOGRAPHS = ("astronaut", "chelsea", "china", "coffee", "coins")
PIPELINE_CROP = "chelsea_01.png"


def shown_crops(paths: Sequence[str]) -> dict[str, list[np.ndarray]]:
    """Return {source: the middle grey crop of some photographs}, each real above its fake, of the sample's paths."""
    shown = {}
    for source in (name for pair in zip(build.REAL_SOURCES, build.FAKE_SOURCES) for name in pair):
        shown[source] = []
        for photograph in SHOWN_PHOTOGRAPHS:
            own = sorted(path for path in paths if path.startswith(f"{source}/{photograph}_"))
            shown[source].append(read_gray(build.IMAGES_DIR / own[len(own) // 2]).gray)
    return shown


def credit(names: Sequence[str] = SHOWN_PHOTOGRAPHS) -> str:
    """Return whom photographs, by default those of `shown_crops`, are owed to, in one sentence."""
    return "Photographs: " + "; ".join(
        f"{photo.name}, {photo.author}, {photo.licence}" for photo in build.PHOTOGRAPHS if photo.name in names
    )


def pipeline(dataset: SpectrumDataset, svm: object) -> tuple:
    """Return what `plane_plots.pipeline_figure` draws: a photograph, its re-synthesis, and what is said of them.

    Parameters
    ----------
    dataset : SpectrumDataset
        The sample's.
    svm : estimator
        It is fitted to photographs and transposed convolution, without the photograph that is shown.
    """
    from sklearn.base import clone

    sources = (build.REAL_SOURCES[0], build.FAKE_SOURCES[0])
    pair = [dataset.paths.index(f"{source}/{PIPELINE_CROP}") for source in sources]
    others = (dataset.groups != dataset.groups[pair[0]]) & np.isin(dataset.sources, sources)
    decisions = clone(svm).fit(dataset.spectra[others], dataset.labels[others]).decision_function(dataset.spectra[pair])
    pictures = [read_gray(build.IMAGES_DIR / dataset.paths[row]).gray for row in pair]
    return (
        pictures,
        [log_power_plane(picture) for picture in pictures],
        spectrum_radii(pictures[0].shape, dataset.feature.convention, "cycles/pixel"),
        dataset.spectra[pair],
        [f"called {CLASS_NAMES[int(value > 0)]} ({value:+.1f})" for value in decisions],
        f"{credit([dataset.groups[pair[0]]])}. Verdicts: linear SVM, fake above 0, trained on ten other photographs.",
    )
