"""The faults that a running deployment is given, one at a time and in full motion, and what must become of each."""

from __future__ import annotations

import signal
from dataclasses import dataclass

HOLD_TIMEOUT = 1.0
"""s of the rig's deployment; the default of 5 would only make each run longer."""


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        name: for the command line.
        title: for the table.
        member: the process that it is put into.
        order: what that process is told on stdin (see fault_source.py); `{joint}` goes round the joints.
        signal: what that process is sent.
        causes: of the latched stop, any of which is right; none: the envelope goes on, and a person stops the robot.
        controller: that the simulated robot has.
        inside: whether the safety node is started with an error inside, which the signal brings about.
        ends: whether the process ends of it.
    """

    name: str
    title: str
    member: str
    order: str = ""
    signal: int | None = None
    causes: tuple[str, ...] = ()
    controller: str = "forward_command_controller"
    inside: bool = False
    ends: bool = False

    @property
    def ends_a_process(self) -> bool:
        """Whether the system must be started anew behind it."""
        return self.ends or self.signal == signal.SIGKILL

    @property
    def told(self) -> bool:
        """Whether the safety node can tell the state that it is in while the fault lasts."""
        return self.member != "safety" or self.inside

    @property
    def goes_on(self) -> bool:
        """Whether nothing is wrong for the envelope."""
        return not self.causes and self.signal is None


ELSE = ("cycle_late", "state_lost", "tracking", "not_trained_for")
"""What stops the robot without a fault where the machine is too busy: that runs a policy in another world, too."""

CROWD = ("second_publisher", "state_lost", "policy_lost", "cycle_late")
"""What another publisher may do first: be seen, displace the messages of the right one, or take the processor."""

TRAJECTORY = "joint_trajectory_controller"

CASES = (
    Case("policy-stop", "kill -STOP policy", "policy", signal=signal.SIGSTOP, causes=("policy_lost",)),
    Case("policy-kill", "kill -KILL policy", "policy", signal=signal.SIGKILL, causes=("policy_lost",)),
    Case("state-stop", "kill -STOP state source", "states", signal=signal.SIGSTOP, causes=("state_lost",)),
    Case("state-kill", "kill -KILL state source", "states", signal=signal.SIGKILL, causes=("state_lost",)),
    Case("safety-stop", "kill -STOP safety", "safety", signal=signal.SIGSTOP, causes=("cycle_late",)),
    Case("safety-kill", "kill -KILL safety", "safety", signal=signal.SIGKILL),
    Case(
        "safety-kill-trajectory",
        "kill -KILL safety, behind it a joint_trajectory_controller",
        "safety",
        signal=signal.SIGKILL,
        controller=TRAJECTORY,
    ),
    Case(
        "cycle-error",
        "exception in the safety node's cycle",
        "safety",
        signal=signal.SIGUSR1,
        causes=("error",),
        inside=True,
        ends=True,
    ),
    Case(
        "callback-error",
        "exception in a callback of the safety node",
        "safety",
        signal=signal.SIGUSR2,
        causes=("shutdown",),
        inside=True,
        ends=True,
    ),
    Case(
        "executor-silent",
        "the safety node's executor silent for 1 s",
        "safety",
        signal=signal.SIGHUP,
        causes=("error",),
        inside=True,
    ),
    Case("flood", "flood of malformed states and actions", "intruder", "malformed", causes=CROWD),
    Case("nan-action", "NaN in an action's positions", "actions", "nan positions {joint}", causes=("policy_lost",)),
    Case("nan-action-velocity", "NaN in an action's velocities", "actions", "nan velocities {joint}"),
    Case("nan-action-acceleration", "NaN in an action's accelerations", "actions", "nan accelerations {joint}"),
    Case("nan-action-effort", "NaN in an action's effort", "actions", "nan effort {joint}"),
    Case("nan-position", "NaN in a state's position", "states", "nan position {joint}", causes=("state_lost",)),
    Case("nan-velocity", "NaN in a state's velocity", "states", "nan velocity {joint}"),
    Case("nan-effort", "NaN in a state's effort", "states", "nan effort {joint}"),
    Case("ahead-action", "actions stamped 1 s ahead", "actions", "ahead 1.0", causes=("policy_lost",)),
    Case("ahead-state", "states stamped 1 s ahead", "states", "ahead 1.0", causes=("state_lost",)),
    Case("ahead-other", "another publisher of both, stamped 1 s ahead", "intruder", "ahead 1.0", causes=CROWD),
)
