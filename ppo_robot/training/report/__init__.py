"""One HTML page about a run: curves, accuracy, episodes, a moving picture, and where it all comes from."""

from __future__ import annotations

from pathlib import Path

from ppo_robot.errors import BadInputError, PpoRobotError
from ppo_robot.files import write_atomically
from ppo_robot.kinematics import RobotModel
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.training.progress import counting
from ppo_robot.training.report.accuracy import accuracy_charts
from ppo_robot.training.report.curves import learning_charts
from ppo_robot.training.report.episodes import EpisodeTrace, record_episodes
from ppo_robot.training.report.facts import RunFacts, read_run
from ppo_robot.training.report.page import page
from ppo_robot.training.report.trajectories import episode_charts
from ppo_robot.training.report.video import episodes_gif, frame_count

REPORT_FILE = "report.html"
EPISODES = 3


def write_report(directory: Path, out: Path | None = None, video: bool = True) -> Path:
    """Write the report of a run and return its path; by default it lies in the run directory.

    Args:
        directory: the run, ended or not; what it lacks is named on the page.
        out: the page's file.
        video: whether to render the moving picture, which takes most of the time.

    Raises:
        SpecError: if `directory` is no run directory.
        BadInputError: if the page cannot be written.
    """
    facts = read_run(directory)
    flies = isinstance(facts.experiment.task, FlightTaskSpec)
    if flies:
        facts.missing.append("No pictures of episodes or of their errors: they are drawn for robots with joints alone.")
    path = out or directory / REPORT_FILE
    if not path.parent.is_dir():  # said before the film is rendered, not after
        raise BadInputError(f"{path}: the report cannot be written (no such directory {path.parent})")
    traces = _traces(facts)
    gif = _video(facts, traces) if video and traces else None
    text = page(
        facts,
        gif,
        learning_charts(facts.records, facts.experiment) if facts.records else [],
        accuracy_charts(facts.evaluation, facts.experiment) if facts.evaluation is not None and not flies else [],
        episode_charts(traces, facts.experiment) if traces else [],
    )
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise BadInputError(f"{path}: the report cannot be written ({error.strerror}); give another place") from None
    return path


def _traces(facts: RunFacts) -> list[EpisodeTrace]:
    """Run the bundle's policy on the run's own robot and task, which know where the URDF's meshes lie."""
    experiment = facts.experiment
    if facts.bundle is None or isinstance(experiment.task, FlightTaskSpec):
        return []
    try:
        return record_episodes(experiment.arm, experiment.arm_task, facts.bundle.runtime, experiment.seed, EPISODES)
    except PpoRobotError as error:
        facts.missing.append(f"No episodes to show: the policy could not be run. {error}")
        return []


def _video(facts: RunFacts, traces: list[EpisodeTrace]) -> bytes | None:
    experiment = facts.experiment
    try:
        with counting("film", frame_count(traces)) as advance:
            return episodes_gif(RobotModel(experiment.arm), experiment.arm_task, traces, on_progress=advance)
    except PpoRobotError as error:
        facts.missing.append(f"No moving picture: {error}")
        return None
