"""`python -m ppo_robot.cli` is `ppo-robot`."""

import sys

from ppo_robot.cli.main import main

sys.exit(main())
