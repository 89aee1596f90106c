"""Reports of what a robot did, and the look that all reports share."""
