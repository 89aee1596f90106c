"""Distances, speeds and places of links, against what is known of the robots."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from ppo_robot.errors import SpecError
from ppo_robot.kinematics import RobotModel
from ppo_robot.safety.body import LinkBody
from ppo_robot.safety.guard import SLOWEST, Guard
from ppo_robot.safety.limits import make_limits
from ppo_robot.safety.reasons import Limit
from ppo_robot.safety.setpoint import Setpoint
from ppo_robot.safety.stepper import Stepper
from ppo_robot.safety.witness import Bounds, judge_setpoints
from ppo_robot.spec.robot import RobotSpec, load_robot
from ppo_robot.spec.safety import SafetySpec

ROBOTS = ("arm6", "franka_panda", "kuka_iiwa")
PERIOD = 0.004
THROUGH = [0.0, 0.0, 1.41, 0.8, 0.0, 0.0]
"""The elbow folded until the wrist is inside the shoulder."""
TOUCHING = [0.0, 0.0, 1.15, 0.8, 0.0, 0.0]
"""On the way there: the payload is inside the base."""


@pytest.fixture(scope="session")
def arm() -> RobotSpec:
    return load_robot("arm6")


@pytest.fixture(scope="session")
def body(arm: RobotSpec) -> LinkBody:
    return LinkBody(arm)


def home(robot: RobotSpec) -> list[float]:
    return [joint.default_position for joint in robot.joints]


@pytest.mark.parametrize("name", ROBOTS)
def test_the_tool_is_where_training_has_it(name: str) -> None:
    robot = load_robot(name)
    body, model = LinkBody(robot), RobotModel(robot)
    for row in np.random.default_rng(0).uniform(model.lower, model.upper, (20, model.joints)):
        assert body.tool_position(row.tolist()) == pytest.approx(model.tool_position(row[None])[0].tolist(), abs=1e-12)
    assert body.clearance(home(robot)) > 0.05


def test_the_speed_of_a_link_is_that_of_the_tool_where_it_is_fastest(arm: RobotSpec, body: LinkBody) -> None:
    model, position = RobotModel(arm), np.array(home(arm))
    velocity = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])  # about the vertical: the tool is furthest out
    speed = float(np.linalg.norm(model.tool_jacobian(position[None])[0] @ velocity))
    assert body.link_speed(position.tolist(), velocity.tolist()) == pytest.approx(speed)
    assert body.link_speed(position.tolist(), [0.0] * 6) == 0.0


def test_a_speed_is_how_fast_the_place_changes(arm: RobotSpec, body: LinkBody) -> None:
    draw, step = np.random.default_rng(1), 1e-7
    for _ in range(10):
        position, velocity = draw.uniform(-1.0, 1.0, 6), draw.uniform(-1.0, 1.0, 6)
        before = np.array(body.tool_position(position.tolist()))
        after = np.array(body.tool_position((position + step * velocity).tolist()))
        tool = float(np.linalg.norm(after - before)) / step
        assert body.link_speed(position.tolist(), velocity.tolist()) >= tool * (1.0 - 1e-5)


@pytest.mark.parametrize("name", ROBOTS)
def test_a_bound_of_the_distance_is_never_more_than_the_distance(name: str) -> None:
    robot = load_robot(name)
    body, exact, model = LinkBody(robot), LinkBody(robot), RobotModel(robot)
    draw, bounds = np.random.default_rng(2), 0
    for row in draw.uniform(model.lower, model.upper, (40, model.joints)):
        body.clearance(row.tolist())
        for size in (0.01, 0.1, 1.0):
            near = (row + draw.normal(0.0, size, model.joints)).tolist()
            distance, told = exact.clearance(near), body.clearance(near, 0.05)
            computed = abs(told - distance) < 1e-5  # what coal finds depends a little on what it found before
            assert computed or 0.05 <= told < distance
            bounds += not computed
    assert bounds > 20  # it was not computed each time


def test_by_how_much_a_joint_moves_any_point_is_worked_out_along_the_chain(rail_robot: RobotSpec) -> None:
    """A pillar that turns, on it a rail, on that a hand that swings: lengths end to end, a rail's stroke included."""
    description = rail_robot.description
    for joint, kind, origin in (("rail", "revolute", "0 0 0.5"), ("boom", "prismatic", "0.25 0 0")):
        old = f'<joint name="{joint}" type="prismatic">'
        description = description.replace(old, f'<joint name="{joint}" type="{kind}"><origin xyz="{origin}"/>')
    old = '<joint name="swing" type="revolute">'
    description = description.replace(old, f'{old}<origin xyz="0 0.125 0"/>')
    body = LinkBody(dataclasses.replace(rail_robot, description=description))
    start, least = [0.0, 0.0, 0.0], -math.inf
    distance = body.clearance(start)
    hand = 0.25 + 0.03125  # where its sphere is, and how large
    reach = {0: hand, 1: hand + 0.125 + 0.25 + 1.0, 2: 1.0}  # swing, rail, boom; the boom's stroke is 1 m
    for joint, moved in reach.items():
        position = [0.125 if place == joint else 0.0 for place in range(3)]
        bound = body.clearance(position, least)
        assert bound == pytest.approx(distance - 0.125 * moved, abs=1e-6) and bound < distance - 0.125 * moved
        assert body.clearance(position, bound) == bound  # it is surely that much: nothing is computed
    assert body.clearance([0.125, 0.0, 0.0], distance) > distance - 0.125 * hand


def test_links_that_overlap_are_named(arm: RobotSpec, body: LinkBody) -> None:
    assert body.clearance(THROUGH) < 0.0
    first, second = body.nearest_links(THROUGH).split(" and ")
    assert (first, second) in arm.self_collision_pairs or (second, first) in arm.self_collision_pairs


def test_without_distances_no_mesh_needs_to_be_there() -> None:
    robot = dataclasses.replace(load_robot("franka_panda"), urdf_directory=None)
    with pytest.raises(SpecError, match="set safety.self_collision: false") as raised:
        LinkBody(robot)
    assert "\n" not in str(raised.value)
    assert LinkBody(robot, distances=False).clearance(home(robot)) == math.inf


def box(x: float, y: float, z: float, at: float) -> str:
    """Return a box of these sizes, centred at (0, at, 0), as one object of an OBJ file; its corners count backwards."""
    corners = [(i * x / 2, at + j * y / 2, k * z / 2) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]
    faces = ("-8 -7 -5 -6", "-4 -2 -1 -3", "-8 -4 -3 -7", "-6 -5 -1 -2", "-8 -6 -2 -4", "-7 -3 -1 -5")
    return "".join([f"v {a} {b} {c}\n" for a, b, c in corners] + [f"f {face}\n" for face in faces])


@pytest.fixture
def gate(rail_robot: RobotSpec, tmp_path: Path) -> RobotSpec:
    """Return a robot with a mesh for a base: two walls of 0.5 x 0.125 x 0.25 m, 0.5 m apart."""
    mesh = '<mesh filename="package://gate/base.obj"/>'
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "base.obj").write_text(box(0.5, 0.125, 0.25, -0.3125) + box(0.5, 0.125, 0.25, 0.3125))
    (tmp_path / "a" / "b" / "c" / "d").mkdir(parents=True)
    description = rail_robot.description.replace('<sphere radius="0.0625"/>', mesh, 1)
    return dataclasses.replace(rail_robot, description=description)


def test_a_mesh_is_its_convex_hull(gate: RobotSpec, tmp_path: Path) -> None:
    body = LinkBody(dataclasses.replace(gate, urdf_directory=str(tmp_path)))
    assert body.clearance([0.0, 0.5, 0.5]) == pytest.approx(0.1875, abs=1e-6)  # in front of the gate
    assert body.clearance([0.0, 0.0, 0.5]) == pytest.approx(-0.1875, abs=1e-6)  # within: half its height and the radius


def test_meshes_are_found_up_to_three_folders_above_the_urdf(gate: RobotSpec, tmp_path: Path) -> None:
    assert LinkBody(dataclasses.replace(gate, urdf_directory=str(tmp_path / "a" / "b" / "c"))).pairs == 2
    with pytest.raises(SpecError) as raised:
        LinkBody(dataclasses.replace(gate, urdf_directory=str(tmp_path / "a" / "b" / "c" / "d")))
    assert str(raised.value) == (
        "robot rail: its collision geometry cannot be read (Mesh package://gate/base.obj could not be found.); put the"
        " meshes beside the URDF, or set safety.self_collision: false"
    )


def run(arm: RobotSpec, body: LinkBody, spec: SafetySpec, start: list[float], target: list[float]) -> list[Setpoint]:
    """Step for 4 s towards a target; return every setpoint, judged."""
    limits = make_limits(arm, spec)
    guard = Guard(body, spec)
    stepper = Stepper(limits, PERIOD, spec.latency, guard)
    stepper.begin(start)
    sent, rest = [stepper.setpoint], [0.0] * 6
    for _ in range(1000):
        stepper.advance(target, rest, rest, guard.share)
        sent.append(stepper.setpoint)
    columns = [np.array([getattr(one, name) for one in sent]) for name in ("position", "velocity", "acceleration")]
    names = ("lower", "upper", "velocity", "acceleration", "jerk")
    bounds = Bounds(*(np.array(getattr(limits, name)) for name in names))
    assert judge_setpoints(columns[0], bounds, PERIOD, columns[1], columns[2]).total == 0
    return sent


def test_no_step_leads_to_where_links_touch(arm: RobotSpec, body: LinkBody) -> None:
    spec = SafetySpec()
    assert body.clearance(THROUGH) < spec.clearance_stop
    sent = run(arm, body, spec, home(arm), THROUGH)
    nearest = min(body.clearance(one.position) for one in sent)
    assert spec.clearance_stop - 1e-9 <= nearest < spec.clearance_slow  # it went there, and no further
    free = run(arm, body, dataclasses.replace(spec, self_collision=False), home(arm), THROUGH)
    assert min(body.clearance(one.position) for one in free) < spec.clearance_stop


def test_near_to_each_other_links_are_slow(arm: RobotSpec, body: LinkBody) -> None:
    spec = SafetySpec(clearance_slow=0.1)
    sent = run(arm, body, spec, home(arm), THROUGH)
    limit = make_limits(arm, spec).velocity[2]
    near = [abs(one.velocity[2]) for one in sent if body.clearance(one.position) < 0.03]
    assert near and max(near) < 0.6 * limit
    assert max(abs(one.velocity[2]) for one in sent) > 0.9 * limit


def test_out_of_a_touch_the_robot_may_move(arm: RobotSpec, body: LinkBody) -> None:
    spec = SafetySpec()
    assert body.clearance(TOUCHING) < spec.clearance_stop
    sent = run(arm, body, spec, TOUCHING, home(arm))
    assert sent[-1].position == pytest.approx(home(arm), abs=1e-3)
    worse = run(arm, body, spec, TOUCHING, THROUGH)
    assert worse[-1].position == pytest.approx(TOUCHING, abs=1e-3)


def test_the_tool_stays_in_its_box(arm: RobotSpec, body: LinkBody) -> None:
    at = body.tool_position(home(arm))
    lower, upper = tuple(value - 0.1 for value in at), tuple(value + 0.1 for value in at)
    spec = SafetySpec(tool_lower=lower, tool_upper=upper)
    sent = run(arm, body, spec, home(arm), [0.8, 0.0, 0.0, 0.8, 0.0, 0.0])
    tools = np.array([body.tool_position(one.position) for one in sent])
    assert (tools >= np.array(lower) - 1e-3).all() and (tools <= np.array(upper) + 1e-3).all()
    assert np.abs(tools - at).max() > 0.05


def test_no_link_is_faster_than_allowed(arm: RobotSpec, body: LinkBody) -> None:
    spec = SafetySpec(link_speed=0.25)
    sent = run(arm, body, spec, home(arm), [1.0, 0.3, 0.3, 0.0, 0.0, 0.0])
    speeds = [body.link_speed(one.position, one.velocity) for one in sent]
    assert max(speeds) <= 0.25 * (1.0 + 1e-6)
    assert max(speeds) > 0.15
    free = run(arm, body, SafetySpec(), home(arm), [1.0, 0.3, 0.3, 0.0, 0.0, 0.0])
    assert max(body.link_speed(one.position, one.velocity) for one in free) > 1.0


def test_no_link_is_faster_than_allowed_however_the_arm_turns_back(arm: RobotSpec, body: LinkBody) -> None:
    """Two joints may hide each other's speed until the first of them rests, and one that turns back is yet slow."""
    spec = SafetySpec(link_speed=0.25, self_collision=False)
    limits = make_limits(arm, spec)
    stepper = Stepper(limits, PERIOD, spec.latency, Guard(body, spec))
    stepper.begin(home(arm))
    draw, rest, fastest = np.random.default_rng(1), [0.0] * 6, []
    for step in range(900):
        if step % 15 == 0:
            target = draw.uniform(-1.0, 1.0, 6).tolist()
        stepper.advance(target, rest, rest)
        fastest.append(body.link_speed(stepper.setpoint.position, stepper.setpoint.velocity))
    assert max(fastest) <= 0.25
    assert np.mean(fastest) > 0.15


def test_a_measured_touch_is_told_and_one_from_the_start_is_not(arm: RobotSpec, body: LinkBody) -> None:
    spec = SafetySpec()
    guard = Guard(body, spec)
    guard.begin(home(arm))
    assert guard.share == 1.0
    assert guard.too_near(home(arm)) == ""
    assert "mm apart" in guard.too_near(THROUGH)
    guard.begin(THROUGH)
    assert guard.share == SLOWEST
    still = Setpoint(tuple(home(arm)), (0.0,) * 6, (0.0,) * 6)
    assert guard.forbids(home(arm), lambda: [still], home(arm), lambda: [still]) is Limit(0)
