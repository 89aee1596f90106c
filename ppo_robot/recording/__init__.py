"""What a robot did, as MCAP files in rosbag2's layout: written so that no crash spoils them, read without ROS."""
