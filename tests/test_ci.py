"""What the README promises is what the continuous integration runs, here and on the other systems."""

import re
import subprocess
import tomllib

import pytest

from deepfake_spectra.files import REPOSITORY
from deepfake_spectra.packages import REQUIREMENTS


def text_of(name):
    """Return the text of a file of the repository."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


def ci_commands():
    """Return the commands of .ci/run, in order."""
    return text_of(".ci/run").partition("set -x\n")[2].splitlines()


def pinned(name):
    """Return {distribution: version} of a file of requirements."""
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", text_of(name), re.MULTILINE))


def test_the_workflow_runs_what_ci_runs():
    assert re.findall(r"^ +- run: (.+)$", text_of(".github/workflows/tests.yml"), re.MULTILINE) == ci_commands()


def test_the_quick_start_is_what_ci_runs():
    quick_start = text_of("README.md").partition("## Quick start")[2].partition("\n## ")[0]
    promised = {command for line in re.findall(r"```\n(.*?)\n```", quick_start, re.DOTALL) for command in
                re.split(r"\n| && ", line)} - {"python3 -m venv .venv", ". .venv/bin/activate"}  # fmt: skip
    assert {"pip install -r requirements.txt", "python train_faces_hq.py", "python -m pytest"} <= promised
    assert promised <= set(ci_commands())


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="needs the repository under git")
def test_what_runs_write_is_not_tracked_and_what_is_quoted_is():
    written = (
        "plots/built_in_sample/faces_hq_accuracy.md",
        "plots/faces_hq_judge.safetensors",
        "data/spectra/faces_hq",
    )
    asked = ["git", "check-ignore", *written, "plots/reference/claims.md", "train_faces_hq.py"]
    ignored = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True).stdout.split()
    assert ignored == list(written)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_workflow_has_every_python_that_the_project_states(python):
    assert tomllib.loads(text_of("pyproject.toml"))["project"]["requires-python"] == ">=3.11"
    assert f'"{python}"' in text_of(".github/workflows/tests.yml").partition("python: [")[2].partition("]")[0]


def test_the_lock_holds_what_the_requirements_do():
    pins = pinned("requirements.txt") | pinned("requirements-videos.txt")
    assert len(pins) > 10 and pins.items() <= pinned("requirements.lock").items()


def test_the_ranges_hold_the_versions_that_are_pinned():
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    assert set(extras) == {"dask", "fast", "videos", "training", "tests"}
    ranges = dict(line.split(">=") for line in sum(extras.values(), project["dependencies"]))
    pins = {"threadpoolctl": "999"}  # comes with scikit-learn, which pins it
    for name in ("requirements.txt", *set(REQUIREMENTS.values())):
        pins |= pinned(name)
    assert pins.keys() == ranges.keys()
    for package, lowest in ranges.items():
        assert [int(part) for part in lowest.split(".")] <= [int(part) for part in pins[package].split(".")], package
