"""Grey frames -> an H.264 clip, written by the ffmpeg program of imageio-ffmpeg (requirements-videos.txt)."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np


def write_clip(path: Path, frames: Sequence[np.ndarray], crf: int, rate: int = 25) -> None:
    """Write frames (height, width) uint8 of one size, both sides even, as 4:2:0 at a constant rate factor.

    The bytes depend neither on the number of threads of ffmpeg nor on the processor. Where ffmpeg gives up, as on a
    full disk, it may do so without a word: whoever needs the clip whole reads it back.
    """
    from imageio_ffmpeg import write_frames

    writer = write_frames(
        path, frames[0].shape[::-1], pix_fmt_in="gray", fps=rate, codec="libx264", quality=None, macro_block_size=1,
        ffmpeg_log_level="quiet",
        output_params=["-crf", str(crf), "-threads", "1", "-x264-params", "cpu-independent=1"],
    )  # fmt: skip
    writer.send(None)
    with suppress(OSError):  # ffmpeg has given up
        for frame in frames:
            writer.send(frame.tobytes())
    writer.close()
