"""`python -m ppo_robot.cli` is `ppo-robot`."""

import sys

from ppo_robot.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
