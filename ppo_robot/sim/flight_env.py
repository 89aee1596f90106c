"""The batched environment of floating robots: B of them, their waypoints, and the arrays that a learner reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.flight_actions import FlightActionPath
from ppo_robot.mdp.flight_observations import FLIGHT_CRITIC_OBSERVATIONS, FLIGHT_OBSERVATIONS
from ppo_robot.mdp.flight_rewards import FLIGHT_REWARDS
from ppo_robot.mdp.flight_terminations import FLIGHT_TERMINATIONS
from ppo_robot.mdp.flight_view import FlightView
from ppo_robot.mdp.observer import Observer
from ppo_robot.mdp.rewards import RewardSum
from ppo_robot.mdp.terminations import TerminationAny
from ppo_robot.mdp.view import sum_of_squares
from ppo_robot.mdp.waypoints import FLIGHT_GOALS, WaypointTracker, check_waypoint
from ppo_robot.sim.critic import CriticObserver
from ppo_robot.sim.episodes import EpisodeBatch
from ppo_robot.sim.flight_plant import CommandLine, make_flight_plant
from ppo_robot.sim.flight_sensors import FlightSensors
from ppo_robot.sim.flight_start import flight_starts
from ppo_robot.sim.plants import PlantName
from ppo_robot.sim.randomization import Randomization
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

FLIGHT_METRICS = (
    *("return", "length", "success", "final_error", "settle_time", "action_rate", "effort", "waypoints"),
    "left_cage",
    *("goal_x", "goal_y", "goal_z"),
)
"""Columns of an ended episode's summary; `final_error` is the distance from the waypoint that is flown to,
`settle_time` when the last one was reached, `goal` the last one."""


class FlightEnv(EpisodeBatch[FlightView]):
    """Floating robots; see `EpisodeBatch`."""

    def __init__(
        self,
        robot: FloatingSpec,
        task: FlightTaskSpec,
        indices: Sequence[int],
        seed: int = 0,
        plant: PlantName = "pybullet",
    ) -> None:
        """Build the environments with the global `indices` in the simulator `plant`; `reset` before the first `step`.

        Raises:
            SpecError: if the task names an unknown term, or asks more of the robot than it can.
            BadInputError: if the plant's library is not installed, or it cannot load the URDF.
        """
        self.robot, self.task = robot, task
        self.airframe = Airframe(robot)
        batch, period, spec = len(indices), task.control_period, task.simulation
        self.plant = make_flight_plant(plant, self.airframe, spec, batch)
        drawn = Randomization(task, self.airframe, self.plant.nominal, batch)
        terms = (
            Observer(task.observations, batch, FLIGHT_OBSERVATIONS),
            CriticObserver(task, batch, FLIGHT_CRITIC_OBSERVATIONS),
            RewardSum(task.rewards, period, FLIGHT_REWARDS),
            TerminationAny(task.terminations, FLIGHT_TERMINATIONS),
        )
        self.actions = FlightActionPath(task.action, self.airframe, spec.gravity, period, batch)
        super().__init__(task, indices, seed, self.actions.action.shape[1], drawn, terms)
        paced = "control_period" in drawn.values
        longest = drawn.highest("action_latency") if paced or "action_latency" in drawn.values else None
        self.line = CommandLine(spec.actuator.delay, spec.physics_period, task.substeps, batch, longest)
        late, shortest = drawn.highest("observation_latency"), spec.physics_period if paced else None
        self.sensors = FlightSensors(spec.sensors, period, batch, late, shortest)
        drawn.serve(self.plant, self.line, self.sensors)
        self.tracker = WaypointTracker(task.success, period, batch)
        self._draw_goal = FLIGHT_GOALS.bind(task.goal.term, task.goal.params, "goal")
        self.fixed_goal: Array | None = None

    def close(self) -> None:
        """Free the plant."""
        self.plant.close()

    def fix_goal(self, position: Array | None) -> None:
        """Let all waypoints of every later episode be the same (3,) m, or draw them again with None.

        Raises:
            BadInputError: if it lies outside the cage.
        """
        if position is not None:
            check_waypoint(position, self.airframe)
        self.fixed_goal = position

    def _begin(self, rows: Rows) -> None:
        start = flight_starts(self.airframe, self.task.start, self.streams, rows, self.randomization.values)
        self.plant.reset(start, rows)
        count = self.task.success.waypoints
        if self.fixed_goal is None:
            waypoints = self._draw_goal(self.airframe, count, rows, self.streams.uniform)
        else:
            waypoints = np.tile(self.fixed_goal, (len(rows), count, 1))
        self.tracker.reset(waypoints, rows)
        self.actions.reset(rows)
        self.line.reset(self.actions.command[rows], rows)
        self.sensors.reset(self.plant.truth, rows, self.streams)

    def _advance(self, action: NDArray[np.floating]) -> None:
        command = self.actions.apply(action)
        drawn = self.randomization
        drawn.on_step(self.plant.truth)
        self.plant.step(self.line.advance(command, drawn.substeps), drawn.substeps)
        self.tracker.update(self.plant.truth.base_position)
        self.sensors.measure(self.plant.truth, self.streams, drawn.dropped)

    def _account(self, view: FlightView) -> None:
        """There is nothing beside what the tracker follows."""

    def _squared_effort(self, view: FlightView) -> Array:
        share = self.plant.rotor_thrust / self.airframe.spec.motor.thrust_upper
        return sum_of_squares(share) / self.airframe.rotors

    def _own_metric_names(self) -> tuple[str, ...]:
        return FLIGHT_METRICS

    def _own_metrics(
        self, view: FlightView, terminated: NDArray[np.bool_]
    ) -> tuple[Array | NDArray[np.generic], ...]:
        tracker = self.tracker
        return (
            self._sums[:, 0],
            self.episode_step,
            tracker.success & ~terminated,
            view.distance,
            tracker.finish_time,
            self._action_rate,
            self._effort,
            tracker.index,
            self.airframe.outside(self.plant.truth.base_position),
            *tracker.waypoints[:, -1].T,
        )

    def _true_view(self, rows: Rows) -> FlightView:
        return self._view(self.plant.truth, rows)

    def _measured_view(self, rows: Rows) -> FlightView:
        return self._view(self.sensors.measured, rows)

    def _view(self, state: RobotState, rows: Rows) -> FlightView:
        tracker, actions = self.tracker, self.actions
        return FlightView(
            airframe=self.airframe,
            state=state.rows(rows),
            waypoint=tracker.current[rows],
            next_waypoint=tracker.following[rows],
            reached=tracker.reached[rows],
            action=actions.action[rows],
            previous_action=actions.previous_action[rows],
            drawn=self.randomization.drawn[rows],
        )
