"""Proximal policy optimisation on torch (Schulman et al. 2017, arXiv:1707.06347). Knows no robot and no simulator."""
