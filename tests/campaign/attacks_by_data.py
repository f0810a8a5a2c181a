"""Attacks by data that deceive: copies in both classes, unreadable folders, pipes, and alterations that do nothing."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import product

import numpy as np
from campaign.attacks_on_readers import extracted
from campaign.mutants import clip_of_two_sizes, whole_pictures
from campaign.running import PYTHON, Fault, Limits
from campaign.stage import Case, Stage, outputs
from pictures import by_opencv, picture

SAME = r"same|both|equal|identical|duplicate|cop(y|ies)|twice|link"  # words of which one must be said of copies
OBEYING = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()  # permissions


def data(stage: Stage, n: int) -> Iterator[Case]:
    """Data that deceive: copies in both classes, links, unreadable folders, pipes, changed code."""
    stage.renew()
    plans = [(plan, {}) for plan, script in PLANS.items() if script in stage.scripts]
    scripts = [script for script in IMAGE_SCRIPTS if script in stage.scripts]
    plans += [(plan, {"script": script}) for plan, script in product(OF_IMAGES, scripts)]
    for number, (plan, of_script), _ in stage.chosen(plans):
        stage.renew()
        yield plan(stage, number, plan.__doc__.rstrip("."), **of_script)


def both_classes(stage, number, what, script):
    """The same pictures in both classes."""
    for path in sorted((stage.room / "mine/real").iterdir())[:4]:
        shutil.copy(path, stage.room / "mine/fake" / f"copy_{path.name}")
    return stage.case(number, what, script, says=SAME)


def ten_copies(stage, number, what, script):
    """Ten copies of two pictures in each class."""
    for source in ("real", "fake"):
        for path in sorted((stage.room / "mine" / source).iterdir())[2:]:
            shutil.copy(stage.room / "mine" / source / f"{int(path.stem) % 2:03}.png", path)
    return stage.case(number, what, script, says=SAME)


def links(stage, number, what, script):
    """Links to pictures of the other class."""
    for path in sorted((stage.room / "mine/real").iterdir())[:4]:
        os.symlink(path, stage.room / "mine/fake" / f"link_{path.name}")
    return stage.case(number, what, script, says=SAME)


def linked_folder(stage, number, what, script):
    """A source that is a link into the other."""
    shutil.rmtree(stage.room / "mine/fake")
    os.symlink(stage.room / "mine/real", stage.room / "mine/fake")
    return stage.case(number, what, script, says=SAME)


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
    written = outputs(stage.out)
    for folder in (stage.code / "data", stage.out):
        shutil.rmtree(folder)
    stage.run("train_faces_hq", *stage.words("train_faces_hq"))
    if written != outputs(stage.out) or path.read_text() == source:
        cached.faults.append(Fault("other result", "the values of the old code were used"))
    return cached


def unreadable_fakes(stage, number, what):
    """A folder of fakes that may not be read."""
    return _unreadable(stage, number, what, "clips/fake")


def unreadable_source(stage, number, what, script):
    """A folder of pictures that may not be read."""
    return _unreadable(stage, number, what, "mine/fake", script)


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


def few_left(stage, number, what, script):
    """All but a few fakes unreadable, and allowed to be."""
    for path in sorted((stage.room / "mine/fake").iterdir())[3:]:
        path.write_bytes(path.read_bytes()[:100])
    allowed = () if script == "audit_dataset" else ("--max-unreadable", 1)  # which needs two of a source
    return stage.case(number, what, script, (*stage.words(script), *allowed))


def every_format(stage, number, what, script):
    """Pictures of every format and variant in one source."""
    for form, (ending, content) in whole_pictures().items():
        (stage.room / f"mine/fake/{form}{ending}").write_bytes(content)
    return stage.case(number, what, script, statuses=(1,) if script == "compare_features" else (0, 1))


def tiny_picture(stage, number, what, script):
    """A picture of 3x3 pixels among the others."""
    (stage.room / "mine/fake/tiny.png").write_bytes(by_opencv(picture(0, (3, 3))))
    return stage.case(number, what, script)


def flat_pictures(stage, number, what, script):
    """Fakes that are of one grey each."""
    for level, path in enumerate(sorted((stage.room / "mine/fake").iterdir())):
        path.write_bytes(by_opencv(np.full((48, 64), 20 * level, np.uint8)))
    return stage.case(number, what, script)


def told_by_headers(stage, number, what):
    """Fakes as JPEG beside reals as PNG, audited strictly."""
    for path in sorted((stage.room / "mine/fake").iterdir()):
        path.with_suffix(".jpg").write_bytes(by_opencv(picture(int(path.stem), (48, 64)), ".jpg"))
        path.unlink()
    return stage.case(number, what, "audit_dataset", (*stage.words("audit_dataset"), "--strict"), (1,))


def two_audits(stage, number, what):
    """Two audits of one folder at once."""
    words = [PYTHON, "audit_dataset.py", *map(str, stage.words("audit_dataset"))]
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    other = subprocess.Popen(words, cwd=stage.code, start_new_session=True, **nowhere)
    case = stage.case(number, what, "audit_dataset", statuses=(0,))
    if other.wait():
        case.faults.append(Fault("status", f"{other.returncode} of the other"))
    return case


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


def pipe_in_source(stage, number, what, script):
    """A pipe among the pictures of a source."""
    os.mkfifo(stage.room / "mine/fake/pipe.png")
    return stage.case(number, what, script, limits=Limits(60))


def loop_of_links(stage, number, what, script):
    """Links in a circle among the pictures."""
    os.symlink("b.png", stage.room / "mine/fake/a.png")
    os.symlink("a.png", stage.room / "mine/fake/b.png")
    os.symlink(".", stage.room / "mine/fake/folder")
    return stage.case(number, what, script)


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


def _unreadable(stage, number, what, name, script="extract_video_frames"):
    """Run a script whose input may not be read, and give the permission back."""
    os.chmod(stage.room / name, 0)
    case = stage.case(number, what, script, None, (1, 2), before=OBEYING)
    os.chmod(stage.room / name, 0o777)
    return case


OF_IMAGES = (
    both_classes,
    ten_copies,
    links,
    linked_folder,
    unreadable_source,
    few_left,
    every_format,
    tiny_picture,
    flat_pictures,
    pipe_in_source,
    loop_of_links,
)
IMAGE_SCRIPTS = ("train_faces_hq", "audit_dataset", "measure_robustness", "compare_features", "train_resaved")
PLANS = {  # and whose script must be there
    two_sizes: "extract_video_frames",
    same_clip: "train_deepfake_detection",
    code_changed: "train_faces_hq",
    unreadable_fakes: "extract_video_frames",
    passing_failure: "extract_video_frames",
    empty_alteration: "train_celeba",
    large_crop: "train_celeba",
    told_by_headers: "audit_dataset",
    two_audits: "audit_dataset",
    pipe_as_picture: "draw_spectrum",
    pipe_as_judged: "detect_fakes",
    endless_picture: "draw_spectrum",
    two_extractions: "extract_video_frames",
    loose_clips: "extract_video_frames",
    picture_formats: "detect_fakes",
}
ATTACKS = {"data": data}
