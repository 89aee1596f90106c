"""The simulated robots: plants, actuators, sensors, and the batched environment that workers own."""
