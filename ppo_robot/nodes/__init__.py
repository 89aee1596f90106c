"""The ROS 2 nodes: thin rclpy classes around cores that know no ROS."""
