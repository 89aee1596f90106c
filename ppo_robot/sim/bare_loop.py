"""A bare loop of the physics calls that an environment makes, and nothing else: what a rollout is measured against.

Started as `python -m ppo_robot.sim.bare_loop`: reads its settings and then, line by line, for how many seconds to run;
answers each with the control periods done and the seconds that they took.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.actions import ActionPath
from ppo_robot.sim.actuator import PositionServo
from ppo_robot.sim.plant import joint_table, load_robot_body
from ppo_robot.sim.quiet import pybullet
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.strict import build
from ppo_robot.spec.task import TaskSpec


class BareLoop:
    """Robots in physics clients of their own, driven through recorded references with the least code possible."""

    def __init__(self, robot: RobotSpec, task: TaskSpec, robots: int) -> None:
        """Load the robots, and record an episode of references for each, under random actions from random starts.

        A moving arm costs twice one that stands still, and arms that all move alike less than arms that do not: these
        are the calls of an environment with the arguments of an environment.
        """
        model = RobotModel(robot)
        self.bodies = [load_robot_body(model, task.simulation) for _ in range(robots)]
        table = joint_table(*self.bodies[0])
        self.indices = [table[name] for name in robot.joint_names]
        self.forces = model.effort_limit.tolist()
        self.position_gains = [task.simulation.actuator.position_gain] * model.joints
        self.velocity_gains = [task.simulation.actuator.velocity_gain] * model.joints
        self.contacts = task.simulation.self_collision and bool(robot.self_collision_pairs)
        self.starts, self.references = _episodes(model, task, robots)

    def run(self, seconds: float) -> tuple[int, float]:
        """Run whole episodes for at least `seconds`; return the control periods done and the time taken, s."""
        steps, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            steps += self._episode()
        return steps, time.perf_counter() - began

    def _episode(self) -> int:
        indices, forces = self.indices, self.forces
        position_gains, velocity_gains = self.position_gains, self.velocity_gains
        for (client, body), start in zip(self.bodies, self.starts, strict=True):
            for index, position in zip(indices, start, strict=True):
                pybullet.resetJointState(body, index, position, 0.0, physicsClientId=client)
        for period in self.references:
            for (client, body), targets in zip(self.bodies, period, strict=True):
                for target in targets:
                    pybullet.setJointMotorControlArray(
                        body,
                        indices,
                        pybullet.POSITION_CONTROL,
                        targetPositions=target,
                        forces=forces,
                        positionGains=position_gains,
                        velocityGains=velocity_gains,
                        physicsClientId=client,
                    )
                    pybullet.stepSimulation(physicsClientId=client)
                pybullet.getJointStates(body, indices, physicsClientId=client)
                if self.contacts:
                    pybullet.getContactPoints(body, body, physicsClientId=client)
        return len(self.references) * len(self.bodies)


def _episodes(
    model: RobotModel, task: TaskSpec, robots: int
) -> tuple[list[list[float]], list[list[list[list[float]]]]]:
    """Return start positions (B, J) rad and references (T, B, S, J) rad of one episode of B robots."""
    generator = np.random.default_rng(0)
    actions = ActionPath(task.action, model, task.control_period, robots)
    servo = PositionServo(task.simulation.actuator, model, task.simulation.physics_period, task.substeps, robots)
    rows = np.arange(robots)
    spread = generator.uniform(-1.0, 1.0, (robots, model.joints)) * task.start.joint_position_range
    starts = np.clip(model.default_position + spread, actions.lower, actions.upper)
    actions.reset(starts, rows)
    servo.reset(starts, rows)
    draws = generator.uniform(-1.0, 1.0, (task.episode_steps, robots, model.joints))
    references = [servo.advance(actions.apply(draw)).transpose(1, 0, 2).tolist() for draw in draws]
    return starts.tolist(), references


def main() -> None:
    """Serve one bare loop on standard input and output."""
    settings = json.loads(sys.stdin.readline())
    robot = build(RobotSpec, settings["robot"], "robot")
    loop = BareLoop(robot, build(TaskSpec, settings["task"], "task"), settings["robots"])
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(loop.run(float(line))), flush=True)


if __name__ == "__main__":
    main()
