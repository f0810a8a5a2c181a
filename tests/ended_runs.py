"""A run of its own that works slowly through 300 images and is ended halfway."""

import os
import signal
import subprocess
import sys
import time

from deepfake_spectra.files import REPOSITORY

SLOWLY = """
import sys, time
from pathlib import Path
from deepfake_spectra import image_spectra, missing_spectra, spectrum_cache
from deepfake_spectra.dataset import Feature, ImageFolder
from deepfake_spectra.settings import run

def slowed(measure):
    def measure_slowly(*arguments):
        time.sleep({seconds})
        return measure(*arguments)
    return measure_slowly

data_dir, cache = map(Path, sys.argv[1:])
images = ImageFolder(data_dir, {{"real": 0, "fake": 1}}, cache)
"""


def end_halfway(script, seconds, two_sources, cache, n_files, end):
    """Run SLOWLY and then a script on 2 x 150 images until so many files are in the cache; return how it ended.

    Returns
    -------
    (int, str, str)
        Return code, stdout, stderr.
    """
    for number in range(12, 150):
        for source in ("real", "fake"):
            os.link(two_sources / source / f"{number % 12:03}.png", two_sources / source / f"{number:03}.png")
    command = [sys.executable, "-c", SLOWLY.format(seconds=seconds) + script, two_sources, cache]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=REPOSITORY, **streams) as process:
        while len([*cache.glob("[!.]*.npz")]) < n_files:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.Signals[end])
        output, error = process.communicate()
    return process.returncode, output, error
