"""A whole deployment in real time, with relays for states and actions, that is given one fault after the other."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from fault_cases import ELSE, TRAJECTORY, Case
from fault_record import Outcome, Record, bounds_of, judge
from fault_system import BUNDLE, RATE, STATE_PERIOD, Member, Turn, start
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from ros_harness import DEADLINE, domain, until
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from ppo_robot.mdp.goals import GOALS
from ppo_robot.nodes.middleware import join_ros
from ppo_robot.nodes.ros_support import COMMANDS, LATCHED, seconds
from ppo_robot.policy.bundle import load_bundle

DEEP = QoSProfile(depth=2000)
GOAL_PERIOD = 0.5
"""s between two far goals in turn: the policy wants to move all the time, whatever the robot does."""
FAR = 0.5
"""m between the two."""
SLOW, FAST = 0.2, (0.8, 1.5)
"""rad/s of the fastest joint: below the first it has arrived, somewhere in the range the fault begins."""
POLL = 0.002
"""s between two looks at what has come."""
CALM = 0.3
"""s of standing that count as a stand."""
PAUSE = 0.5
"""s for which a process is stopped at least."""
PATIENCE = 4.0
"""s after which an answer counts as lost; an activation waits for the robot's state before it answers."""
ATTEMPTS = 10
LATCHED_FOR = 0.4
"""s that it is watched after the fault has gone: a stop is latched."""

_rigs = itertools.count()


class Rig:
    """Policy, safety node and simulated robot as `system` lists them, in a ROS domain of their own."""

    def __init__(self, folder: Path, case: Case, seed: int = 0) -> None:
        """Start everything as a case needs it and wait until the safety node is there."""
        self.controller, self._inside = case.controller, case.inside
        self.bundle = load_bundle(BUNDLE)
        self.bounds = bounds_of(self.bundle.robot)
        self._folder = folder
        self._random = np.random.default_rng(seed)
        self._joints = len(self.bundle.robot.joints)
        self._open()

    def _open(self) -> None:
        self._number = next(_rigs)
        self._domain = 1 + (domain() - 1 + self._number) % 100
        self.record = Record()
        self.state = self.cause = ""
        self.members: dict[str, Member] = {}
        self._connect()
        try:
            self.members |= start(self._folder, self._domain, self.controller, self._inside)
            self.until(lambda: self.state == "disarmed", "the safety node")
        except BaseException:
            self.close()
            raise

    # The system.

    def _connect(self) -> None:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self._context = Context()
        join_ros([], self._context, self._domain)
        self.node = Node("fault_rig", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._goal = self.node.create_publisher(PoseStamped, "goal_pose", COMMANDS)
        listener = self._listener = Node("fault_rig_listener", context=self._context)
        if self.controller == TRAJECTORY:
            sent = JointTrajectory, "/arm/joint_trajectory", self._on_trajectory
        else:
            sent = Float64MultiArray, "/arm/commands", self._on_forward
        taken = JointState, "sim_robot/commands", self._on_taken
        truth = JointState, "sim_robot/truth", self._on_truth
        self._heard = [listener.create_subscription(*which, DEEP) for which in (sent, taken, truth)]
        state = DiagnosticStatus, "safety/state", self._on_state, LATCHED
        self._heard.append(listener.create_subscription(*state))
        self._clients = {name: self.node.create_client(Trigger, f"safety/{name}") for name in ("arm", "stop", "reset")}
        self._lifecycle = self.node.create_client(ChangeState, "policy/change_state")

    def close(self) -> None:
        """End everything."""
        for member in self.members.values():
            member.signal(signal.SIGCONT)
            member.signal(signal.SIGINT)
            member.close()
        for member in self.members.values():
            member.end()
        self._executor.shutdown()
        self._listener.destroy_node()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    # What comes in.

    def _on_forward(self, message: Float64MultiArray, info: dict[str, Any]) -> None:
        self.record.sent.append((info["publication_sequence_number"], list(message.data)))

    def _on_trajectory(self, message: JointTrajectory, info: dict[str, Any]) -> None:
        self.record.sent.append((info["publication_sequence_number"], list(message.points[0].positions)))

    def _on_taken(self, message: JointState, info: dict[str, Any]) -> None:
        self.record.taken.append((seconds(message.header.stamp), list(message.position)))

    def _on_truth(self, message: JointState, info: dict[str, Any]) -> None:
        self.record.truth.append((seconds(message.header.stamp), list(message.position), list(message.velocity)))

    def _on_state(self, message: DiagnosticStatus, info: dict[str, Any]) -> None:
        self.state = message.message
        self.cause = {value.key: value.value for value in message.values}["cause"]

    # What goes out.

    def step(self) -> None:
        """Take every message that is there, and wait a little.

        Without an executor, which costs more for each than the taking: who listens must not lag behind the robot.
        """
        for subscription in self._heard:
            handle = subscription.handle
            while (taken := handle.take_message(subscription.msg_type, False)) is not None:
                subscription.callback(*taken)
        time.sleep(POLL)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Take messages until the condition holds."""
        until(condition, what, self.step)

    def watch(self, duration: float) -> None:
        """Take messages for a while."""
        limit = time.monotonic() + duration
        while time.monotonic() < limit:
            self.step()

    def ask(self, what: str) -> bool:
        """Call safety/<what>."""
        return bool(self.call(self._clients[what], Trigger.Request()).success)

    def lead(self, *transitions: int) -> bool:
        """Lead the policy through transitions; return whether the last was possible."""
        requests = [ChangeState.Request(transition=Transition(id=number)) for number in transitions]
        return [bool(self.call(self._lifecycle, request).success) for request in requests][-1]

    def call(self, client: Client, request: Any) -> Any:
        """Return the answer of a service; asked again where it was lost."""
        self.until(client.service_is_ready, client.srv_name)
        limit = time.monotonic() + DEADLINE
        while time.monotonic() < limit:
            future = client.call_async(request)
            patience = time.monotonic() + PATIENCE
            while not future.done() and time.monotonic() < patience:
                self._executor.spin_once(timeout_sec=POLL)
                self.step()
            if future.done():
                return future.result()
        raise AssertionError(f"{client.srv_name} did not answer")

    def send_goal(self, goal: np.ndarray) -> None:
        """Send the tool somewhere."""
        message = PoseStamped()
        message.pose.position.x, message.pose.position.y, message.pose.position.z = map(float, goal)
        self._goal.publish(message)

    def _far_goals(self) -> list[np.ndarray]:
        task, workspace = self.bundle.task, self.bundle.robot.workspace
        draw = GOALS.bind(task.goal.term, task.goal.params, "goal")

        def uniform(rows: Any, size: int) -> np.ndarray:
            return self._random.random((len(rows), size))

        while True:
            goals = [draw(workspace, np.arange(1), uniform)[0] for _ in range(2)]
            if np.linalg.norm(goals[0] - goals[1]) > FAR:
                return goals

    # One run.

    def prepare(self) -> None:
        """Arm the robot, with the policy in charge and the tool near some goal; anew, where a process has gone."""
        if any(member.process.poll() is not None for member in self.members.values()):
            self.close()
            self._open()
        for name in ("states", "actions", "intruder"):
            self.members[name].order("good")
        if self.state == "stopped":
            self.until(lambda: self.ask("reset") or self.state == "disarmed", "the reset")
        self.until(lambda: self.state == "disarmed", "disarmed")
        # As a person would: what a policy that goes on wants by now may be far from where the robot stands.
        anew = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
        self.until(lambda: self.lead(*anew), "an active policy")
        self.watch(0.1)  # until the last setpoint before has been taken, too
        self.record = Record()
        self.until(lambda: self.ask("arm") or self.state != "disarmed", "arming")
        goal, again = self._far_goals()[0], Turn(1.0)

        def drive() -> None:
            if again.due():
                self.send_goal(goal)
            self.step()

        until(lambda: (self.state == "active" and self.speed() < SLOW) or self.state == "stopped", "the goal", drive)

    def speed(self) -> float:
        """Return the true speed of the fastest joint, rad/s."""
        return max(map(abs, self.record.truth[-1][2])) if self.record.truth else 0.0

    def run(self, case: Case, repetition: int) -> Outcome:
        """Put the fault into a robot in full motion; return what became of it.

        A machine that is too busy stops the robot by itself now and then; what broke no limit is then done again.
        """
        disturbed: list[str] = []
        while len(disturbed) < ATTEMPTS:
            outcome = self._attempt(case, repetition)
            if not outcome.disturbed:
                return dataclasses.replace(outcome, disturbed=disturbed)
            disturbed += outcome.disturbed
        raise AssertionError(f"{case.name}: stopped by {', '.join(disturbed)}; the machine is too busy")

    def _attempt(self, case: Case, repetition: int) -> Outcome:
        outcome = Outcome()
        goals, turn = itertools.cycle(self._far_goals()), Turn(GOAL_PERIOD)
        fast = self._random.uniform(*FAST)

        def drive() -> None:
            if turn.due():
                self.send_goal(next(goals))
            self.step()

        self.prepare()
        until(lambda: self.speed() > fast or self.state == "stopped", f"{fast:.2f} rad/s", drive)
        if self.state == "stopped":
            self._judge_setpoints(outcome)
            outcome.disturbed += [] if outcome.failures else [self.cause]
            return outcome
        outcome.speed = self.speed()
        member = self.members[case.member]
        began = time.time()
        if case.signal is not None:
            member.signal(case.signal)
        else:
            member.order(case.order.format(joint=repetition % self._joints))
        if case.goes_on:
            pause = time.monotonic() + PAUSE
            until(lambda: time.monotonic() > pause, "the fault to be there", drive)
            began = time.time()
            self.ask("stop")
        until(
            lambda: (not case.told or self.state == "stopped") and self.record.stands(CALM, began),
            "a stand",
            drive,
        )
        self._lift(case, outcome, began, drive)
        self._judge(case, outcome)
        return outcome

    def _lift(self, case: Case, outcome: Outcome, began: float, drive: Callable[[], None]) -> None:
        """Take the fault away, and watch what the robot does then."""
        until(lambda: time.time() > began + PAUSE, "the pause", drive)
        lifted = time.time()
        outcome.standstill = self.record.standstill(began, lifted)
        outcome.braking = self.record.braking(began, lifted, STATE_PERIOD)
        if case.ends_a_process:
            process = self.members[case.member].process
            until(lambda: process.poll() is not None, "the end of the process", drive)
        else:
            self.members[case.member].signal(signal.SIGCONT)
            for name in ("states", "actions", "intruder"):
                self.members[name].order("good")
            until(
                lambda: self.state == "stopped" and self.record.stands(LATCHED_FOR, lifted),
                "a latched stop",
                drive,
            )
        outcome.after, outcome.after_speed = self.record.travel(lifted), self.record.fastest(lifted)
        self.watch(0.05)
        outcome.cause = self.cause

    def _judge_setpoints(self, outcome: Outcome) -> None:
        record, bounds, failures = self.record, self.bounds, outcome.failures
        judged = judge(record, bounds, 1.0 / RATE)
        outcome.used, outcome.sent = judged.used, len(record.sent)
        outcome.holes, outcome.untaken = judged.holes, judged.untaken
        failures += [f"{count} setpoints beyond the {name} limit" for name, count in judged.violations.items() if count]
        if judged.foreign:
            failures.append(f"the robot took {judged.foreign} commands that nobody sent")
        positions = np.reshape([position for _, position, _ in record.truth], (-1, len(bounds.lower)))  # maybe no rows
        if not ((positions >= bounds.lower) & (positions <= bounds.upper)).all():
            failures.append("the robot left its position limits")

    def _judge(self, case: Case, outcome: Outcome) -> None:
        self._judge_setpoints(outcome)
        failures = outcome.failures
        if not np.isfinite(outcome.standstill):
            failures.append("the robot did not stand")
        if case.member != "safety" and outcome.after > 0.01:
            failures.append(f"it moved by {outcome.after:.3f} rad out of a latched stop")
        for name, member in self.members.items():
            gone = member.process.poll() is not None
            if gone and not (case.ends_a_process and name == case.member):
                failures.append(f"{name} ended: {member.log.read_text()[-300:]}")
        expected = case.causes or (("requested",) if case.goes_on else ("",))
        if outcome.cause not in expected:
            if outcome.cause in ELSE and not failures:
                outcome.disturbed.append(outcome.cause)
            else:
                failures.append(f"stopped by {outcome.cause}; expected {' or '.join(expected)}")


def run_cases(folder: Path, case: Case, repetitions: int, told: Callable[[int, Outcome], None]) -> list[Outcome]:
    """Give a deployment the same fault again and again."""
    outcomes: list[Outcome] = []
    rig = Rig(folder, case)
    try:
        for repetition in range(repetitions):
            outcomes.append(rig.run(case, repetition))
            told(repetition, outcomes[-1])
    finally:
        rig.close()
    return outcomes
