"""Fly a policy: `ros2 launch ppo_robot fly.launch.py`. Arguments: `--show-args`."""

from launch import LaunchDescription

from ppo_robot.nodes.launch_actions import describe


def generate_launch_description() -> LaunchDescription:
    """Return the arguments and processes that `ppo_robot.nodes.system` lists."""
    return describe("fly")
