"""Videos -> square face crops as PNG, cut from the original pixels, with an index of where each came from.

    python extract_video_frames.py                        # data/faceforensics if it is there, else the built-in sample
    python extract_video_frames.py --videos-dir DIR --frames-dir DIR
    python extract_video_frames.py --videos-dir holiday/ --label real --frames-dir DIR

VIDEOS_DIR is FaceForensics++ in its official layout (DeepFakeDetection is a part of it), or a plain tree, or both:

    original_sequences/{youtube,actors}/{raw,c0,c23,c40}/videos/*           real, source youtube_c23, actors_c40, ...
    manipulated_sequences/<method>/{raw,c0,c23,c40}/videos/*                fake, source Deepfakes_c23, ...
    real/**, fake/**                                                        source: the folders between, or "videos"

or a folder of loose videos, all of one class, which LABEL names; its name is the source. Folder by folder, the index
grows.

Writes FRAMES_DIR/{real,fake}/<source>/<video file name>/<frame, 6 digits>.png, and at the very end
FRAMES_DIR/index.csv, one row per crop. A video that was finished before, with the same settings, is not touched; a run
that was killed is completed by the next. Videos that give no crop are named with the reason. 8 clips of
FaceForensics++ give 160 crops in 9 s on two cores.
"""

from deepfake_spectra.settings import read_settings, run  # isort: skip; hears Ctrl-C

from pathlib import Path

from deepfake_spectra.errors import UsageError
from deepfake_spectra.face_crops import Detector
from deepfake_spectra.files import REPOSITORY, display_path
from deepfake_spectra.sample import build as sample
from deepfake_spectra.video_crops import CropOptions, extract_videos
from deepfake_spectra.video_files import Label

# data
VIDEOS_DIR: Path | None = None  # folder of videos; none: data/faceforensics, else the built-in sample
LABEL: Label | None = None  # class of all videos of a folder without real/ and fake/
FRAMES_DIR: Path | None = None  # for crops and index; none: data/deepfake_detection, or data/built_in_sample/...

# crops
FRAMES_PER_VIDEO: int = 20  # evenly over the video; the paper has about 20
FACE_DETECTOR: Detector = "centerface"  # "centre": the middle of the frame, no detector; always so for the sample
FACE_MARGIN: float = 1.3  # side of the crop over the longer side of the face's box; FaceForensics++'s
N_THREADS: int = -1  # videos at a time; -1: one per core


def main():
    settings = read_settings(__name__)
    videos_dir = settings.videos_dir or REPOSITORY / "data/faceforensics"
    frames_dir = settings.frames_dir or REPOSITORY / "data/deepfake_detection"
    detector = settings.face_detector
    if settings.label and not settings.videos_dir:
        raise UsageError("LABEL is for a folder of loose videos; name it by VIDEOS_DIR or --videos-dir")
    if settings.videos_dir and not videos_dir.is_dir():
        raise UsageError(f"{display_path(videos_dir)}: no such folder; set VIDEOS_DIR or --videos-dir")
    if not videos_dir.is_dir():
        print(
            "data/faceforensics is not there: extracting from the built-in sample, clips of photographs and "
            "re-syntheses of them; it holds no faces, so the middle of each frame is cut, with no detector"
        )
        sample.build_video_sample(sample.VIDEOS_DIR)
        videos_dir, frames_dir, detector = sample.VIDEOS_DIR, settings.frames_dir or sample.FRAMES_DIR, "centre"
    options = CropOptions(settings.frames_per_video, detector, settings.face_margin)
    extract_videos(videos_dir, frames_dir, options, settings.n_threads, settings.label)


if __name__ == "__main__":
    run(main)
