"""Frames of videos for tests: as a data set, as crops with their index, and as the authors' feature files."""

import pickle
from pathlib import Path

import numpy as np
from pictures import by_opencv, picture

from deepfake_spectra.crop_index import CropRow, write_index
from deepfake_spectra.dataset import FAKE, REAL, Feature, SpectrumDataset
from deepfake_spectra.video_files import identities


def make_frames(videos, n_frames=10, n_bins=12, gap=0.0, video_spread=0.0, seed=0):
    """Return the frames of videos named "<label>/<source>/<file name>": noise, and an offset of class and of video."""
    random = np.random.default_rng(seed)
    groups = np.repeat(videos, n_frames)
    labels = np.repeat([REAL if video.startswith("real") else FAKE for video in videos], n_frames)
    spectra = random.normal(0.5, 0.02, (len(groups), n_bins)) + gap * labels[:, None]
    spectra += np.repeat(random.normal(0, video_spread, (len(videos), n_bins)), n_frames, axis=0)
    people = [frozenset(filter(None, identities(Path(video).name))) for video in groups]
    return SpectrumDataset(
        spectra,
        labels,
        sources=np.array([video.rpartition("/")[0] for video in groups]),
        groups=groups,
        paths=[f"{video}/{row:06}.png" for row, video in enumerate(groups)],
        feature=Feature(n_bins=n_bins),
        group_name="video",
        identities=people if all(people) else None,
    )


def write_frames(folder, videos, n_frames=6, not_in_index=(), blur_of_fakes=None, side_of_fakes=60):
    """Write square face crops, those of fakes blurred more, and an index that names them all but some."""
    rows = []
    for number, video in enumerate(videos):
        label, source, name = video.split("/")
        blur = 1.0 if label == "real" else (blur_of_fakes or {}).get(source, 1.3)
        side = 60 if label == "real" else side_of_fakes
        (folder / video).mkdir(parents=True)
        for frame in range(n_frames):
            path = f"{video}/{frame:06}.png"
            (folder / path).write_bytes(by_opencv(picture(100 * number + frame, (side, side), blur)))
            if path not in not_in_index:
                rows.append(CropRow(path, label, source, name, frame, 0.04, 0, 0, side, None, *identities(name)))
    write_index(folder, rows)
    return folder


def write_features(path, *numbers, **options):
    """Write a feature file as the authors do; what it holds is `features`'."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(features(*numbers, **options), protocol=2))
    return path


def features(n_real=60, n_fake=60, n_bins=40, seed=0, gap=0.1):
    """Return what a feature file of the authors' holds, fake = 0: noise, the fakes of which have less power."""
    random = np.random.default_rng(seed)
    label = np.repeat([0.0, 1.0], [n_fake, n_real])
    data = random.normal(0.5, 0.02, (len(label), n_bins)) + gap * label[:, None]
    data[:, 0] = 1
    return {"data": data, "label": label}


def actor_videos():
    """Return 28 actors' real videos, and fakes that link nearly all of them, as DeepFakeDetection's names have it."""
    reals = [f"real/actors_c23/{actor:02}__scene.mp4" for actor in range(1, 29)]
    pairs = [(actor, 1 + (actor + step) % 28) for actor in range(1, 29) for step in (0, 4, 9)]
    return reals + [f"fake/DeepFakeDetection_c23/{a:02}_{b:02}__scene__ABCDEFGH.mp4" for a, b in pairs]
