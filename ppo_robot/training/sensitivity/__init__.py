"""Which ranges of randomization matter: success of one policy as each parameter alone is moved."""
