"""What `stop`, `arm` and `reset` share."""

from __future__ import annotations


def print_safety_answer(what: str, timeout: float) -> int:
    """Call `safety/<what>`, print the answer and return the exit code."""
    from ppo_robot.errors import EXIT_GOOD, EXIT_NOT_GOOD_ENOUGH, BadInputError

    if not 0.0 < timeout < float("inf"):
        raise BadInputError(f"--timeout: given {timeout}; expected more than 0 s")
    from ppo_robot.nodes.safety_client import ask_safety

    done, message = ask_safety(what, timeout)
    print(f"safety: {message}" if done else f"safety: {what} refused: {message}")
    return EXIT_GOOD if done else EXIT_NOT_GOOD_ENOUGH
