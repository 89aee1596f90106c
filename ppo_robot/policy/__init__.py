"""The trained policy as one directory: written once by training, checked and run by the robot."""
