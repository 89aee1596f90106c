"""What stands between a policy and a robot: limits, a step that keeps them, and a stop that is always possible."""
