"""Attacks by data that deceive: copies in both classes, unreadable folders, pipes, and alterations that do nothing."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import product

from campaign.attacks_on_readers import extracted, rows_of_results
from campaign.mutants import clip_of_two_sizes
from campaign.running import PYTHON, Fault, Limits
from campaign.stage import Case, Stage

SAME = r"same|both|equal|identical|duplicate|cop(y|ies)|twice|link"  # words of which one must be said of copies
OBEYING = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()  # permissions


def data(stage: Stage, n: int) -> Iterator[Case]:
    """Data that deceive: copies in both classes, links, unreadable folders, pipes, changed code."""
    stage.renew()
    for number, plan, _ in stage.chosen(PLANS):
        stage.renew()
        yield plan(stage, number, plan.__doc__.rstrip("."))


def both_classes(stage, number, what):
    """The same pictures in both classes."""
    for path in sorted((stage.room / "mine/real").iterdir())[:4]:
        shutil.copy(path, stage.room / "mine/fake" / f"copy_{path.name}")
    return stage.case(number, what, "train_faces_hq", says=SAME)


def ten_copies(stage, number, what):
    """Ten copies of two pictures in each class."""
    for source in ("real", "fake"):
        for path in sorted((stage.room / "mine" / source).iterdir())[2:]:
            shutil.copy(stage.room / "mine" / source / f"{int(path.stem) % 2:03}.png", path)
    return stage.case(number, what, "train_faces_hq", says=SAME)


def links(stage, number, what):
    """Links to pictures of the other class."""
    for path in sorted((stage.room / "mine/real").iterdir())[:4]:
        os.symlink(path, stage.room / "mine/fake" / f"link_{path.name}")
    return stage.case(number, what, "train_faces_hq", says=SAME)


def linked_folder(stage, number, what):
    """A source that is a link into the other."""
    shutil.rmtree(stage.room / "mine/fake")
    os.symlink(stage.room / "mine/real", stage.room / "mine/fake")
    return stage.case(number, what, "train_faces_hq", says=SAME)


def two_sizes(stage, number, what):
    """A clip whose frames become smaller."""
    case = extracted(stage, number, what, [clip_of_two_sizes(stage.room)])
    if list(stage.out.rglob("*.png")):
        case.faults.append(Fault("silent", "frames of two sizes were scaled to one"))
    return case


def same_clip(stage, number, what):
    """The same clip in both classes."""
    shutil.copy(stage.room / "clips/real/0.mp4", stage.room / "clips/fake/9.mp4")
    stage.run("extract_video_frames", *stage.words("extract_video_frames"))
    words = ("--frames-dir", "../out", *stage.words("train_deepfake_detection")[2:-1], "../results")
    return stage.case(number, what, "train_deepfake_detection", words, says=SAME)


def code_changed(stage, number, what):
    """The code that measures is changed, the cache is not."""
    stage.run("train_faces_hq", *stage.words("train_faces_hq"))
    path = stage.code / "radial_spectrum.py"
    source = path.read_text()
    path.write_text(re.sub(r"^EPSILON = .*$", "EPSILON = 50.0", source, flags=re.M))
    cached = stage.case(number, what, "train_faces_hq", statuses=(0,))
    rows = rows_of_results(stage)
    for folder in (stage.code / "data", stage.out):
        shutil.rmtree(folder)
    stage.run("train_faces_hq", *stage.words("train_faces_hq"))
    if rows != rows_of_results(stage) or path.read_text() == source:
        cached.faults.append(Fault("other result", "the values of the old code were used"))
    return cached


def unreadable_fakes(stage, number, what):
    """A folder of fakes that may not be read."""
    return _unreadable(stage, number, what, "clips/fake")


def unreadable_source(stage, number, what):
    """A folder of pictures that may not be read."""
    return _unreadable(stage, number, what, "mine/fake")


def passing_failure(stage, number, what):
    """A clip that may not be read, and then may be."""
    first = _unreadable(stage, number, what, "clips/fake/1.mp4")
    again = stage.case(number, what, "extract_video_frames", statuses=(0,))
    index = (stage.out / "index.csv").read_text()
    if "fake/videos/1.mp4" not in index:
        again.faults.append(Fault("silent", "a clip that could not be read once is taken for finished"))
    again.faults.extend(fault for fault in first.faults if fault.kind != "silent")
    return again


def empty_alteration(stage, number, what):
    """An alteration that names no step."""
    return stage.case(number, what, "train_celeba", (*stage.words("train_celeba"), "--both-altered", " + "), (2,))


def large_crop(stage, number, what):
    """A crop larger than the images."""
    words = (*stage.words("train_celeba"), "--both-altered", "crop 400x400")
    return stage.case(number, what, "train_celeba", words, (1, 2))


def few_left(stage, number, what):
    """All but a few fakes unreadable, and allowed to be."""
    for path in sorted((stage.room / "mine/fake").iterdir())[3:]:
        path.write_bytes(path.read_bytes()[:100])
    words = (*stage.words("train_faces_hq"), "--max-unreadable", 1)
    return stage.case(number, what, "train_faces_hq", words)


def pipe_as_picture(stage, number, what):
    """A pipe that nobody writes to, drawn."""
    os.mkfifo(stage.room / "pipe.png")
    return stage.case(number, what, "draw_spectrum", ("../pipe.png",), (1, 2), limits=Limits(20))


def pipe_as_judged(stage, number, what):
    """A pipe that nobody writes to, judged."""
    os.mkfifo(stage.room / "pipe.png")
    words = (*stage.judge_words, "../pipe.png")
    return stage.case(number, what, "detect_fakes", words, (1, 2), limits=Limits(20))


def endless_picture(stage, number, what):
    """A picture without end, drawn."""
    return stage.case(number, what, "draw_spectrum", ("/dev/zero",), (1, 2), limits=Limits(20))


def pipe_in_source(stage, number, what):
    """A pipe among the pictures of a source."""
    os.mkfifo(stage.room / "mine/fake/pipe.png")
    return stage.case(number, what, "train_faces_hq", limits=Limits(60))


def loop_of_links(stage, number, what):
    """Links in a circle among the pictures."""
    os.symlink("b.png", stage.room / "mine/fake/a.png")
    os.symlink("a.png", stage.room / "mine/fake/b.png")
    os.symlink(".", stage.room / "mine/fake/folder")
    return stage.case(number, what, "train_faces_hq")


def two_extractions(stage, number, what):
    """Two extractions into one folder at once."""
    for copy, path in product(range(10), sorted((stage.room / "clips/fake").glob("?.mp4"))):
        shutil.copy(path, path.with_name(f"{copy}_{path.name}"))
    words = [PYTHON, "extract_video_frames.py", *map(str, stage.words("extract_video_frames"))]
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    other = subprocess.Popen(words, cwd=stage.code, start_new_session=True, **nowhere)
    case = stage.case(number, what, "extract_video_frames")
    if other.wait() and not case.faults and not (stage.out / "index.csv").exists():
        case.faults.append(Fault("status", "neither of the two came to an end"))
    after = stage.case(number, what, "extract_video_frames", statuses=(0,))
    case.faults.extend(after.faults)
    if len((stage.out / "index.csv").read_text().splitlines()) != 1 + 3 * 48:
        case.faults.append(Fault("other result", "the index is not that of all clips"))
    return case


def loose_clips(stage, number, what):
    """A folder of loose clips."""
    words = ("--videos-dir", "../clips/fake", "--frames-dir", "../out", "--face-detector", "centre")
    return stage.case(number, what, "extract_video_frames", words, (1, 2))


def picture_formats(stage, number, what):
    """Pictures that the scripts do not read, in a folder to be judged."""
    for ending in (".heic", ".avif", ".cr2", ".jxl", ".dng"):
        (stage.room / f"mine/real/phone{ending}").write_bytes(bytes(12) + b"no picture that is read")
    words = (*stage.judge_words, "../mine/real")
    return stage.case(number, what, "detect_fakes", words, (0, 1), says="phone|heic")


def _unreadable(stage, number, what, name):
    """Run a script whose input may not be read, and give the permission back."""
    os.chmod(stage.room / name, 0)
    script = "extract_video_frames" if name.startswith("clips") else "train_faces_hq"
    case = stage.case(number, what, script, None, (1, 2), before=OBEYING)
    os.chmod(stage.room / name, 0o777)
    return case


PLANS = (
    both_classes,
    ten_copies,
    links,
    linked_folder,
    two_sizes,
    same_clip,
    code_changed,
    unreadable_fakes,
    unreadable_source,
    passing_failure,
    empty_alteration,
    large_crop,
    few_left,
    pipe_as_picture,
    pipe_as_judged,
    endless_picture,
    pipe_in_source,
    loop_of_links,
    two_extractions,
    loose_clips,
    picture_formats,
)
ATTACKS = {"data": data}
