"""The simulated robots: PyBullet and MuJoCo plants, actuators, sensors, and the batched environment that worker processes own."""
