"""What the robot did and when: the rows of telemetry, and what is counted and measured from them. Knows no ROS."""
