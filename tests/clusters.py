"""A dask cluster for tests, of processes on this machine."""

import importlib.util
import socket
import subprocess
import sys
import time

import pytest

from deepfake_spectra.files import REPOSITORY

needs_dask = pytest.mark.skipif(not importlib.util.find_spec("distributed"), reason="needs requirements-dask.txt")


class Cluster:
    """A scheduler and workers, each a process of its own, on the loopback address."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        self.folder, self.workers = folder, []
        self.processes = [self._start("scheduler", "--host", self.address, "--no-dashboard")]

    def _start(self, *words, cwd=REPOSITORY):
        command = [sys.executable, "-m", "dask", *words]
        with (self.folder / f"{time.monotonic_ns()}.log").open("w") as log:
            return subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log)

    def add_worker(self, **where):
        """Start a worker and return its process."""
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60", "--local-directory")
        self.processes.append(self._start("worker", self.address, *options, str(self.folder), **where))
        return self.processes[-1]

    def stop(self):
        """Kill all processes."""
        for process in self.processes:
            process.kill()
            process.wait()
