"""What a speed was measured on is said so that it can be told apart, and the command so that it can be run again."""

import os
import shlex
import sys

import numpy as np

from deepfake_spectra.machine import command_line, machine, processor


def test_the_machine_is_named_with_its_cores_and_the_packages_that_there_are(monkeypatch):
    monkeypatch.setitem(sys.modules, "ducc0", None)
    said = machine("numpy", "ducc0")
    assert said.startswith(f"{processor()}, {os.cpu_count()} cores") and processor()
    assert f", numpy {np.__version__}" in said and "ducc0" not in said


def test_the_command_can_be_pasted_into_a_shell(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/benchmark_scale.py", "--work-dir", "two words, it's"])
    assert shlex.split(command_line()) == ["python", "benchmark_scale.py", "--work-dir", "two words, it's"]
