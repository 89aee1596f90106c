"""Where the package's own data (config, urdf, launch) lies: in a checkout, or in an installed share folder."""

from __future__ import annotations

import os
from pathlib import Path

from ppo_robot.errors import BadInputError

SHARE_VARIABLE = "PPO_ROBOT_SHARE"


def share_directory() -> Path:
    """Return the folder that holds `config/` and `urdf/`.

    Looked for in this order: the environment variable PPO_ROBOT_SHARE, the checkout that this module stands in, and
    `share/ppo_robot` beside the library folder that it was installed to (pip and colcon both put it there).

    Raises:
        BadInputError: if none of them holds a `config` folder.
    """
    given = os.environ.get(SHARE_VARIABLE)
    if given:
        if not (Path(given) / "config").is_dir():
            raise BadInputError(f"{SHARE_VARIABLE}={given!r}: has no 'config' folder; point it at share/ppo_robot")
        return Path(given)
    package = Path(__file__).resolve().parent
    checkout = package.parent
    if (checkout / "package.xml").is_file() and (checkout / "config").is_dir():
        return checkout
    for parent in package.parents:
        candidate = parent / "share" / "ppo_robot"
        if (candidate / "config").is_dir():
            return candidate
    raise BadInputError(
        f"the data of ppo_robot was not found near {package}; reinstall the package or set {SHARE_VARIABLE}"
    )
