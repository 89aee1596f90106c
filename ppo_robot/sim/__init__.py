"""The simulated robots: PyBullet plants, actuators, sensors, and the batched environment that worker processes own."""
