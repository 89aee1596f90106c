"""The deadline loop on a clock that the test sets: no sleeps, no wall time."""

import threading

import pytest

from ppo_robot.nodes.timing import DeadlineLoop, MonotonicClock, SteppedClock


class ScriptedClock:
    """A clock whose waits take no time; each tick moves it by what the script says."""

    def __init__(self, work: list[float]) -> None:
        self.time = 100.0
        self.work = work
        self.deadlines: list[float] = []

    def now(self) -> float:
        return self.time

    def wait_until(self, deadline: float, stop: threading.Event) -> bool:
        if not self.work:
            return False
        self.time = max(self.time, deadline)
        self.deadlines.append(deadline)
        return True


def run(work: list[float]) -> tuple[DeadlineLoop, ScriptedClock]:
    clock = ScriptedClock(list(work))

    def tick() -> None:
        clock.time += clock.work.pop(0)

    loop = DeadlineLoop(0.02, tick, clock)
    loop.start()
    thread = loop._thread
    assert thread is not None
    thread.join(10.0)
    return loop, clock


def test_ticks_stand_on_absolute_deadlines_however_long_each_takes() -> None:
    loop, clock = run([0.001, 0.015, 0.0, 0.0199])
    assert clock.deadlines == pytest.approx([100.0, 100.02, 100.04, 100.06])
    assert loop.counters.ticks == 4
    assert loop.counters.missed == 0


def test_a_stall_skips_its_ticks_and_counts_them_instead_of_bursting() -> None:
    loop, clock = run([0.001, 0.07, 0.001, 0.001])
    # The stall from 100.02 to 100.09 swallows the ticks of 100.04, 100.06 and 100.08.
    assert clock.deadlines == pytest.approx([100.0, 100.02, 100.10, 100.12])
    assert loop.counters.missed == 3
    assert loop.counters.longest_miss == 3


def test_a_tick_that_is_due_when_the_one_before_returns_is_not_missed() -> None:
    """A simulated robot may move on as soon as the action is out, while the tick that sent it still returns."""
    loop, clock = run([0.02, 0.02, 0.04, 0.0])
    assert clock.deadlines == pytest.approx([100.0, 100.02, 100.04, 100.08])
    assert loop.counters.missed == 1


def test_what_prepares_a_tick_comes_before_its_deadline_and_delays_none() -> None:
    clock = ScriptedClock([0.001, 0.07, 0.001])
    prepared: list[float] = []
    ticked: list[float] = []

    def tick() -> None:
        ticked.append(clock.time)
        clock.time += clock.work.pop(0)

    def prepare() -> None:
        prepared.append(clock.time)
        clock.time += 0.0002

    loop = DeadlineLoop(0.02, tick, clock, prepare=prepare, lead=0.0005)
    loop.start()
    thread = loop._thread
    assert thread is not None
    thread.join(10.0)
    assert ticked == pytest.approx([100.0002, 100.02, 100.10])  # the first is due at once
    assert prepared == pytest.approx([100.0, 100.0195, 100.0995])
    assert loop.counters.missed == 3


def test_an_exception_ends_the_loop_and_is_handed_on() -> None:
    errors: list[Exception] = []
    done = threading.Event()

    def fail() -> None:
        raise KeyError("joint")

    def report(error: Exception) -> None:
        errors.append(error)
        done.set()

    loop = DeadlineLoop(0.02, fail, MonotonicClock(), report)
    loop.start()
    assert done.wait(10.0)
    loop.stop()
    assert isinstance(errors[0], KeyError)
    assert not loop.running


def test_stop_waits_for_the_tick_and_may_be_repeated() -> None:
    ticked = threading.Event()
    loop = DeadlineLoop(0.001, ticked.set)
    loop.start()
    assert ticked.wait(10.0)
    with pytest.raises(RuntimeError, match="running already"):
        loop.start()
    loop.stop()
    loop.stop()
    ticks = loop.counters.ticks
    assert not loop.running
    assert loop.counters.ticks == ticks


def test_a_stepped_clock_ticks_when_it_is_set_and_not_before() -> None:
    clock = SteppedClock()
    clock.set(10.0)
    ticks: list[float] = []
    ticked = threading.Condition()

    def tick() -> None:
        with ticked:
            ticks.append(clock.now())
            ticked.notify_all()

    loop = DeadlineLoop(0.5, tick, clock)
    loop.start()
    with ticked:
        assert ticked.wait_for(lambda: len(ticks) == 1, 10.0)
    clock.set(10.4)
    clock.set(10.5)
    with ticked:
        assert ticked.wait_for(lambda: len(ticks) == 2, 10.0)
    loop.stop()
    assert ticks == [10.0, 10.5]
