"""Stages of a benchmark done in the test's own process: a start of a second each is what most of them would take."""

import sys

from deepfake_spectra import fresh_processes


def in_this_process(monkeypatch):
    """Have `in_fresh_processes` do its calls here, one after the other, and no dask be installed."""

    def here(stage, calls):
        return [fresh_processes.timed(stage, arguments) for arguments in calls]

    monkeypatch.setattr(fresh_processes, "in_fresh_processes", here)
    monkeypatch.delitem(sys.modules, "benchmark_scale", raising=False)  # it is loaded anew, and gets this one
    monkeypatch.setitem(sys.modules, "distributed", None)
