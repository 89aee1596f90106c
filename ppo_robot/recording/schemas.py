"""Message definitions, type hashes and decoding without ROS: what `rosbags` knows, and what a recording brings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

_STORES = {
    "humble": Stores.ROS2_HUMBLE,
    "iron": Stores.ROS2_IRON,
    "jazzy": Stores.ROS2_JAZZY,
    "kilted": Stores.ROS2_KILTED,
}
_FIELD = re.compile(r"^\s*([A-Za-z][\w/]*)", re.MULTILINE)


class UnknownTypeError(Exception):
    """Nobody here knows this message type."""


class Schemas:
    """Definitions of message types such as `sensor_msgs/msg/JointState`."""

    def __init__(self, distribution: str = "jazzy", folders: Iterable[Path] | None = None) -> None:
        """Know the types of a ROS distribution, and those below `folders` (by default those of AMENT_PREFIX_PATH)."""
        self.store: Typestore = get_typestore(_STORES.get(distribution, Stores.ROS2_JAZZY))
        prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        self._folders = list(folders) if folders is not None else [Path(prefix) for prefix in prefixes if prefix]

    def knows(self, name: str) -> bool:
        """Return whether a type is known."""
        return name in self.store.fielddefs

    def learn(self, name: str, text: str) -> None:
        """Learn a type, and those it needs, from ros2msg text; what is known already stays as it is.

        Raises:
            UnknownTypeError: if the text cannot be read.
        """
        if self.knows(name):
            return
        try:
            found = get_types_from_msg(text, name)
            self.store.register({key: value for key, value in found.items() if not self.knows(key)})
        except Exception as error:  # the parser's own errors are of many kinds
            raise UnknownTypeError(f"{name}: its definition cannot be read ({' '.join(str(error).split())})") from None

    def describe(self, name: str) -> tuple[str, str]:
        """Return the ros2msg text of a type, with all that it needs, and its RIHS01 hash.

        Raises:
            UnknownTypeError: if the type is unknown.
        """
        if not self.knows(name):
            self._find(name)
        try:
            text, _ = self.store.generate_msgdef(name, ros_version=2)
            return text, self.store.hash_rihs01(name)
        except Exception as error:
            raise UnknownTypeError(f"{name}: {' '.join(str(error).split())}") from None

    def decode(self, data: bytes, name: str) -> Any:
        """Return the message in CDR bytes; its fields are those of the ROS type, arrays are numpy arrays.

        Raises:
            UnknownTypeError: if the type is unknown.
        """
        if not self.knows(name):
            raise UnknownTypeError(f"{name}: unknown type")
        return self.store.deserialize_cdr(data, name)

    def encode(self, message: object, name: str) -> bytes:
        """Return the CDR bytes of a message made with `self.store.types[name]`."""
        return bytes(cast(Any, self.store.serialize_cdr(message, name)))

    def _find(self, name: str) -> None:
        """Learn a type that an installed package defines, and the types of its fields before it."""
        package, _, short = name.replace("/msg/", "/").partition("/")
        paths = (folder / "share" / package / "msg" / f"{short}.msg" for folder in self._folders)
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise UnknownTypeError(f"{name}: no definition of it is installed here")
        text = path.read_text(encoding="utf-8")
        for found in _FIELD.findall(re.sub(r"#.*", "", text)):
            other, slash, field = found.rpartition("/")
            full = f"{other.removesuffix('/msg')}/msg/{field}" if slash else f"{package}/msg/{found}"
            local = any((folder / "share" / package / "msg" / f"{found}.msg").is_file() for folder in self._folders)
            if full != name and not self.knows(full) and (slash or local):
                self._find(full)
        self.learn(name, text)
