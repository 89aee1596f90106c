"""What a person is told, and when: each threshold from both sides."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from telemetry_rows import DELAYS, PERIOD, ROS, columns, moments, policy_row, safety_rows

from ppo_robot.spec.telemetry import TelemetrySpec
from ppo_robot.telemetry.drift import Reference
from ppo_robot.telemetry.monitor import ERROR, OK, WARN, Monitor, Status, bounds
from ppo_robot.telemetry.ratio import Ratio

ACTIVE, STOPPED = 2, 6
NAMES = ("observation/joint_position/elbow", "observation/tool_to_goal/0", "action/elbow")
REFERENCE = Reference(NAMES, np.tile(np.arange(-0.8, 0.9, 0.2), (3, 1)), np.full(3, -1.0), np.full(3, 1.0))
SPEC = TelemetrySpec(drift_ticks=100, drift_goals=2)


def monitor(spec: TelemetrySpec = SPEC, simulated: bool = False) -> Monitor:
    return Monitor(spec, PERIOD, 0.1, (ACTIVE,), REFERENCE, simulated)


def feed(watched: Monitor, ticks: int, seen: np.ndarray | None = None, wait: float = 0.0, changed: int = 0) -> float:
    """Feed ticks, of which the envelope changed the first; return the time of the last."""
    delays = DELAYS | {"wait_for_cycle": DELAYS["wait_for_cycle"] + wait}
    at = [moments(tick, delays) for tick in range(ticks)]
    now = at[-1]["to_controller"]
    rows = columns([policy_row(tick + 1, at[tick]) for tick in range(ticks)], goal_position=3)
    seen = np.random.default_rng(0).uniform(-1.0, 1.0, (ticks, 3)) if seen is None else seen
    rows |= {"observation": seen[:, :2], "action": seen[:, 2:]}
    rows["goal_position"][ticks // 2 :] = 0.1
    watched.policy(rows, now)
    cycles = [row | {"state": ACTIVE} for tick in range(ticks) for row in safety_rows(tick + 1, at[tick])[:3]]
    for row in [row for row in cycles if row["kind"] == 0][:changed]:
        row["changed"] = 1.0
    watched.safety(columns(cycles, position=2), now)
    for tick in range(ticks):
        watched.timeline.arrived(tick + 1, ROS + at[tick]["stamp"], at[tick]["to_controller"], now)
    watched.timeline.settle(now)
    return now


def status(watched: Monitor, name: str, now: float) -> Status:
    return next(found for found in watched.statuses(now) if found.name == name)


def test_a_system_without_a_fault_is_well_and_so_is_one_that_is_silent() -> None:
    for watched, now in ((monitor(), 100.0), (monitor(), 0.0)):
        now = feed(watched, 200) if now else now
        assert [found.level for found in watched.statuses(now)] == [OK] * 7
        assert watched.statuses(now)[0] == Status(OK, "telemetry", "all is well")


@pytest.mark.parametrize(("wait", "level"), [(0.0, OK), (0.06, WARN), (0.2, ERROR)])
def test_latency(wait: float, level: int) -> None:
    watched = monitor()
    now = feed(watched, 100, wait=wait)
    assert status(watched, "telemetry/latency", now).level == level
    first = watched.statuses(now)[0]
    assert first.level == level
    assert level == OK or first.message.startswith(f"latency: p99 {1000 * (wait + 0.0079):.1f} ms ")


def test_what_is_long_past_is_told_no_more() -> None:
    watched = monitor()
    now = feed(watched, 100, wait=0.2)
    assert status(watched, "telemetry/latency", now + 30.0).level == OK
    whole = next(found for found in watched.latencies(now + 30.0) if found.name == "end_to_end")
    assert (whole.values["count"], whole.values["recent_count"]) == ("100", "0")
    assert float(whole.values["max"]) == pytest.approx(0.2079, abs=1e-5)


def test_every_stage_is_told_with_all_its_quantiles() -> None:
    watched = monitor()
    found = {told.name: told.values for told in watched.latencies(feed(watched, 100))}
    assert {*DELAYS, "end_to_end", "observation_age", "period", "period_jitter", "response"} == set(found)
    for name, delay in DELAYS.items():
        for quantile in ("p50", "p90", "p99", "p99.9", "max", "recent_p99"):
            assert float(found[name][quantile]) == pytest.approx(delay, rel=0.0101, abs=1e-6), name
        assert found[name]["count"] == "100"


@pytest.mark.parametrize(("skipped", "level"), [(0, OK), (1, OK), (5, WARN), (40, ERROR)])
def test_deadline_misses(skipped: int, level: int) -> None:
    watched = monitor()
    slots = [*range(100), *range(100 + skipped, 200)]
    rows = [policy_row(number, moments(slot)) for number, slot in enumerate(slots, 1)]
    seen = {"observation": 2, "action": 1, "goal_position": 3}
    watched.policy(columns(rows, **seen), 102.0)
    told = status(watched, "telemetry/deadlines", 102.0)
    assert told.level == level
    assert told.message == f"{skipped} of 200 periods without an action in time"
    assert told.values["longest_run"] == str(skipped)


@pytest.mark.parametrize(("changed", "level"), [(0, OK), (5, OK), (6, WARN), (60, ERROR)])
def test_intervention(changed: int, level: int) -> None:
    watched = monitor()
    now = feed(watched, 100, changed=changed)
    told = status(watched, "telemetry/intervention", now)
    assert told.level == level
    assert told.message == f"the envelope changed {changed}.0 % of 100 cycles"


def test_cycles_in_which_the_policy_does_not_lead_are_no_intervention() -> None:
    watched = monitor()
    rows = [row | {"state": STOPPED, "changed": 1.0} for row in safety_rows(1, moments(1))]
    watched.safety(columns(rows, position=2), 100.0)
    assert watched.intervention.recent(100.0) == (0, 0)


def test_drift_names_the_worst_component() -> None:
    watched = monitor()
    seen = np.random.default_rng(1).uniform(-1.0, 1.0, (400, 3))
    seen[:, 1] = 0.1
    told = status(watched, "telemetry/drift", feed(watched, 400, seen))
    assert told.level == WARN
    assert told.message.startswith("observation/tool_to_goal/0: stability index ")
    assert told.values["worst_psi"] == "observation/tool_to_goal/0"


def test_drift_of_a_single_goal_is_not_told() -> None:
    spec = dataclasses.replace(SPEC, drift_goals=3)
    watched = monitor(spec)
    now = feed(watched, 400, np.full((400, 3), 0.1))
    assert status(watched, "telemetry/drift", now).level == OK
    assert float(status(watched, "telemetry/drift", now).values["psi"]) > 5.0


@pytest.mark.parametrize(("share", "level"), [(0.04, OK), (0.1, WARN), (0.6, ERROR)])
def test_what_training_never_saw_is_told_whatever_the_goals(share: float, level: int) -> None:
    watched = monitor(dataclasses.replace(SPEC, drift_goals=100))
    seen = np.random.default_rng(1).uniform(-1.0, 1.0, (200, 3))
    seen[: int(200 * share), 2] = 1.5
    told = status(watched, "telemetry/drift", feed(watched, 200, seen))
    assert told.level == level
    assert level == OK or told.message.startswith(f"action/elbow: {100 * share:.1f} % of the ticks")


def test_too_few_ticks_tell_nothing_of_drift() -> None:
    watched = monitor()
    told = status(watched, "telemetry/drift", feed(watched, 99, np.full((99, 3), 5.0)))
    assert (told.level, told.message) == (OK, "99 ticks, too few to tell")


def test_another_policys_rows_are_counted_and_not_compared() -> None:
    watched = monitor()
    watched.policy(columns([policy_row(1, moments(1))], observation=7, action=1, goal_position=3), 100.0)
    assert watched.refused == 1
    assert watched.drift_figures(100.0).ticks == 0


def test_drops_of_the_recorder_are_told_while_they_are_new() -> None:
    watched = monitor()
    assert status(watched, "telemetry/recorder", 99.0).message == "not running"
    watched.diagnostics("recorder", {"dropped": "0", "lost": "0", "directory": "/bags/1"}, 100.0)
    assert status(watched, "telemetry/recorder", 100.0).level == OK
    watched.diagnostics("recorder", {"dropped": "3", "lost": "1"}, 101.0)
    assert status(watched, "telemetry/recorder", 101.0).message == "4 messages dropped lately"
    assert status(watched, "telemetry/recorder", 101.0).level == WARN
    watched.diagnostics("recorder", {"dropped": "0", "lost": "0"}, 120.0)  # it was started anew
    assert status(watched, "telemetry/recorder", 120.0).level == OK
    assert watched.counters["recorder"] == {"dropped": 0, "lost": 0}


def test_in_simulated_time_the_whole_is_not_told() -> None:
    watched = monitor(simulated=True)
    now = feed(watched, 100)
    assert status(watched, "telemetry/latency", now).message == "not measured in simulated time"
    assert "end_to_end" not in {told.name for told in watched.latencies(now)}


def test_without_statistics_drift_is_not_measured() -> None:
    watched = Monitor(SPEC, PERIOD, 0.1, (ACTIVE,))
    feed(watched, 10)
    assert status(watched, "telemetry/drift", 100.0).message == "not measured: the bundle holds no statistics"


def test_buckets_lie_on_the_deadline_and_on_the_watchdogs_time() -> None:
    assert {0.004, 0.13} <= set(bounds(0.004, 0.13))
    usual = bounds(0.01, 0.1)
    assert {0.01, 0.1, 1.0, 1e-5} <= set(usual)
    assert list(usual) == sorted(set(usual))
    assert all(high / low > 1.5 for low, high in zip(usual, usual[1:], strict=False))


def test_a_ratio_forgets_in_its_window_only() -> None:
    ratio = Ratio(10.0)
    ratio.record(1, 10, 100.0)
    ratio.record(0, 10, 105.0)
    assert (ratio.recent(105.0), ratio.share(105.0)) == ((1, 20), 0.05)
    assert (ratio.recent(112.0), ratio.share(112.0)) == ((0, 10), 0.0)
    assert (ratio.recent(200.0), ratio.share(200.0)) == ((0, 0), 0.0)
    assert (ratio.part, ratio.whole) == (1, 20)
