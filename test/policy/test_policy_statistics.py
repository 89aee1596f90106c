"""statistics.json: what a policy saw and did, read back as it was written, and refused when it is another's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ppo_robot.errors import BundleError
from ppo_robot.policy import statistics
from ppo_robot.policy.contract import describe
from ppo_robot.policy.statistics import (
    Gathering,
    action_components,
    observation_components,
    read_statistics,
    statistics_tree,
)
from ppo_robot.spec.experiment import Experiment

CONTRACT = {
    "observations": [
        {"name": "joint_velocity", "shape": [2, 2], "joint_names": ["shoulder", "elbow"]},
        {"name": "goal", "shape": [1, 1], "joint_names": []},
    ],
    "action": {"joint_names": ["shoulder", "elbow"]},
}
NAMES = (
    "joint_velocity/shoulder@-1",
    "joint_velocity/elbow@-1",
    "joint_velocity/shoulder",
    "joint_velocity/elbow",
    "goal/0",
)


def gathered(count: int = 11) -> statistics.Statistics:
    """Component k of the observation runs from k to k + count - 1 in whole steps, the actions stand still."""
    gathering = Gathering()
    for row in range(count):
        gathering.add(np.arange(5, dtype=np.float32)[None] + row, np.full((1, 2), 0.25, dtype=np.float32))
    return gathering.statistics(NAMES, action_components(CONTRACT))


def test_components_are_named_by_term_joint_and_age() -> None:
    assert observation_components(CONTRACT) == NAMES
    assert action_components(CONTRACT) == ("shoulder", "elbow")


def test_every_component_of_the_real_task_has_a_name_of_its_own(experiment: Experiment) -> None:
    contract = describe(experiment.robot, experiment.task)
    names = observation_components(contract)
    assert len(set(names)) == len(names) == contract["observation_size"]
    assert names[-1] == "velocity_history/wrist_3_joint" and "velocity_history/wrist_3_joint@-2" in names


def test_figures_are_those_worked_out_by_hand() -> None:
    found = gathered()
    assert found.samples == 11
    assert found.observation.minimum == (0.0, 1.0, 2.0, 3.0, 4.0)
    assert found.observation.maximum == (10.0, 11.0, 12.0, 13.0, 14.0)
    assert found.observation.mean[0] == 5.0
    assert found.observation.std[0] == pytest.approx(np.sqrt(10.0))  # of 0 to 10: (11^2 - 1) / 12
    assert found.observation.deciles[0] == pytest.approx(range(1, 10))
    assert found.action.std == (0.0, 0.0)


def test_bounds_widen_each_range_by_a_share_of_itself_and_a_narrow_one_by_the_least() -> None:
    found = gathered()
    low, high = found.observation.bounds(0.5, 0.1)
    assert (low[0], high[0]) == (-5.0, 15.0)
    low, high = found.action.bounds(0.5, 0.1)
    assert (low[0], high[0]) == pytest.approx((0.2, 0.3))


def test_no_more_rows_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_SAMPLES", 5)
    gathering = Gathering()
    for row in range(3):
        gathering.add(np.full((4, 1), row, dtype=np.float32), np.zeros((4, 1), dtype=np.float32))
    found = gathering.statistics(("a",), ("b",))
    assert (found.samples, found.observation.maximum) == (5, (1.0,))


def test_what_is_kept_does_not_change_with_the_buffer_that_it_came_in() -> None:
    gathering, buffer = Gathering(), np.zeros((1, 1), dtype=np.float32)
    for value in (1.0, 2.0):
        buffer[:] = value
        gathering.add(buffer, buffer)
    assert gathering.statistics(("a",), ("b",)).observation.minimum == (1.0,)


def test_nothing_has_no_statistics() -> None:
    with pytest.raises(ValueError, match="no samples"):
        Gathering().statistics((), ())


def test_they_read_back_as_they_were_written() -> None:
    found = gathered()
    assert read_statistics(json.loads(json.dumps(statistics_tree(found))), CONTRACT) == found
    assert read_statistics(json.loads(json.dumps(statistics_tree(None))), CONTRACT) is None


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree.pop("action"), "given keys samples, observation; expected samples, observation, action"),
        (lambda tree: tree.update(more=1), "given keys .*more"),
        (lambda tree: tree.update(samples=True), "samples: given True"),
        (lambda tree: tree.update(samples=0), "samples: given 0"),
        (lambda tree: tree["observation"].pop("mean"), "observation: expected names, minimum"),
        (lambda tree: tree.update(action=None), "action: expected names, minimum"),
        (lambda tree: tree["observation"]["names"].reverse(), "observation: .*another bundle's"),
        (lambda tree: tree["observation"].update(mean=[0.0]), "observation.mean: expected 5 finite numbers"),
        (lambda tree: tree["observation"].update(mean=["x"] * 5), "observation: expected numbers"),
        (lambda tree: tree["observation"]["std"].__setitem__(0, float("nan")), "observation.std: expected 5 finite"),
        (lambda tree: tree["observation"]["deciles"].pop(), "observation.deciles: expected 5 x 9 finite"),
        (lambda tree: tree["observation"]["minimum"].__setitem__(0, 9.0), "minimum, deciles and maximum"),
        (lambda tree: tree["observation"]["std"].__setitem__(0, -1.0), "minimum, deciles and maximum"),
    ],
)
def test_what_was_altered_is_refused(change: Change, message: str) -> None:
    tree = json.loads(json.dumps(statistics_tree(gathered())))
    change(tree)
    with pytest.raises(BundleError, match=message):
        read_statistics(tree, CONTRACT)
