"""The audit as a user runs it: what it finds of what was planted, what it writes, and how it ends."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import linux_only
from outputs import table_lines
from pictures import by_opencv, by_pillow, picture

from deepfake_spectra import file_records
from deepfake_spectra.files import printable
from deepfake_spectra.opencv import cv2

NAMED = ("--real-sources", "real_a", "real_b", "--fake-sources", "fake_a", "fake_b")
FAST = (*NAMED, "--n-splits", 2, "--n-threads", 1)
N = 30  # images a source: 24 are tested in all


def gray_of(source, number):
    """Return a picture: noise, that of fakes a little more blurred."""
    seed = 1000 * ["real_a", "real_b", "fake_a", "fake_b"].index(source) + number
    return picture(seed, (64, 64), blur=1.0 if source.startswith("real") else 1.15)


@pytest.fixture
def data(tmp_path):
    """Return a folder in which nothing but their blur tells real from fake: two sources each, PNG of one size."""
    for source in NAMED[1:3] + NAMED[4:]:
        folder = tmp_path / "faces" / source
        folder.mkdir(parents=True)
        for number in range(N):
            (folder / f"{number:03}.png").write_bytes(by_opencv(gray_of(source, number)))
    return tmp_path / "faces"


@pytest.fixture
def audit(call, drawn, data, tmp_path):
    """Return a function that audits the folder in this process, and gives status, report and numbers."""

    def audit(*flags):
        ended = call("audit_dataset", "--data-dir", data, "--output-dir", tmp_path / "out", *FAST, *flags)
        assert ended.err.count("\n") == ended.status  # a sentence, or nothing
        text = (tmp_path / "out/faces_audit.md").read_text(encoding="utf-8")
        assert text in ended.out
        numbers = json.loads(
            (tmp_path / "out/faces_audit.json").read_text(encoding="utf-8"), parse_constant=pytest.fail
        )
        return ended.status, text, numbers

    return audit


def sentences(numbers, is_bad=True):
    """Return the findings of a kind, as one text."""
    return " | ".join(found["sentence"] for found in numbers["verdict"]["findings"] if found["is_bad"] == is_bad)


def accuracies(numbers, table):
    """Return {condition: accuracy} of a table of the spectrum, or of single traits."""
    return {
        row["condition"]: row["mean"]
        for row in numbers["rows"]
        if (row["table"], row["metric"]) == (table, "accuracy") and row["classifier"] != "headers_only"
    }


def rewrite(folder, write):
    """Write every picture of a source anew, in another way."""
    for path in sorted(folder.iterdir()):
        path.write_bytes(write(cv2.imread(str(path), 0)))


def test_a_clean_set_gets_a_clean_verdict_and_status_0_under_strict(audit):
    status, text, numbers = audit("--strict", "--n-splits", 5)
    assert status == 0 and not sentences(numbers) and "nothing was found that forbids" in text
    assert accuracies(numbers, "classes")["as they are"] > 0.8  # what tells them apart is in the pictures
    assert list(accuracies(numbers, "trait")) == ["bytes a pixel", "brightness", "contrast"]
    assert accuracies(numbers, "cause") == {} and not any(numbers["pairs"].values())


@pytest.mark.parametrize("strict, status", [(("--strict",), 1), ((), 0)])
def test_a_planted_header_is_named_and_strict_makes_it_the_status(audit, data, strict, status):
    for source in ("real_a", "real_b", "fake_a", "fake_b"):
        rewrite(
            data / source, lambda gray, source=source: by_pillow(gray, "JPEG", progressive=source.startswith("fake"))
        )
    ended, text, numbers = audit(*strict)
    assert ended == status and "cannot be read as detection" in text
    assert "coding 100.0" in sentences(numbers) and "JPEG quality" not in sentences(numbers)
    table = dict((line[0], line[1:]) for line in table_lines(text, "## The files"))
    assert table["coding"] == ["baseline", "baseline", "progressive", "progressive"]


def test_unequal_quality_is_named_its_cause_is_shown_and_all_are_compared_at_the_lower_one(audit, data):
    for source, quality in (("real_a", 50), ("real_b", 50), ("fake_a", 95), ("fake_b", 95)):
        rewrite(data / source, lambda gray, quality=quality: by_pillow(gray, "JPEG", quality=quality))
    _, text, numbers = audit()
    assert "JPEG quality 100.0" in sentences(numbers)
    assert list(accuracies(numbers, "classes")) == ["as they are", "all images: jpeg 50"]
    cause = accuracies(numbers, "cause")
    assert cause["fake_a against itself, jpeg 50"] > 0.9 and "real_a against itself, jpeg 95" in cause


def test_unequal_size_is_compared_at_the_smallest_side(audit, data):
    for source in ("fake_a", "fake_b"):
        rewrite(data / source, lambda gray: by_opencv(np.ascontiguousarray(gray[:50, :56])))
    _, _, numbers = audit()
    assert "width 100.0" in sentences(numbers) and "all images: crop 50x50" in accuracies(numbers, "classes")
    assert "real_a against itself, resize 56x50" in accuracies(numbers, "cause")


def test_traces_of_an_earlier_jpeg_in_png_of_one_class_are_named(audit, data):
    for source in ("real_a", "real_b"):
        rewrite(data / source, lambda gray: by_opencv(cv2.imdecode(cv2.imencode(".jpg", gray, [1, 60])[1], 0)))
    _, text, numbers = audit()
    assert "one trait alone: earlier JPEG" in sentences(numbers) and "width" not in sentences(numbers)


def test_real_sources_that_differ_are_said(audit, data):
    rewrite(data / "real_b", lambda gray: by_opencv(cv2.GaussianBlur(gray, (0, 0), 0.8)))
    _, _, numbers = audit()
    assert "real_a against real_b, both real: told apart as well" in sentences(numbers)


def test_copies_and_near_copies_are_shown_with_their_paths_and_across_classes_first(audit, data):
    shutil.copy(data / "real_a/003.png", data / "fake_a/copy.png")
    smooth = cv2.resize(picture(7, (12, 12)), (90, 90), interpolation=cv2.INTER_CUBIC)
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    (data / "real_a/smooth.png").write_bytes(by_opencv(smooth))
    (data / "real_b/smaller.jpg").write_bytes(by_opencv(cv2.resize(smooth, (75, 75)), ".jpg"))
    (data / "fake_b/again.png").write_bytes((data / "fake_b/004.png").read_bytes())
    _, text, numbers = audit()
    [again] = numbers["pairs"]["equal within a source"]
    assert again == {"first": "fake_b/004.png", "second": "fake_b/again.png", "distance": 0}
    [copy], [near] = numbers["pairs"]["equal across classes"], numbers["pairs"]["near across sources"]
    assert copy == {"first": "real_a/003.png", "second": "fake_a/copy.png", "distance": 0}
    assert (near["first"], near["second"]) == ("real_a/smooth.png", "real_b/smaller.jpg")
    assert "the same file in both classes: 1 pairs" in sentences(numbers)
    assert "* real_a/003.png = fake_a/copy.png (0 of 256 bits)" in text


def test_near_copies_are_never_parted_by_a_split(audit, data):
    for number in range(N):  # each real is there a second time, a little brighter: a nearest neighbour would know it
        gray = cv2.imread(str(data / f"real_a/{number:03}.png"), 0)
        (data / f"real_b/{number:03}.png").write_bytes(by_opencv(cv2.add(gray, 3)))
    _, _, numbers = audit()
    assert len(numbers["pairs"]["near across sources"]) == N
    [row] = [row for row in numbers["rows"] if row["table"] == "reals" and row["metric"] == "accuracy"]
    assert row["n_test"] == [12, 12]


def test_stray_files_are_counted_and_damaged_ones_named(audit, data):
    for path in ("Thumbs.db", ".DS_Store", ".ipynb_checkpoints/x.png", "__MACOSX/._x.png", "__MACOSX/._y.png"):
        (data / "real_a" / path).parent.mkdir(exist_ok=True)
        (data / "real_a" / path).write_bytes(b"x")
    (data / "fake_b/cut.png").write_bytes(by_opencv(gray_of("fake_b", 0))[:-9])
    (data / "fake_b/empty.jpg").write_bytes(b"")
    _, text, numbers = audit()
    table = dict((line[0], line[1:]) for line in table_lines(text, "## The files"))
    assert table["stray"] == ["__MACOSX (2), .DS_Store (1), .ipynb_checkpoints (1), Thumbs.db (1)", "", "", ""]
    assert table["not readable"] == ["0", "0", "0", "2"] and table["files"] == ["30", "30", "30", "32"]
    reasons = {"fake_b/cut.png": "cut short or damaged PNG", "fake_b/empty.jpg": "empty file"}
    assert numbers["unreadable"] == reasons and "* fake_b/empty.jpg: empty file" in text
    assert "2 of 122 files cannot be read" in sentences(numbers, is_bad=False)


def test_the_sample_is_audited_where_there_is_no_data_set_and_its_jpegs_are_found(call, drawn, tmp_path):
    ended = call("audit_dataset", "--n-splits", 2, "--n-threads", 2)
    assert (ended.status, ended.err) == (0, "") and "running on the built-in sample" in ended.out.splitlines()[0]
    folder = tmp_path / "repository/plots/built_in_sample"
    numbers = json.loads((folder / "built_in_sample_audit.json").read_text(encoding="utf-8"))
    title = "Audit of the built-in sample: no reproduction of the paper"
    assert numbers["built_in_sample"] and drawn["audit_figure"][-1] == title
    assert (folder / "built_in_sample_audit.md").read_text("utf-8").startswith(f"# {title}\n")
    assert numbers["sources"]["photographs_a"]["earlier JPEG"] == "no (56), yes (17)"
    assert numbers["sources"]["transposed_convolution"]["earlier JPEG"] == "no"
    assert len(numbers["pairs"]["near across classes"]) > 100  # a re-synthesis is near its photograph


@pytest.mark.parametrize("name", ["faces with spaces", "f\u00e4ces\u4e2d", "--strict", "a\nb", "..x", "\u0416" * 100])
def test_a_folder_of_any_name_is_audited(call, drawn, data, tmp_path, name, monkeypatch):
    data = data.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    ended = call("audit_dataset", f"--data-dir=./{name}", "--output-dir", "out", *FAST)
    assert (ended.status, ended.err) == (0, "")
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".md", ".json"}
    assert drawn["audit_figure"][-1] == f"Audit of {printable(name)}"
    assert all(path.name.removesuffix(path.suffix).endswith("_audit") for path in (tmp_path / "out").iterdir())


def test_a_figure_is_drawn_of_every_table(call, data, tmp_path):
    for source in ("fake_a", "fake_b"):
        rewrite(data / source, lambda gray: by_pillow(gray, "JPEG", quality=60))
    ended = call("audit_dataset", "--data-dir", data, "--output-dir", tmp_path / "out", *FAST)
    assert (ended.status, ended.err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"faces_audit.{ending}" for ending in ("json", "md", "pdf", "png")
    ]
    assert cv2.imread(str(tmp_path / "out/faces_audit.png")).shape[0] > 800


def test_a_second_run_reads_no_file_again_and_writes_the_same(audit, tmp_path, monkeypatch):
    first = audit()
    monkeypatch.setattr(file_records, "read_record", lambda path: pytest.fail(f"{path} read again"))
    assert audit() == first


def test_somebody_elses_file_is_not_replaced(call, data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/faces_audit.md").write_text("mine")
    ended = call("audit_dataset", "--data-dir", data, "--output-dir", tmp_path / "out", *FAST)
    assert ended.status == 2 and "no earlier output of this kind" in ended.err
    assert (tmp_path / "out/faces_audit.md").read_text() == "mine"


@pytest.mark.parametrize(
    "flags, status, sentence",
    [
        (("--data-dir", "nowhere"), 2, "no such folder"),
        (("--real-sources", "real_c"), 2, "no source 'real_c' there"),
        (("--fake-sources", "real_a"), 2, "named both as a real and as a fake source"),
        (("--n-samples", "3"), 2, "N_SAMPLES is 3: expected 4 to 1000000"),
        (("--n-samples", "4"), 1, "sample size 4 left out: 4 sources, need 2 images of each source, 8 in total"),
    ],
)
def test_a_wrong_call_ends_in_one_sentence(call, data, tmp_path, flags, status, sentence):
    ended = call("audit_dataset", "--data-dir", data, "--output-dir", tmp_path / "out", *FAST, *flags)
    assert ended.status == status and sentence in ended.err and ended.err.count("\n") == 1


@pytest.mark.parametrize(
    "write, sentence",
    [
        (lambda gray: by_opencv(gray)[:-20], "fake_a: 0 images can be read, need 2"),
        (lambda gray: by_opencv(np.full_like(gray, gray[0, 0])), "fake_a: 0 images have a spectrum, need 2"),
    ],
)
def test_a_source_none_of_whose_images_is_left_ends_in_one_sentence(call, data, tmp_path, write, sentence):
    rewrite(data / "fake_a", write)
    ended = call("audit_dataset", "--data-dir", data, "--output-dir", tmp_path / "out", *FAST)
    assert ended.status == 1 and sentence in ended.err and ended.err.count("\n") == 1


@linux_only
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_run_goes_on_where_it_stopped(clone, data, tmp_path, number, status):
    for copy in range(60):  # a second of work
        (data / f"real_a/copy_{copy}.png").write_bytes(by_opencv(cv2.resize(gray_of("real_a", 0), (1500, 1500 + copy))))
    shutil.rmtree(clone / "data/audit/faces", ignore_errors=True)
    words = [sys.executable, clone / "audit_dataset.py", "--data-dir", data, "--output-dir", tmp_path / "out", *FAST]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    begun = subprocess.Popen([*map(str, words)], **streams, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    while not (line := begun.stdout.readline()).endswith(" to be read\n"):  # then they are
        assert line, begun.communicate()
    begun.send_signal(number)
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == status and "Traceback" not in err
    assert not list(clone.rglob(".partial-*"))
    ended = subprocess.run([*map(str, words)], capture_output=True, text=True, env=os.environ)
    assert ended.returncode == 0 and (tmp_path / "out/faces_audit.md").is_file()
