"""The errors that a person sees as one line, and the exit code that each stands for.

Exit codes: 0 good, 1 the thing judged is not good enough, 2 bad input, 3 interrupted but saved and resumable,
4 the run itself failed (a worker died, a number stopped being finite).
"""

EXIT_GOOD = 0
EXIT_NOT_GOOD_ENOUGH = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 3
EXIT_RUN_FAILED = 4


class PpoRobotError(Exception):
    """Base of the errors that the command line prints as one line instead of a traceback."""

    exit_code = EXIT_RUN_FAILED


class BadInputError(PpoRobotError):
    """What the user gave cannot be used: the message names it, what was expected, and how to mend it."""

    exit_code = EXIT_BAD_INPUT


class SpecError(BadInputError):
    """A robot, task, training or deployment file is wrong."""


class BundleError(BadInputError):
    """A policy bundle is torn, altered, or made for another robot."""


class CheckpointError(BadInputError):
    """No intact checkpoint could be read."""


class RunFailedError(PpoRobotError):
    """A run stopped on its own: a dead worker, or a number that is no longer finite."""
