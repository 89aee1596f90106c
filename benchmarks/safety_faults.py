"""Put every fault into a running deployment twenty times and write docs/results/safety_faults.md.

    .venv/bin/python benchmarks/safety_faults.py [--repetitions 20] [CASE ...]

Each case leaves a file in runs/results/safety_faults/; the page is written once all are there. A case whose file is
there is not run again; delete the file, or name the case, to do so.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test"))  # the rig is the tests'

import numpy as np  # noqa: E402
from fault_cases import CASES, Case  # noqa: E402
from fault_record import Outcome  # noqa: E402
from fault_rig import run_cases  # noqa: E402
from fault_system import PRIORITY, RATE  # noqa: E402

RUNS = ROOT / "runs" / "results" / "safety_faults"
PAGE = ROOT / "docs" / "results" / "safety_faults.md"
HELD_UP = 0.2
"""Share of setpoints not taken, above which the simulated robot's own process did not run."""


def commit() -> str:
    """Return the commit, and whether what is measured has changed since."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "ppo_robot/nodes", "ppo_robot/safety")
    return git("rev-parse", "HEAD")[:10] + (" + changes" if changed else "")


def measure(case: Case, repetitions: int) -> None:
    """Run one case and write its file."""

    def told(repetition: int, outcome: Outcome) -> None:
        verdict = "; ".join(outcome.failures) or f"stood after {outcome.standstill:.3f} s"
        print(f"{case.name} {repetition + 1}/{repetitions}: {outcome.cause or 'held'}: {verdict}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        outcomes = run_cases(Path(folder), case, repetitions, told)
    text = json.dumps({"commit": commit(), "outcomes": [dataclasses.asdict(outcome) for outcome in outcomes]}, indent=1)
    RUNS.mkdir(parents=True, exist_ok=True)
    path = RUNS / f"{case.name}.json"
    path.with_suffix(".tmp").write_text(text, encoding="utf-8")
    path.with_suffix(".tmp").replace(path)


def row(case: Case, found: dict[str, Any]) -> str:
    """Return one line of the table."""
    outcomes = found["outcomes"]
    stands = [outcome["standstill"] for outcome in outcomes]
    causes = Counter(outcome["cause"] for outcome in outcomes)
    shown = ", ".join(f"`{cause}`" if cause else "nobody: held" for cause, _ in causes.most_common())
    used = np.max([outcome["used"] for outcome in outcomes], axis=0)
    untaken = sum(outcome["untaken"] for outcome in outcomes) / sum(outcome["sent"] for outcome in outcomes)
    failures = sum(bool(outcome["failures"]) for outcome in outcomes)
    return (
        f"| {case.title} | {len(outcomes)} | {failures} | {shown} | {np.median(stands):.2f} / {max(stands):.2f} |"
        f" {used[0]:.2f} / {used[1]:.6f} / {used[2]:.6f} | {max(outcome['braking'] for outcome in outcomes):.0f} |"
        f" {100.0 * untaken:.1f} | {sum(len(outcome['disturbed']) for outcome in outcomes)} | `{found['commit']}` |"
    )


def page(found: dict[str, dict[str, Any]]) -> str:
    """Return the page."""
    late = found["safety-stop"]["outcomes"]
    every = [outcome for case in found.values() for outcome in case["outcomes"]]
    held_up = [outcome for outcome in every if outcome["untaken"] > HELD_UP * outcome["sent"]]
    rest = max(outcome["standstill"] for outcome in every if outcome not in held_up)
    middle, most = (float(reduce([outcome["after"] for outcome in late])) for reduce in (np.median, np.max))
    fastest = max(outcome["after_speed"] for outcome in late)
    holes, sent = (sum(outcome[name] for outcome in every) for name in ("holes", "sent"))
    failed = sum(bool(outcome["failures"]) for outcome in every)
    return f"""# Faults of processes and messages

A whole deployment in real time: `sim_robot`, `policy` and `safety` as `ppo-robot up deploy` starts them, a relay for
the joint states and one for the actions. The arm moves between far goals; in full motion, the fastest joint somewhere
above 0.8 to 1.5 rad/s, one fault is put in. {len(every)} runs, {failed} failed.

```
python benchmarks/safety_faults.py
```

| fault | runs | failed | stopped by | stood after p50 / max, s | share of velocity / acceleration / jerk limit, max |\
 true acceleration, max rad/s² | not taken, % | disturbed | commit |
|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(row(case, found[case.name]) for case in CASES)}

A run fails where one setpoint is beyond a position, velocity, acceleration or jerk limit of the bundle, the robot took
a command that nobody sent, left its position limits, did not stand, moved out of a latched stop, or was stopped by
another cause than the fault's.

*Stood after*: by the robot's own record (`sim_robot/truth`, 100 Hz), from the fault until every joint is below
0.05 rad/s for good. Where the envelope rightly goes on, a person calls `safety/stop` half a second later, and the time
is from that call. A silent policy and a lost state are noticed after 0.1 s, a second publisher within a second.

*Share of limit*: first, second and third differences of all {sent:,} setpoints that were sent at {RATE:g} Hz, by the
number that DDS gave each; {holes} were not heard by the judge. *Not taken*: setpoints that the robot did not take
(`sim_robot/commands`) because a newer one was there already. In {len(held_up)} runs these were more than
{HELD_UP:.0%}: the machine held up the simulated robot itself. The longest stop of all others took {rest:.2f} s.

*True acceleration*: of a joint, from the robot's true velocities, 10 ms apart; the drives have a dead time of 10 ms and
a lag of 30 ms. It holds what the drives make of a setpoint, and what they do where none comes.

*Disturbed*: runs that were done again because the robot was stopped by something else first (a late cycle, a late
state): that is how a busy machine looks to the envelope. Their setpoints broke no limit either.

`kill -STOP safety`: the controller holds the last setpoint, and the arm stands. After `kill -CONT`, half a second
later, the envelope stops by `cycle_late`: from the setpoint that was sent last, with the velocity that it had. The arm
sets out again, by {middle:.2f} rad (p50) and {most:.2f} rad (max) at up to {fastest:.1f} rad/s, until it stands.

`kill -KILL safety`: what the controller then does is all there is. Position controllers hold the last setpoint, and the
drives stop there as hard as they can: that is the true acceleration of these rows.

{os.cpu_count()} cores ({platform.machine()}), a machine shared with others; the rig's processes at priority {PRIORITY}.
"""


def main() -> None:
    """Run what is missing, and write the page once nothing is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case.name for case in CASES]
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(names)}; default: all without a file")
    parser.add_argument("--repetitions", type=int, default=20)
    given = parser.parse_args()
    for name in given.cases:
        if name not in names:
            parser.error(f"unknown case {name}; expected one of {', '.join(names)}")
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        Path("/proc/self/autogroup").write_text(str(PRIORITY))
    for case in CASES:
        if case.name in given.cases or (not given.cases and not (RUNS / f"{case.name}.json").is_file()):
            measure(case, given.repetitions)
    missing = [name for name in names if not (RUNS / f"{name}.json").is_file()]
    if missing:
        print(f"no page yet: {', '.join(missing)} missing")
        return
    found = {name: json.loads((RUNS / f"{name}.json").read_text(encoding="utf-8")) for name in names}
    PAGE.write_text(page(found), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
