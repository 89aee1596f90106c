"""The Markov decision process as named functions over arrays with a leading batch axis (numpy only).

Simulation calls them with a batch of N, the robot with a batch of one: the same code, bit for bit.
"""
