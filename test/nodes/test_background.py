"""Tests for ppo_robot.nodes.background: what a command started ends with it, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from ros_harness import ros_environment  # noqa: E402

STARTERS = {
    "a deployment": """
import signal, sys
from ppo_robot.nodes.background import deployment
with deployment(["plant:=sim", "seed:=1"]) as running:
    print(running.process.pid, flush=True)
    signal.pause()
""",
    "a node": """
import signal, sys
from ppo_robot.nodes.bench_node import running
with running("bare_tick", {"rate": 50.0}) as process:
    print(process.pid, flush=True)
    signal.pause()
""",
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("starter", STARTERS)
def test_who_was_started_ends_with_the_starter(
    starter: str,
    number: signal.Signals,
    tmp_path: Path,
    children_of: Callable[[int], list[int]],
    alive: Callable[[int], bool],
    eventually: Callable[[Callable[[], object], str], None],
) -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", STARTERS[starter]], stdout=subprocess.PIPE, text=True, env=ros_environment()
    )
    assert command.stdout is not None
    try:
        started = [int(command.stdout.readline())]
        if starter == "a deployment":
            nodes = lambda: [node for leash in children_of(started[0]) for node in children_of(leash)]  # noqa: E731
            eventually(lambda: len(nodes()) >= 3, "its nodes")
            started += [*children_of(started[0]), *nodes()]
    finally:
        os.kill(command.pid, number)
    assert command.wait(30.0) == -number
    eventually(lambda: not any(map(alive, started)), "the end of what it started")
