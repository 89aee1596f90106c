"""Domain randomization: draws what a task's `simulation.randomization` names, and hands it to plant, servo, sensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.airframe import Airframe
from ppo_robot.sim.curriculum import movable_ends
from ppo_robot.sim.draw_table import DrawTable, StepDraws
from ppo_robot.sim.draws import bind, parameter_labels
from ppo_robot.sim.intervals import Intervals
from ppo_robot.sim.joined import Joined
from ppo_robot.sim.randomness import EpisodeStreams
from ppo_robot.spec.kinds import AnyTask
from ppo_robot.spec.randomization import PARAMETERS
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Values = Mapping[str, Array]
"""Parameter to values (B, w), of every parameter that some entry draws."""


class Part(Protocol):
    """What takes drawn values: a plant, a servo, sensors."""

    def apply(self, values: Values, rows: Rows) -> None:
        """Take over the values of `rows` (k,); parameters that it does not know are not its business."""


class Randomization:
    """The drawn parameters of B robots.

    Whoever owns it calls `on_reset` before robots are put where they start, and `on_step` before each control period.
    What an episode draws depends on where its environment's stream stood at its start and on nothing else.

    Attributes:
        names: (n,) names of the columns of `drawn`: the entry's name, and that of its joint, link or axis.
        drawn: (B, n) the values in force, in SI units, factors and shares as such.
        values: those values by parameter, entries of one parameter combined.
        substeps: (B,) physics steps of the control period that begins, or None where all have the task's own number.
        load: (B, J) N·m on the joints in the control period that begins, or None.
        share: (E, 2) how much of each range is in force for episodes that begin now.
        pinned: share of the episodes that pin one end of one range for all of their draws.
        corners: share of the episodes that pin an end of every range, each picked at random.
        boundary: (B,) which end that is (see `sim.curriculum`), or -1.
        dropped: (B,) whether the state at the end of that period is lost, or None where none ever is.
    """

    def __init__(
        self, task: AnyTask, model: RobotModel | Airframe, nominal: Mapping[str, float], batch: int
    ) -> None:
        """Bind the entries of a task; `nominal` holds the plant's own values of absolute parameters.

        Raises:
            SpecError: if an entry names a joint or link that the robot lacks.
        """
        self.entries = bind(task.simulation.randomization, model.spec, nominal)
        self.names = tuple(label for entry in self.entries for label in entry.labels)
        self.drawn = np.zeros((batch, len(self.names)))
        self.substeps: NDArray[np.int64] | None = None
        self.load: Array | None = None
        self._plant: Part | None = None
        self._path: Sequence[Part] = ()
        self._all = np.arange(batch)
        self._model = model
        self._period, self._physics, self._substeps = task.control_period, task.simulation.physics_period, task.substeps
        self._place: list[slice] = []
        for entry in self.entries:
            begin = self._place[-1].stop if self._place else 0
            self._place.append(slice(begin, begin + len(entry.columns)))
            self.drawn[:, self._place[-1]] = entry.nominal
        self._spans = np.array([entry.spec.episodes for entry in self.entries]).reshape(-1, 2)
        self._bind_draws(batch)
        self._of: dict[str, list[int]] = {}
        for index, entry in enumerate(self.entries):
            self._of.setdefault(entry.parameter, []).append(index)
        self.values: dict[str, Array] = self._bind_values(batch)
        self.dropped = np.zeros(batch, dtype=bool) if "dropout_probability" in self.values else None
        self.pinned = self.corners = 0.0
        self.boundary = np.full(batch, -1)
        ends = [(index, end) for index, e in enumerate(self.entries) for end in (0, 1) if movable_ends(e)[end]]
        self._ends = np.array(ends, dtype=np.intp).reshape(-1, 2)
        self._ranged = np.array([entry.has_ends for entry in self.entries], dtype=bool)
        self._lag = np.zeros(batch)
        self._held = np.zeros(batch, dtype=np.int64)

    def __bool__(self) -> bool:
        """Whether anything is drawn at all."""
        return bool(self.entries)

    def serve(self, plant: Part, *path: Part) -> None:
        """Hand what is drawn to a plant, and to what lies between it and the policy: servo and sensors."""
        self._plant, self._path = plant, path

    def set_share(self, share: Array) -> None:
        """Let episodes that begin from now on draw from shares (E, 2) of the entries' ranges (see `Entry.values`)."""
        self.share = np.array(share, dtype=float).reshape(len(self.entries), 2)
        for when, table in self._tables.items():
            table.set_share(self.share[self._when[when]])

    def under(self, shares: Array | None, rows: Rows) -> Iterator[Rows]:
        """Yield `rows` (k,) in groups whose episodes began under the same of `shares` (B, E, 2), while those hold."""
        if shares is None or not len(rows):
            yield from (rows,) if len(rows) else ()
            return
        now = self.share
        kinds, kind = np.unique(shares[rows].reshape(len(rows), -1), axis=0, return_inverse=True)
        for index, share in enumerate(kinds):
            self.set_share(share)
            yield rows[kind.ravel() == index]
        self.set_share(now)

    def highest(self, parameter: str) -> float:
        """Return the largest value that a parameter can take, 0 where it is not drawn: for the sizes of buffers."""
        return sum(self.entries[index].bounds[1] for index in self._of.get(parameter, ()))

    def on_reset(self, rows: Rows, words: NDArray[np.uint64]) -> None:
        """Draw for episodes that begin in `rows` (k,), whose environments' streams stand at `words` (k, STATE_WORDS).

        Hands the values to plant, servo and sensors.
        """
        if not self.entries:
            return
        self._draw_episodes(rows, words)
        self._lag[rows] = 0.0
        self._held[rows] = 0
        if self.dropped is not None:
            self.dropped[rows] = False
        self._joined.join(self.drawn, rows)
        self._hand_out(rows, rows)

    def on_step(self, truth: RobotState) -> None:
        """Draw for the control period that begins, of robots that are as `truth` says."""
        if not self.entries:
            return
        self._steps.draw(self.drawn, self._all)
        fired = self._intervals.advance(self.drawn)
        self._joined.join_moving(self.drawn, self._all)
        self._hand_out(fired, self._all if self._when["step"] else fired)  # at each step no plant draws anything
        self._set_period()
        self._set_load(truth)
        self._set_dropout()

    def encode(self, truth: RobotState) -> RobotState:
        """Return the state as encoders with a wrong zero tell it; the state itself where none is drawn."""
        zero = self.values.get("joint_zero")
        if zero is None:
            return truth
        return dataclasses.replace(truth, joint_position=truth.joint_position + zero)

    def decode(self, reference: Array) -> Array:
        """Return where joints go that servos with wrong zeros hold at the reference (S, B, J) rad."""
        zero = self.values.get("joint_zero")
        return reference if zero is None else reference - zero

    def _draw_episodes(self, rows: Rows, words: NDArray[np.uint64]) -> None:
        """Draw all that stands when an episode begins."""
        for place, row in enumerate(rows.tolist()):
            self._streams.begin(row, words[place])
            if self._when["start"]:
                self._run_streams.begin(row, words[place], EpisodeStreams.RUN)
        lot = self._streams.uniform(rows, 1)
        pin = self._choose_ends(rows)
        acting = (lot >= self._spans[:, 0]) & (lot < self._spans[:, 1])
        acting |= (self.boundary[rows] >= 0)[:, None] & ~np.isnan(pin)  # an end that is judged acts, or says nothing
        for when, streams in (("start", self._run_streams), ("reset", self._streams)):
            table = self._tables[when]
            if len(table.columns):
                raw = streams.uniform(rows, table.uniform), streams.normal(rows, table.normal)
                value = table.draw(*raw, pin[:, self._when[when]])
                value = np.where(acting[:, self._when[when]][:, table.owner], value, table.nominal)
                self.drawn[rows[:, None], table.columns] = value
        chosen = self._when["interval"]
        self._intervals.begin(self.drawn, rows, self.share[chosen], acting[:, chosen], pin[:, chosen])
        chosen = self._when["step"]
        self._steps.begin(rows, acting[:, chosen], pin[:, chosen])
        self._steps.draw(self.drawn, rows)

    def _choose_ends(self, rows: Rows) -> Array:
        """Return which entries of episodes that begin in `rows` (k,) are pinned, (k, E): 0 low, 1 high, or NaN."""
        pin = np.full((len(rows), len(self.entries)), np.nan)
        self.boundary[rows] = -1
        if self.pinned > 0.0 and len(self._ends):
            whether, which = self._streams.uniform(rows, 2).T
            ends = self._ends[np.minimum((which * len(self._ends)).astype(np.intp), len(self._ends) - 1)]
            places = np.flatnonzero(whether < self.pinned)
            pin[places, ends[places, 0]] = ends[places, 1]
            self.boundary[rows[places]] = 2 * ends[places, 0] + ends[places, 1]
        if self.corners > 0.0 and len(self._ends):
            raw = self._streams.uniform(rows, 1 + len(self.entries))
            places = np.flatnonzero((raw[:, 0] < self.corners) & (self.boundary[rows] < 0))
            pin[places] = np.where(self._ranged, (raw[places, 1:] >= 0.5).astype(float), np.nan)
        return pin

    def _bind_draws(self, batch: int) -> None:
        """Lay out what is drawn when."""
        self._streams, self._run_streams = EpisodeStreams(batch), EpisodeStreams(batch)
        self._when = {
            when: [index for index, entry in enumerate(self.entries) if entry.spec.when == when]
            for when in ("start", "reset", "interval", "step")
        }
        own = {
            when: ([self.entries[index] for index in indices], [self._place[index] for index in indices])
            for when, indices in self._when.items()
        }
        self._tables = {when: DrawTable(*own[when]) for when in ("start", "reset", "step")}
        self._steps = StepDraws(self._tables["step"], self._streams, batch)
        self._intervals = Intervals(*own["interval"], self._streams, self._period, batch)
        self.set_share(np.ones((len(self.entries), 2)))

    def _bind_values(self, batch: int) -> dict[str, Array]:
        """Return the values (B, w) of each parameter: a part of `drawn` itself where one entry draws all of them."""
        own: dict[str, Array] = {}
        parts = []
        for name, indices in self._of.items():
            width = len(parameter_labels(PARAMETERS[name], self._model.spec))
            if len(indices) == 1 and len(self.entries[indices[0]].columns) == width:
                own[name] = self.drawn[:, self._place[indices[0]]]
            else:
                parts.append((name, width, [(self.entries[index], self._place[index]) for index in indices]))
        self._joined = Joined(parts, batch)
        return {name: own[name] if name in own else self._joined.values[name] for name in self._of}

    def _hand_out(self, plant_rows: Rows, path_rows: Rows) -> None:
        if self._plant is not None and len(plant_rows):
            self._plant.apply(self.values, plant_rows)
        if len(path_rows):
            for part in self._path:
                part.apply(self.values, path_rows)

    def _set_period(self) -> None:
        """Turn longer and shorter control periods into physics steps; what rounding leaves goes to the next period."""
        if "control_period" not in self.values:
            return
        self._lag += self.values["control_period"][:, 0] / self._physics
        more = np.maximum(np.rint(self._lag), 1 - self._substeps)
        self._lag = np.clip(self._lag - more, -1.0, 1.0)
        self.substeps = (self._substeps + more).astype(np.int64)

    def _set_load(self, truth: RobotState) -> None:
        share, push = self.values.get("joint_load"), self.values.get("push")
        model = self._model
        if (share is None and push is None) or not isinstance(model, RobotModel):
            return
        load = np.zeros_like(truth.joint_position) if share is None else share * model.effort_limit
        if push is not None:
            rows = np.flatnonzero(push.any(axis=1))
            if len(rows):  # what a force on the tool asks of the joints: J^T f
                jacobian = model.tool_jacobian(truth.joint_position[rows])
                for axis in range(3):
                    load[rows] += jacobian[:, axis] * push[rows, axis, None]
        self.load = load

    def _set_dropout(self) -> None:
        """Begin dropouts, and go on with those that have begun; the last state is repeated meanwhile."""
        if self.dropped is None:
            return
        begins = self._steps.lot < self.values["dropout_probability"][:, 0]
        hold = self.values.get("dropout_hold")
        length = np.ones(len(self._all)) if hold is None else np.maximum(1.0, np.rint(hold[:, 0] / self._period))
        self._held = np.where(self._held > 0, self._held - 1, np.where(begins, length, 0)).astype(np.int64)
        self.dropped[:] = self._held > 0
