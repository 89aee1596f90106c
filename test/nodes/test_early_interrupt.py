"""A node that is interrupted while it still imports what it needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("node", ["policy", "safety", "sim_robot", "telemetry"])
def test_an_interrupt_among_the_imports_ends_it_without_a_traceback(node: str, tmp_path: Path) -> None:
    """As in `up`, where one node was refused and the others had only just been started."""
    interrupt = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(30)\n"
    (tmp_path / "rclpy.py").write_text(interrupt)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", f"ppo_robot.nodes.{node}"]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGINT
    assert ended.stdout + ended.stderr == ""


def test_who_only_imports_a_node_keeps_its_own_handler() -> None:
    look = "signal.getsignal(signal.SIGINT)"
    code = f"import signal; before = {look}; import ppo_robot.nodes; print({look} is before)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.stdout == "True\n", ended.stderr
