"""Print the share of a core that the telemetry node takes, and its memory, with policy and envelope at a rate.

    .venv/bin/python benchmarks/telemetry_share.py [HZ] [SECONDS]

The rows and commands are those of `test/telemetry_script.py`, on real topics. Each tick is followed by two commands.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test"))

from ros_harness import node_process  # noqa: E402
from telemetry_rows import DELAYS  # noqa: E402
from telemetry_script import Script  # noqa: E402

from ppo_robot.policy.bundle import load_bundle  # noqa: E402
from ppo_robot.spec.deployment import ControllerSpec  # noqa: E402

BUNDLE = ROOT / "config" / "policies" / "reach"
DEPLOYMENT = "hardware: false\ncontroller: {name: arm}\n"
ACTIVE = 2


def processor_time(pid: int) -> float:
    """Return the processor time of a process and all its threads so far, s."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Return the resident memory of a process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure idle and busy, and print both."""
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 250.0
    duration = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    bundle = load_bundle(BUNDLE)
    sizes = (len(bundle.robot.joints), bundle.runtime.action_size, bundle.runtime.observation_size)
    script = Script(ControllerSpec("arm"), *sizes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deployment = folder / "deploy.yaml"
        deployment.write_text(DEPLOYMENT, encoding="utf-8")
        with node_process("ppo_robot.nodes.telemetry", folder, bundle=BUNDLE, deployment=deployment) as node:
            script.wait_for_listener()
            time.sleep(3.0)  # until discovery has calmed down
            for what, ticks in (("idle", 0), (f"{rate:g} Hz", round(duration * rate))):
                began, spent = time.monotonic(), processor_time(node.process.pid)
                if ticks:
                    script.play([DELAYS] * ticks, 1.0 / rate, ACTIVE)
                else:
                    time.sleep(5.0)
                share = (processor_time(node.process.pid) - spent) / (time.monotonic() - began)
                print(f"{what:>8}: {100.0 * share:.1f} % of a core, {memory(node.process.pid):.0f} MB")
    script.close()


if __name__ == "__main__":
    main()
