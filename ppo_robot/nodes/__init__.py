"""The ROS 2 nodes: thin rclpy classes around cores that know no ROS."""

import signal
import sys

if sys.argv[:1] == ["-m"]:  # what Python puts there while it looks for the module to run: a node of ours begins
    # Interrupted among the imports, it ends without a traceback. `run_node` has handlers of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
