"""Tests for ppo_robot.safety.guard, and of the links below it, at numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest

from ppo_robot.errors import SpecError
from ppo_robot.safety.body import LinkBody
from ppo_robot.safety.guard import SLOWEST, SPEED_SHARE, Guard
from ppo_robot.safety.reasons import Limit
from ppo_robot.safety.setpoint import Setpoint
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.safety import SafetySpec

STOP, SLOW = 1 / 64, 5 / 64
"""m, of which binary floating point holds every half and sum exactly."""
SPEC = SafetySpec(clearance_stop=STOP, clearance_slow=SLOW)
QUARTER = math.pi / 2.0
AWAY = 0.5
"""The boom that far out keeps hand and base apart; what is nearest is the carriage."""


@pytest.fixture(scope="session")
def body(rail_robot: RobotSpec) -> LinkBody:
    return LinkBody(rail_robot)


def at(clearance: float) -> list[float]:
    """Return a position in which base and carriage have that distance."""
    return [0.0, 0.125 + clearance, AWAY]


def still(position: list[float]) -> Setpoint:
    return Setpoint(tuple(position), (0.0,) * 3, (0.0,) * 3)


def guarded(body: LinkBody, spec: SafetySpec = SPEC, clearance: float = 0.25) -> Guard:
    guard = Guard(body, spec)
    guard.begin(at(clearance))
    return guard


def forbidden(guard: Guard, rest: list[float], rest_before: list[float]) -> Limit:
    return guard.forbids(rest, lambda: [still(rest)], lambda: rest_before, lambda: [still(rest_before)])


# The links themselves.


def test_every_pair_counts(rail_robot: RobotSpec, body: LinkBody) -> None:
    assert body.pairs == 2
    assert body.clearance(at(0.25)) == 0.25
    assert body.clearance(at(-0.0625)) == -0.0625
    # The hand's sphere, 0.25 m in front of its axis, is 0.0625 m in front of the base.
    assert body.clearance([0.0, 0.5, -0.59375]) == pytest.approx(0.0625)
    none = LinkBody(dataclasses.replace(rail_robot, self_collision_pairs=()))
    assert none.pairs == 0
    assert none.clearance(at(-0.0625)) == math.inf
    assert none.nearest_links(at(-0.0625)) == ""
    blind = LinkBody(rail_robot, distances=False)
    assert (blind.pairs, blind.clearance(at(0.25)), blind.nearest_links(at(0.25))) == (0, math.inf, "")


def test_the_nearest_links_are_named(body: LinkBody) -> None:
    assert body.nearest_links(at(0.25)) == "base and carriage"
    assert body.nearest_links([0.0, 0.5, -0.59375]) == "base and hand"


def test_a_pair_without_a_shape_is_refused(rail_robot: RobotSpec) -> None:
    robot = dataclasses.replace(rail_robot, self_collision_pairs=(("base", "carriage"), ("carriage", "boom")))
    with pytest.raises(SpecError) as raised:
        LinkBody(robot)
    assert str(raised.value) == "robot rail: self_collision_pairs: link 'boom' has no collision geometry"
    assert LinkBody(robot, distances=False).pairs == 0


def test_the_tool_is_told_in_the_base_frame(body: LinkBody) -> None:
    assert body.tool_position([0.0, 0.25, 0.5]) == (1.0, 0.0, 0.0)
    assert body.tool_position([QUARTER, 0.25, -0.5]) == pytest.approx((-0.25, 0.25, 0.0))


def test_the_fastest_link_may_be_any(body: LinkBody) -> None:
    assert body.link_speed([0.0, 0.0, 0.0], [0.0, 0.5, -0.5]) == 0.5  # the carriage alone
    assert body.link_speed([0.0, 0.0, 0.0], [0.0, 0.25, 0.5]) == 0.75  # boom, hand and tool
    assert body.link_speed([0.0, 0.0, 0.0], [4.0, 0.0, 0.75]) == pytest.approx(1.25)  # tool: 1 across, 0.75 along
    assert body.link_speed([QUARTER, 0.0, 0.0], [3.0, 0.0, 0.75]) == pytest.approx(0.75)  # the tool stands


# What the guard makes of them.


@pytest.mark.parametrize(
    ("clearance", "share"),
    [
        (1.0, 1.0),
        (SLOW, 1.0),
        (4 / 64, 0.75),
        (3 / 64, 0.5),
        (2 / 64, 0.25),
        (STOP, SLOWEST),
        (1 / 128, SLOWEST),
        (-1 / 64, SLOWEST),
    ],
)
def test_the_nearer_the_links_the_slower(body: LinkBody, clearance: float, share: float) -> None:
    assert guarded(body, clearance=clearance).share == share


def test_an_allowed_step_sets_the_speed_of_the_next(body: LinkBody) -> None:
    guard = guarded(body)
    assert guard.clearance == 0.25
    assert forbidden(guard, at(3 / 64), at(0.25)) == Limit(0)
    assert (guard.clearance, guard.share) == (3 / 64, 0.5)
    assert forbidden(guard, at(0.0), at(3 / 64)) is Limit.CLEARANCE
    assert guard.clearance == 3 / 64


def test_the_rest_may_be_at_the_clearance_and_no_nearer(body: LinkBody) -> None:
    guard = guarded(body)
    assert forbidden(guard, at(STOP), at(0.25)) == Limit(0)
    assert forbidden(guard, at(STOP - 1e-9), at(0.25)) is Limit.CLEARANCE
    # Too near already: not nearer, but as near or away.
    assert forbidden(guard, at(STOP / 2), at(STOP / 2)) == Limit(0)
    assert forbidden(guard, at(STOP / 2 + 1e-9), at(STOP / 2)) == Limit(0)
    assert forbidden(guard, at(STOP / 2 - 1e-9), at(STOP / 2)) is Limit.CLEARANCE


def test_without_self_collision_links_may_touch(body: LinkBody) -> None:
    guard = guarded(body, dataclasses.replace(SPEC, self_collision=False), clearance=-0.05)
    assert forbidden(guard, at(-0.05), at(0.25)) == Limit(0)
    assert guard.share == 1.0
    assert guard.too_near(at(-0.05)) == ""


def test_before_the_robot_is_armed_nothing_is_slowed(body: LinkBody) -> None:
    guard = Guard(body, SPEC)
    assert guard.share == 1.0
    assert guard.too_near(at(STOP / 2)) == ""
    assert guard.too_near(at(STOP / 4)) == "base and carriage are 3.9 mm apart"


def test_without_pairs_nothing_is_near(rail_robot: RobotSpec) -> None:
    body = LinkBody(dataclasses.replace(rail_robot, self_collision_pairs=()))
    guard = guarded(body)
    assert (guard.clearance, guard.share) == (math.inf, 1.0)
    assert guard.too_near(at(-0.05)) == ""


def test_the_tool_may_touch_its_box_and_not_leave_it(body: LinkBody) -> None:
    spec = dataclasses.replace(
        SPEC, self_collision=False, tool_lower=(-0.25, -0.125, -1.0), tool_upper=(0.75, 0.125, 1.0)
    )
    guard = guarded(body, spec)

    def forbids(rail: float, before: float, swing: float = 0.0) -> Limit:
        return forbidden(guard, [swing, rail, 0.0], [0.0, before, 0.0])

    assert forbids(0.5, 0.25) == Limit(0)  # at 0.75, the upper bound
    assert forbids(0.5 + 1e-9, 0.25) is Limit.WORKSPACE
    assert forbids(-0.5, 0.25) == Limit(0)  # at -0.25, the lower bound
    assert forbids(-0.5 - 1e-9, 0.25) is Limit.WORKSPACE
    assert forbids(0.0, 0.0, QUARTER) is Limit.WORKSPACE  # 0.25 to the side
    assert forbids(0.75, 0.75) == Limit(0)  # outside already, and no further
    assert forbids(0.7, 0.75) == Limit(0)
    assert forbids(0.75 + 1e-9, 0.75) is Limit.WORKSPACE
    # 0.25 outside above, 0.25 outside below: as far, though elsewhere.
    assert forbids(-0.75, 0.75) == Limit(0)


def test_the_link_speed_is_that_of_the_fastest_moment_before_rest(body: LinkBody) -> None:
    spec = dataclasses.replace(SPEC, self_collision=False, link_speed=0.5 / SPEED_SHARE)
    guard = guarded(body, spec)

    def forbids(speeds: list[float], before: list[float]) -> Limit:
        ways = [
            [Setpoint((0.0, 0.0, 0.0), (0.0, rail, 0.0), (0.0, 0.0, 0.0)) for rail in way] for way in (speeds, before)
        ]
        return guard.forbids([0.0] * 3, lambda: ways[0], [0.0] * 3, lambda: ways[1])

    assert forbids([0.5, 0.25, 0.0], [0.125]) == Limit(0)
    assert forbids([0.5 + 1e-9, 0.25], [0.125]) is Limit.SPEED
    assert forbids([0.25, -0.5 - 1e-9, 0.25], [0.125]) is Limit.SPEED
    assert forbids([0.0, 0.5 + 1e-9], [0.125]) is Limit.SPEED
    # Too fast already: not faster, but as fast.
    assert forbids([0.75, 0.25], [0.25, 0.75]) == Limit(0)
    assert forbids([0.25, 0.75 + 1e-9], [0.75, 0.25]) is Limit.SPEED


def test_links_measured_at_half_the_clearance_are_far_enough_and_nearer_are_named(body: LinkBody) -> None:
    guard = guarded(body)
    assert guard.too_near(at(STOP / 2)) == ""
    assert guard.too_near(at(STOP / 2 - 1e-9)) == "base and carriage are 7.8 mm apart"
    assert guard.too_near(at(-1 / 256)) == "base and carriage are -3.9 mm apart"
    assert guard.too_near(at(-0.1)) == "base and carriage are -100.0 mm apart"


@pytest.mark.parametrize("start", [STOP * 0.75, STOP / 2, -STOP])
def test_links_that_were_armed_near_count_from_there(body: LinkBody, start: float) -> None:
    guard = guarded(body, clearance=start)
    assert guard.too_near(at(start)) == ""
    assert guard.too_near(at(start - STOP / 2)) == ""
    assert guard.too_near(at(start - STOP / 2 - 1e-9)).startswith("base and carriage are ")
