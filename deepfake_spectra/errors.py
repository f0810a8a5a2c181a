"""What can go wrong in a run, each said in one sentence."""


def check(is_right: bool, what_is_wrong: str) -> None:
    """Raise ValueError unless something in a file is as it must be; who reads the file words the sentence."""
    if not is_right:
        raise ValueError(what_is_wrong)


class ExperimentError(Exception):
    """The run cannot go on: what was found, what was expected, what to do. Printed without a traceback, status 1."""

    exit_status = 1


class UsageError(ExperimentError):
    """The call was wrong: a flag or a constant asks for something that is not there. Status 2."""

    exit_status = 2


class UnreadableImage(Exception):
    """The reason why a file gives no spectrum, in a few words."""


class NoCrops(Exception):
    """The reason why a video or an image gives no face crop, in a few words."""


class NoCropsNow(NoCrops):
    """A reason that may pass, and says nothing about the file: no permission, a disk that fails, no memory."""
