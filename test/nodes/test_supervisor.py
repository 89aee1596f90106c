"""The supervisor: output by name, signals passed on and escalated, and no orphan however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Alive = Callable[[int], bool]
Eventually = Callable[[Callable[[], object], str], None]

DRIVER = """
import json, sys
from dataclasses import dataclass
from ppo_robot.nodes.supervisor import Supervisor
from ppo_robot.nodes.system import ProcessSpec

@dataclass(frozen=True)
class Script(ProcessSpec):
    code: str = ""
    def command(self):
        return [sys.executable, "-S", "-c", self.code] if self.code else ["/no/such/program"]

specs = [Script(name, "", "", required=required, code=code) for name, required, code in json.loads(sys.argv[1])]
sys.exit(Supervisor(specs, patience=float(sys.argv[2])).run())
"""

# Each says who it is, and by which signals it ends.
WAITS = "import os, signal, time; print('pid', os.getpid(), flush=True)\n"
OBEYS = "import sys\nsignal.signal(2, lambda *_: (print('got', _[0], flush=True), sys.exit(0)))\n" + WAITS
OBEYS = "import signal\n" + OBEYS + "time.sleep(600)"
ONLY_TERM = "import signal, sys\nsignal.signal(2, signal.SIG_IGN)\n"
ONLY_TERM += "signal.signal(15, lambda *_: (print('got', _[0], flush=True), sys.exit(0)))\n" + WAITS + "time.sleep(600)"
NEITHER = "import signal\nsignal.signal(2, signal.SIG_IGN); signal.signal(15, signal.SIG_IGN)\n" + WAITS
NEITHER += "time.sleep(600)"
PARENT = f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-S', '-c', {NEITHER!r}])\n{OBEYS}"


class Driver:
    """A supervisor in a process of its own."""

    def __init__(self, folder: Path, scripts: list[tuple[str, bool, str]], patience: float) -> None:
        self.log = folder / "log.txt"
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", DRIVER, json.dumps(scripts), str(patience)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def pids(self) -> list[int]:
        return [int(line.split()[-1]) for line in self.lines if " pid " in line]


Start = Callable[..., Driver]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    drivers: list[Driver] = []

    def go(*scripts: tuple[str, bool, str], patience: float = 30.0) -> Driver:
        drivers.append(Driver(tmp_path, list(scripts), patience))
        return drivers[-1]

    yield go
    for driver in drivers:
        driver.process.kill()
        driver.process.wait()
        for pid in driver.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def test_each_line_carries_the_name_of_its_process(start: Start) -> None:
    driver = start(
        ("a", False, "import sys; print('one'); print('two', file=sys.stderr); print('no end', end='')"),
        ("longer", False, "print('three')"),
    )
    assert driver.process.wait(60) == 0
    assert {"[a]      one", "[a]      two", "[a]      no end", "[longer] three"} <= set(driver.lines)


def test_no_line_is_lost_in_a_flood(start: Start) -> None:
    driver = start(("a", True, "print('\\n'.join(f'line {i}' for i in range(20000)))"))
    assert driver.process.wait(60) == 0
    assert [line for line in driver.lines if "line" in line] == [f"[a] line {i}" for i in range(20000)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137), ("", 127), ("pass", 0)],
    ids=["code", "signal", "no-program", "zero"],
)
def test_the_end_of_a_required_process_ends_all_with_its_code(
    start: Start, alive: Alive, code: str, expected: int
) -> None:
    wait = "import time; time.sleep(1)\n" if code else ""
    driver = start(("rest", True, OBEYS), ("ends", True, wait + code))
    assert driver.process.wait(60) == expected
    assert any(f"[ends] ended with exit code {expected}; ending the rest" in line for line in driver.lines)
    assert not any(map(alive, driver.pids()))


def test_the_end_of_another_process_ends_nothing(start: Start, eventually: Eventually) -> None:
    driver = start(("rest", True, OBEYS), ("ends", False, "raise SystemExit(3)"))
    eventually(lambda: "[ends] ended with exit code 3" in driver.lines and driver.pids(), "the end of one")
    assert driver.process.poll() is None
    driver.process.send_signal(signal.SIGINT)
    assert driver.process.wait(60) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_as_sigint(start: Start, eventually: Eventually, number: int) -> None:
    driver = start(("a", True, OBEYS), ("b", True, OBEYS))
    eventually(lambda: len(driver.pids()) == 2, "both")
    driver.process.send_signal(number)
    assert driver.process.wait(60) == 0
    assert {"[a] got 2", "[b] got 2"} <= set(driver.lines)


def test_who_ignores_sigint_gets_sigterm(start: Start, eventually: Eventually) -> None:
    driver = start(("a", True, ONLY_TERM), patience=0.5)
    eventually(driver.pids, "the process")
    driver.process.send_signal(signal.SIGINT)
    assert driver.process.wait(60) == 0
    assert "[a] got 15" in driver.lines


def test_who_ignores_both_is_killed_and_that_is_said(start: Start, eventually: Eventually, alive: Alive) -> None:
    driver = start(("a", True, NEITHER), patience=0.3)
    eventually(driver.pids, "the process")
    driver.process.send_signal(signal.SIGINT)
    assert driver.process.wait(60) == 4
    assert "[a] had to be killed" in driver.lines
    assert not any(map(alive, driver.pids()))


def test_asking_again_does_not_wait(start: Start, eventually: Eventually, alive: Alive) -> None:
    driver = start(("a", True, NEITHER), patience=1000.0)
    eventually(driver.pids, "the process")
    limit = time.monotonic() + 60.0
    # Not until the driver itself has ended: a signal that meets it on its way out would be its own affair.
    while any(map(alive, driver.pids())):
        assert time.monotonic() < limit
        driver.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert driver.process.wait(60) == 4
    assert not any(map(alive, driver.pids()))


def test_kill_9_leaves_no_orphan(start: Start, eventually: Eventually, alive: Alive) -> None:
    driver = start(("a", True, OBEYS), ("b", True, NEITHER), ("c", True, PARENT), patience=0.3)
    eventually(lambda: len(driver.pids()) == 4, "all four")
    driver.process.kill()
    eventually(lambda: not any(map(alive, driver.pids())), "the end of all")


def test_kill_9_of_a_leash_ends_its_process(
    start: Start, eventually: Eventually, alive: Alive, children_of: Callable[[int], list[int]]
) -> None:
    driver = start(("a", True, NEITHER))
    eventually(driver.pids, "the process")
    (leash,) = children_of(driver.process.pid)
    os.kill(leash, signal.SIGKILL)
    assert driver.process.wait(60) == 137
    eventually(lambda: not any(map(alive, driver.pids())), "the end of the process")


def test_a_grandchild_does_not_outlive_an_orderly_end(start: Start, eventually: Eventually, alive: Alive) -> None:
    driver = start(("a", True, PARENT), patience=0.3)
    eventually(lambda: len(driver.pids()) == 2, "child and grandchild")
    driver.process.send_signal(signal.SIGTERM)
    driver.process.wait(60)
    assert not any(map(alive, driver.pids()))


def test_a_reader_that_goes_away_ends_all(alive: Alive, eventually: Eventually) -> None:
    """As `ppo-robot up ... | head`: nobody sees what is printed any more."""
    chatter = WAITS + "while True: print('x', flush=True); time.sleep(0.01)"
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, json.dumps([("a", True, chatter)]), "0.3"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline().split()[-1])
    process.stdout.close()
    assert process.wait(60) != 0
    eventually(lambda: not alive(pid), "the end of the process")
