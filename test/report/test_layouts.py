"""The layouts for other tools name topics, fields and joints that recordings have."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

from ppo_robot.paths import share_directory
from ppo_robot.recording.schemas import Schemas
from ppo_robot.spec.robot import load_robot

LAYOUTS = share_directory() / "config" / "layouts"
TYPES = {
    "/joint_states": "sensor_msgs/msg/JointState",
    "/policy/action": "trajectory_msgs/msg/JointTrajectory",
    "/forward_position_controller/commands": "std_msgs/msg/Float64MultiArray",
    "/goal_pose": "geometry_msgs/msg/PoseStamped",
    "/sim_robot/tool": "geometry_msgs/msg/PointStamped",
    "/safety/state": "diagnostic_msgs/msg/DiagnosticStatus",
    "/telemetry/latency": "diagnostic_msgs/msg/DiagnosticArray",
    "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
}
"""What docs/ros_interface.md says."""


def field_exists(path, joints):
    """Return whether a path such as /joint_states.position[2] is a field of the topic's type."""
    topic = next(name for name in sorted(TYPES, key=len, reverse=True) if path.startswith(name))
    kind, definitions = TYPES[topic], Schemas().store.fielddefs
    for part in re.split(r"[./]", path.removeprefix(topic).strip("./")) if path != topic else []:
        if part in joints and kind == TYPES["/joint_states"]:
            continue  # PlotJuggler puts the joint before the field
        name, _, place = part.rstrip("]").partition("[")
        assert place == "" or int(place) < len(joints), path
        fields = {field: description for field, description in definitions[kind][1]}
        if name not in fields:
            return False
        description = fields[name]
        while isinstance(description[1], tuple):  # an array of something
            description = description[1]
            description = description if isinstance(description[0], int) else description[0]
        kind = description[1] if isinstance(description[1], str) else description[0]
    return True


def test_plotjuggler_draws_what_a_recording_has():
    joints = load_robot("arm6").joint_names
    root = ElementTree.parse(LAYOUTS / "plotjuggler.xml").getroot()
    curves = [curve.get("name") for curve in root.iter("curve")]
    assert len(curves) == 30
    assert [path for path in curves if not field_exists(path, joints)] == []
    for splitter in root.iter("DockSplitter"):
        assert len(splitter) == int(splitter.get("count")) == len(splitter.get("sizes").split(";"))
    drawn = [area.get("name") for area in root.iter("DockArea")]
    assert drawn[:6] == list(joints)
    for place, area in enumerate(list(root.iter("DockArea"))[:6]):
        numbers = re.findall(r"(?:positions|data)\[(\d+)\]", " ".join(c.get("name") for c in area.iter("curve")))
        assert numbers == [str(place)] * 2


def leaves(node):
    return [node] if isinstance(node, str) else leaves(node["first"]) + leaves(node["second"])


def test_foxglove_shows_every_panel_once_and_reads_what_there_is():
    joints = load_robot("arm6").joint_names
    layout = json.loads((LAYOUTS / "foxglove.json").read_text())
    panels = layout["configById"]
    assert sorted(leaves(layout["layout"])) == sorted(panels)
    paths = [path["value"] for panel in panels.values() for path in panel.get("paths", ())]
    paths += [panel[key] for panel in panels.values() for key in ("topicPath", "topicToRender") if key in panel]
    assert len(paths) == 21
    assert [path for path in paths if not field_exists(path, joints)] == []
    assert not field_exists("/joint_states.positions[0]", joints)
