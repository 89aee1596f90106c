"""Train a policy with PPO in PyBullet and run it on a ROS 2 robot behind a safety envelope."""

__version__ = "0.1.0"
