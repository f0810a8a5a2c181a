"""A script's annotated UPPER_CASE constants are its settings; each is also a shell flag.

    SAMPLE_SIZES: tuple[int, ...] = (4000, 1000)  # images in total, all sources together

becomes `--sample-sizes 4000 1000`: the type comes from the annotation, the help from the trailing comment, the
default from the value. A relative path in a constant is taken from the repository, one in a flag from the current
folder. `run` turns every expected failure of a script into one sentence and an exit status.
"""

import argparse
import ast
import inspect
import io
import os
import sys
import tokenize
import types
import typing
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


class ExperimentError(Exception):
    """The run cannot go on: what was found, what was expected, what to do. Printed without a traceback, status 1."""

    exit_status = 1


class UsageError(ExperimentError):
    """The call was wrong: a flag or a constant asks for something that is not there. Status 2."""

    exit_status = 2


def read_settings(
    script: str, arguments: list[str] | None = None, positional: tuple[str, str] | None = None
) -> types.SimpleNamespace:
    """Return the constants of a script, overridden by its shell flags.

    Parameters
    ----------
    script : str
        `__name__` of the script. Its docstring is the text above the flags in `--help`.
    arguments : list of str, optional
        The command line; default `sys.argv[1:]`.
    positional : (name, help), optional
        The script also takes one or more arguments without a flag, returned as a tuple of str under `name`.

    Returns
    -------
    types.SimpleNamespace
        One attribute per annotated constant, in lower case and in the order of the file. Paths are absolute.

    Raises
    ------
    SystemExit
        Status 2 and one sentence for an unknown flag or a value of the wrong type; status 0 after `--help`.
    """
    module = sys.modules[script]
    parser = _OneSentenceParser(
        description=inspect.getdoc(module), formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    if positional:
        name, text = positional
        parser.add_argument(name, nargs="+", help=text, metavar=name.upper())
    comments = _trailing_comments(Path(module.__file__).read_text(encoding="utf-8"))
    for name, annotation in inspect.get_annotations(module).items():
        _add_flag(parser, name, annotation, _from_repository(getattr(module, name)), comments.get(name, ""))
    return parser.parse_args(arguments)


def settings_record(settings: types.SimpleNamespace) -> dict:
    """Return the settings as JSON values under their constants' names; paths are written relative to the repository."""

    def plain(value):
        if isinstance(value, Path):
            return os.path.relpath(value, REPOSITORY)
        return [plain(item) for item in value] if isinstance(value, tuple | list) else value

    return {name.upper(): plain(value) for name, value in vars(settings).items()}


def run(main: Callable[[], int | None]) -> None:
    """Call `main` and exit: 0 done, 1 the run failed, 2 the call was wrong, 130 interrupted; one sentence on stderr."""
    try:
        status = main()
        sys.stdout.flush()  # a full disk or a reader that has left shows here, not after the last line of Python
    except ExperimentError as error:
        status = _complain(str(error), error.exit_status)
    except KeyboardInterrupt as interrupt:
        kept = str(interrupt) or "every file that was finished is kept"
        status = _complain(f"interrupted; {kept}; run the same command again to go on", 130)
    except ImportError as error:
        status = _complain(f"{error}; run: pip install -r requirements.txt", 1)
    except BrokenPipeError:  # the reader of our output has left, as in `| head`
        _drop_output()
        status = 1
    except OSError as error:
        if error.errno is None:  # not the operating system's word: a defect, shown whole
            raise
        status = _complain(
            f"{error.filename or 'a file'}: {error.strerror}; mend that and run the same command again", 1
        )
    sys.exit(status or 0)


class _OneSentenceParser(argparse.ArgumentParser):
    """argparse, less the usage block in front of an error, and with a namespace that scripts can rely on."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; `python {self.prog} --help` lists the flags\n")

    def parse_args(self, args=None):
        parsed = super().parse_args(args)
        return types.SimpleNamespace(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in vars(parsed).items()}
        )


def _add_flag(parser, name, annotation, default, comment):
    """Declare `--name` for the constant `NAME: annotation = default  # comment`."""
    optional = isinstance(annotation, types.UnionType)
    kind = next(a for a in typing.get_args(annotation) if a is not types.NoneType) if optional else annotation
    options = {"dest": name.lower(), "default": default, "help": _help_text(comment, default)}
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    elif typing.get_origin(kind) is typing.Literal:
        options["choices"] = typing.get_args(kind)
    elif typing.get_origin(kind) is tuple:
        options |= {"nargs": "*", "type": _value_reader(typing.get_args(kind)[0], False)}
        options["metavar"] = typing.get_args(kind)[0].__name__.upper()
    else:
        options |= {"type": _value_reader(kind, optional), "metavar": kind.__name__.upper()}
    parser.add_argument("--" + name.lower().replace("_", "-"), **options)


def _value_reader(kind, optional):
    """Return the function that turns a word of the command line into a value of `kind`."""

    def read(text):
        if optional and text.lower() == "none":
            return None
        return Path.cwd() / Path(text).expanduser() if kind is Path else kind(text)

    read.__name__ = kind.__name__  # argparse names it in its message
    return read


def _help_text(comment, default):
    """Return the trailing comment and the default, with the per cent signs that argparse would format escaped."""
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
    if isinstance(default, Path):
        shown = os.path.relpath(default, REPOSITORY)
    return f"{comment} (default: {shown})".replace("%", "%%").strip()


def _from_repository(value):
    """Return a relative path made absolute from the repository; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(_from_repository(item) for item in value)
    return REPOSITORY / value if isinstance(value, Path) else value


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


def _drop_output():
    """Send what stdout still holds nowhere: Python writes it once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(sentence, status):
    """Print one sentence on stderr, after whatever stdout still holds, and return the exit status."""
    try:
        sys.stdout.flush()
    except OSError:  # stdout itself is what failed
        _drop_output()
    print(f"{Path(sys.argv[0]).name}: {sentence}", file=sys.stderr)
    return status
