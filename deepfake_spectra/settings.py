"""A script's annotated UPPER_CASE constants are its settings; each is also a shell flag, and both are checked alike.

    SAMPLE_SIZES: tuple[int, ...] = (4000, 1000)  # images in total, all sources together

becomes `--sample-sizes 4000 1000`: the type comes from the annotation, the help from the trailing comment, the
default from the value. An edited constant goes through the same reader as the flag: it does the same, and a wrong one
gets the same sentence. A relative path in a constant is taken from the repository, one in a flag from the current
folder. `run` turns every expected failure of a script into one sentence and an exit status.
"""

import argparse
import ast
import inspect
import io
import os
import re
import sys
import tokenize
import types
import typing
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from deepfake_spectra import interrupts
from deepfake_spectra.console import Console, signed
from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.files import REPOSITORY, printable, repository_path
from deepfake_spectra.packages import REQUIRED, require, requirements_of
from deepfake_spectra.stderr import libraries_silent


def _is_part(text):
    """Tell whether a text is a part like 3/16."""
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    return found and 1 <= int(found[1]) <= int(found[2])


def _from_to(low, high):
    """Return the words for a range, both ends included, and the function that says whether a value lies in it."""
    return f"{low} to {high}", lambda value: low <= value <= high


ALLOWED_VALUES = {  # of those constants that a script has; upper ends lie well past any use
    "MAX_UNREADABLE": _from_to(0, 1),
    "N_BINS": _from_to(2, 10000),
    "PART": ("two numbers as 3/16, the first from 1 to the second", _is_part),
    "TEST_SHARE": ("above 0 and below 1", lambda share: 0 < share < 1),
    "SAMPLE_SIZES": ("at least one number above 0", lambda sizes: sizes and min(sizes) > 0),
    "N_SPLITS": _from_to(1, 1000),
    "N_SAMPLES": _from_to(4, 10000000),
    "LEARNING_SIZES": ("at least one number above 0", lambda sizes: sizes and min(sizes) > 0),
    "FRAME_COUNTS": ("at least one number above 0", lambda counts: counts and min(counts) > 0),
    "SVM_C": _from_to(1e-6, 1000000),
    "SVM_GAMMA": _from_to(1e-6, 1000000),
    "RBF_C": _from_to(1e-6, 1000000),
    "RBF_GAMMA": _from_to(1e-6, 1000000),
    "AUTHORS_SHARE": _from_to(0, 1),
    "LOGISTIC_MAX_ITER": _from_to(1, 1000000),
    "FRAMES_PER_VIDEO": _from_to(1, 10000),
    "FACE_MARGIN": _from_to(0.1, 10),
    "FALSE_ALARM_RATE": _from_to(0, 0.5),
    "CUT_OFF": ("0 (DC) to below 1 (the corner)", lambda share: 0 <= share < 1),
    "N_IMAGES": _from_to(1, 10000),
    "SIDE": _from_to(9, 8192),
    "N_ROWS": _from_to(100, 100_000_000),
    "N_ADDED": _from_to(0, 1_000_000),
    "FILE_COUNTS": (
        "at least one number, each 4 to 1000000",
        lambda counts: counts and 4 <= min(counts) <= max(counts) <= 1_000_000,
    ),
    "WORKERS_SIDE": _from_to(9, 8192),
    "WORK_DIR": ("a folder", lambda folder: folder.is_dir() or not folder.exists()),
    "JPEG_QUALITY": _from_to(1, 100),
    "N_REPEATS": _from_to(1, 1000),
    "N_DRAWS": _from_to(2, 1000000),
    "SEED": _from_to(0, 2**32 - 1),  # as scikit-learn has it
    "N_THREADS": ("1 to 1024, or -1 for one per core", lambda n_threads: n_threads == -1 or 1 <= n_threads <= 1024),
    "SEEDS": (
        "at least one number, each 0 to 4294967295, none twice",
        lambda seeds: seeds and 0 <= min(seeds) <= max(seeds) < 2**32 and len(set(seeds)) == len(seeds),
    ),
    "STEPS": _from_to(1, 1000000),
    "IMAGE_SIZE": ("32, 64 or 128", lambda side: side in (32, 64, 128)),
    "N_TRAINING": _from_to(1, 10000000),
    "N_HELD_OUT": _from_to(8, 100000),
    "WIDTH": ("a multiple of 32, 32 to 4096", lambda width: width % 32 == 0 and 32 <= width <= 4096),
    "EPOCHS": _from_to(1, 10000),
    "L1_STEPS": _from_to(0, 1000000),
    "BATCH_SIZE": _from_to(2, 1024),
    "PATCH_SIDE": ("a multiple of 4, 8 to 300", lambda side: side % 4 == 0 and 8 <= side <= 300),
    "LEARNING_RATE": _from_to(1e-9, 1),
    "BETAS": ("two numbers, 0 to below 1", lambda betas: len(betas) == 2 and all(0 <= beta < 1 for beta in betas)),
    "ADVERSARIAL_WEIGHT": _from_to(0, 1000),
    "OUTPUT_DIR": ("a folder", lambda folder: folder.is_dir() or not folder.exists()),
}

OUT_OF_MEMORY = (  # what errors say: Python's and NumPy's, OpenCV's, PyTorch's, the system's
    "MemoryError", "can't start new thread", "Insufficient memory", "can't allocate memory", "Cannot allocate memory",
    "failed to map segment",
)  # fmt: skip

WRITTEN_AS = {  # in Python; of the other types the text is read, as a flag's is
    bool: (bool, "True or False"),
    str: (str, "a text in quotes"),
    Path: (Path | str, 'Path("...")'),
}


def read_settings(
    script: str, arguments: list[str] | None = None, positional: tuple[str, ...] | None = None
) -> types.SimpleNamespace:
    """Return the constants of a script, overridden by its shell flags.

    Parameters
    ----------
    script : str
        `__name__` of the script. Its docstring is the text above the flags in `--help`.
    arguments : list of str, optional
        The command line; default `sys.argv[1:]`.
    positional : (name, help) or (name, help, "*"), optional
        The script also takes one or more arguments without a flag, returned as a tuple of str under `name`; "*": or
        none.

    Returns
    -------
    types.SimpleNamespace
        One attribute per annotated constant, in lower case and in the order of the file. Paths are absolute.

    Raises
    ------
    SystemExit
        Status 2 and one sentence for an unknown flag, or a flag or a constant of the wrong type; status 0 after
        `--help`.
    UsageError
        A value that its constant cannot have, or a constant that lost its annotation or its value.
    ModuleNotFoundError
        A package of requirements.txt is not installed.
    """
    module = sys.modules[script]
    source = Path(module.__file__).read_text(encoding="utf-8")
    annotations = inspect.get_annotations(module)
    _check_annotations(module, source, annotations, positional[:1] if positional else ())
    constants = {name: (annotation, getattr(module, name)) for name, annotation in annotations.items()}
    started_by_name = script == "__main__" and module.__spec__ is not None  # python -m package.module
    parser = _OneSentenceParser(
        prog=f"-m {module.__spec__.name}" if started_by_name else None,
        description=inspect.getdoc(module),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    comments = _trailing_comments(source)
    for name, (annotation, value) in constants.items():
        _add_flag(parser, name, annotation, _help_text(comments.get(name, ""), value))
    words = [word for name, (annotation, value) in constants.items() for word in _as_words(name, annotation, value)]
    parser.set_defaults(**vars(parser.parse_args(words)))
    if positional:
        name, text, n_words = (*positional, "+")[:3]
        parser.add_argument(name, nargs=n_words, help=text, metavar=name.upper())
    settings = parser.parse_args(arguments)
    require(*REQUIRED)  # a package that is missing is better known now than at the end of the run
    for name in constants:
        value = getattr(settings, name.lower())
        expected, is_allowed = ALLOWED_VALUES.get(name, ("", lambda value: True))
        if value is not None and not is_allowed(value):
            raise UsageError(f"{name} is {_as_text(value)}: expected {expected}")
    return settings


def only_one(**settings: object) -> None:
    """End the run where the user named several things of which one is used (UsageError); None counts as not named."""
    named = [name for name, value in settings.items() if value is not None]
    if len(named) > 1:
        raise UsageError(f"found both {' and '.join(named)}: name one of them")


def settings_record(settings: types.SimpleNamespace) -> dict:
    """Return the settings as JSON values under their constants' names; paths are written relative to the repository."""

    def plain(value):
        if isinstance(value, Path):
            return repository_path(value)
        return [plain(item) for item in value] if isinstance(value, tuple | list) else value

    return {name.upper(): plain(value) for name, value in vars(settings).items()}


@libraries_silent()
def run(main: Callable[[], int | None]) -> None:
    """Call `main` and exit, with one sentence on stderr if it did not end well.

    The status is 0 done, 1 the run failed or what it printed was lost, 2 the call was wrong, 130 interrupted (128 and
    the number of the signal).
    """
    with redirect_stderr(Console(sys.stderr)) as errors, redirect_stdout(Console(sys.stdout)) as output:
        status, sentence = _outcome(main)  # whose exception is gone: what that still held open is closed now
        output.flush()
        if output.error and not status:
            has_left = isinstance(output.error, BrokenPipeError)  # as `head` does when it has seen enough
            lost = f"stdout: {output.error.strerror}; some of what was printed is lost, every file is written"
            status, sentence = 1, "" if has_left else lost
        if sentence:
            print(signed(_one_line(sentence)), file=errors, flush=True)
    if interrupts.received():
        os._exit(status)  # Python would wait for a fit of minutes
    sys.exit(status)


class _OneSentenceParser(argparse.ArgumentParser):
    """argparse, less the usage block in front of an error, and with a namespace that scripts can rely on."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {_one_line(message)}; `python {self.prog} --help` lists the flags\n")

    def parse_args(self, args=None):
        parsed = super().parse_args(args)
        return types.SimpleNamespace(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in vars(parsed).items()}
        )


def _add_flag(parser, name, annotation, help_text):
    """Declare `--name` for the constant `NAME: annotation`."""
    kind = _kind_of(annotation)
    options = {"dest": name.lower(), "help": help_text}
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    elif typing.get_origin(kind) is typing.Literal:
        options["choices"] = typing.get_args(kind)
        if kind is not annotation:
            options |= {"choices": (*options["choices"], None), "type": _value_reader(str, True)}
            options["metavar"] = f"{{{','.join(typing.get_args(kind))},none}}"
    elif typing.get_origin(kind) is tuple:
        options |= {"nargs": "*", "type": _value_reader(typing.get_args(kind)[0], False)}
        options["metavar"] = typing.get_args(kind)[0].__name__.upper()
    else:
        options |= {"type": _value_reader(kind, kind is not annotation), "metavar": kind.__name__.upper()}
    parser.add_argument(_flag(name), **options)


def _as_words(name, annotation, value):
    """Return a constant as the words of the command line that say the same."""
    flag, kind = _flag(name), _kind_of(annotation)
    if value is None and kind is not annotation:
        return [f"{flag}=none"]
    if typing.get_origin(kind) is tuple:
        (kind, _), values = typing.get_args(kind), value if isinstance(value, tuple | list) else [value]
        return [flag, *(_as_word(name, kind, item) for item in values)]
    word = _as_word(name, kind, value)
    if kind is bool:
        return [flag if value else flag.replace("--", "--no-", 1)]
    return [f"{flag}={word}"]


def _as_word(name, kind, value):
    """Return one value of a constant as the command line says it."""
    accepted, expected = WRITTEN_AS.get(kind, (object, ""))
    if not isinstance(value, accepted):
        raise UsageError(f"{name} is {_written(value, repr)}: expected {expected}")
    return str(REPOSITORY / os.path.expanduser(value)) if kind is Path and str(value) else _written(value)


def _flag(name):
    """Return "--sample-sizes" for "SAMPLE_SIZES"."""
    return "--" + name.lower().replace("_", "-")


def _kind_of(annotation):
    """Return the type of a constant that may also be None."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):  # the latter with a Literal
        return next(kind for kind in typing.get_args(annotation) if kind is not types.NoneType)
    return annotation


def _value_reader(kind, optional):
    """Return the function that turns a word of the command line into a value of `kind`."""

    def read(text):
        if optional and text.lower() == "none":
            return None
        if kind is not Path:
            return kind(text)
        if not text or "\0" in text:  # an empty one is a shell variable without a value, not the current folder
            raise ValueError("no path")
        return Path.cwd() / os.path.expanduser(text)

    read.__name__ = kind.__name__  # argparse names it in its message
    return read


def _help_text(comment, default):
    """Return the trailing comment and the default, with the per cent signs that argparse would format escaped."""
    return f"{comment} (default: {_as_text(default)})".replace("%", "%%").strip()


def _as_text(value):
    """Return a setting as the user writes it on the command line."""
    if isinstance(value, Path):
        return repository_path(REPOSITORY / value)
    return (" ".join(map(_written, value)) if isinstance(value, tuple | list) else _written(value)) or "empty"


def _written(value, write=str):
    """Return a value as text, even where Python writes none: of a number of thousands of digits."""
    try:
        return write(value)
    except ValueError:
        return f"<{type(value).__name__} of too many digits>"


def _one_line(sentence, most=1000):
    """Return a sentence on one line, without the middle of a very long one: it may quote what the user wrote."""
    line = printable(sentence)
    return line if len(line) <= most else f"{line[: most // 2]} ... {line[-most // 4 :]}"


def _check_annotations(module, source, annotations, not_settings):
    """End the run where a constant is no setting, for want of an annotation or a value: its edit would do nothing."""
    tree = ast.parse(source)
    lines = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            lines[getattr(target, "id", "")] = node.lineno
    of_settings = [lines[name] for name in annotations] or [0]
    expected = {name for name, line in lines.items() if min(of_settings) < line < max(of_settings)}
    for node in ast.walk(tree):  # the first and the last constant stand among no others, but the code asks for them
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "settings":
            expected.add(node.attr.upper())
    for name in sorted(expected.difference(map(str.upper, not_settings)), key=lambda name: lines.get(name, 0)):
        if name.isupper() and not (name in annotations and hasattr(module, name)):
            lost = "annotation" if hasattr(module, name) else "value"
            raise UsageError(f"{name} has lost its {lost}: write it as `{name}: type = value`")


def _trailing_comments(source):
    """Return {constant: comment at the end of its assignment} for the module's annotated constants."""
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return {
        node.target.id: comments.get(node.end_lineno, "")
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign)
    }


def _outcome(main):
    """Return the exit status of `main` and a sentence if it did not end well; a defect is shown whole."""
    try:
        try:
            interrupts.raise_first()
            status = main()
            sys.stdout.flush()
        finally:
            interrupts.ignore()
        if interrupts.received():  # and who caught that went on
            raise KeyboardInterrupt
        return status or 0, ""
    except BaseException as error:
        if interrupts.received() and not isinstance(error, KeyboardInterrupt):
            error = KeyboardInterrupt()  # whatever it was turned into on its way
        return _judgement_of(error)


def _judgement_of(error):
    """Return the exit status and the sentence for the exception that ended a run."""
    match error:
        case SystemExit():  # after --help, or a wrong flag
            return error.code or 0, ""
        case ExperimentError():
            return error.exit_status, str(error)
        case KeyboardInterrupt():
            kept = str(error) or "every file that was finished is kept"
            return 128 + (interrupts.received() or 2), f"interrupted; {kept}; run the same command again to go on"
        case _ if any(words in repr(error) for words in OUT_OF_MEMORY):
            return 1, "not enough memory; lower N_THREADS, or give it fewer or smaller files at a time"
        case ImportError():
            return 1, f"{error}; run: pip install -r {requirements_of(error)}"
        case OSError(errno=int()):  # without it not the operating system's word: a defect
            return 1, f"{error.filename or 'a file'}: {error.strerror}; mend that and run the same command again"
        case _:
            raise error
