"""The processes of a deployment that faults are put into, at a priority that a robot's computer gives them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from fault_cases import HOLD_TIMEOUT

from ppo_robot.nodes.system import ProcessSpec, system
from ppo_robot.paths import share_directory
from ppo_robot.spec.deployment import SimRobotSpec

BUNDLE = share_directory() / "config" / "policies" / "reach"
SOURCE = Path(__file__).with_name("fault_source.py")
SAFETY = Path(__file__).with_name("fault_safety.py")
RATE = 200.0
STATE_PERIOD = 1.0 / SimRobotSpec().state_rate
PRIORITY = -10
"""Of the processes, where this may be asked for: a robot's computer does nothing else, a test machine does."""


class Member:
    """One process of the rig."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self.log = log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                text=True,
            )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.process.pid, PRIORITY)
            # Linux weighs sessions first, where it groups by them, and each of these is its own.
            Path(f"/proc/{self.process.pid}/autogroup").write_text(str(PRIORITY))

    def order(self, line: str) -> None:
        """Tell it what to do from now on."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        """Send its group a signal, unless it has ended."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def end(self) -> None:
        """Wait for its end; kill it where it does not come."""
        try:
            self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.process.wait(10.0)

    def close(self) -> None:
        """Tell it nothing more: that ends a source of faults."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


def start(folder: Path, domain: int, controller: str, inside: bool) -> dict[str, Member]:
    """Start everything in a ROS domain, the safety node with an error `inside` or not; return the processes by name."""
    deployment = folder / f"deployment-{domain}.yaml"
    control = {"name": "arm", "type": controller, "interface": "position"}
    safety = {"rate": RATE, "hold_timeout": HOLD_TIMEOUT}
    if inside:  # so that nothing that a silent executor brings about is noticed before it
        safety |= {"state_timeout": 2.0, "policy_timeout": 2.0, "tracking_time": 2.0}
    deployment.write_text(yaml.safe_dump({"hardware": False, "controller": control, "safety": safety}))
    environment = dict(os.environ, ROS_DOMAIN_ID=str(domain))
    commands = {spec.name: spec.command() for spec in specs(deployment)}
    if inside:
        commands["safety"][1:3] = [str(SAFETY)]
    for what in ("states", "actions", "intruder"):
        commands[what] = [sys.executable, str(SOURCE), what]
    return {name: Member(command, folder / f"{name}-{domain}.log", environment) for name, command in commands.items()}


def specs(deployment: Path) -> list[ProcessSpec]:
    """Return the processes of a deployment, with relays, which nobody but the rig activates and arms."""
    given = {"plant": "sim", "bundle": str(BUNDLE), "config": str(deployment), "telemetry": "false"}
    changes: dict[str, dict[str, Any]] = {
        "sim_robot": {"remappings": (("/joint_states", "/robot/joint_states"),)},
        "policy": {"remappings": (("policy/action", "policy/wanted"),)},
    }
    specs = []
    for spec in system("deploy", given):
        change = changes.get(spec.name, {"parameters": {**spec.parameters, "arm": False}})
        specs.append(dataclasses.replace(spec, **change))
    return specs


class Turn:
    """Says when something is due again."""

    def __init__(self, period: float) -> None:
        """Be due now, and then again each `period` s."""
        self._period, self._next = period, time.monotonic()

    def due(self) -> bool:
        """Return whether it is time again."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self._period
        return True
