"""Rotations of B bodies as quaternions xyzw, body to world; every operation row by row, whatever the batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def rotation_matrix(quaternion: Array) -> Array:
    """Return the matrices (B, 3, 3) that take body vectors to the world, of unit quaternions (B, 4) xyzw."""
    x, y, z, w = quaternion.T
    out = np.empty((len(quaternion), 3, 3))
    out[:, 0, 0] = 1.0 - 2.0 * (y * y + z * z)
    out[:, 0, 1] = 2.0 * (x * y - w * z)
    out[:, 0, 2] = 2.0 * (x * z + w * y)
    out[:, 1, 0] = 2.0 * (x * y + w * z)
    out[:, 1, 1] = 1.0 - 2.0 * (x * x + z * z)
    out[:, 1, 2] = 2.0 * (y * z - w * x)
    out[:, 2, 0] = 2.0 * (x * z - w * y)
    out[:, 2, 1] = 2.0 * (y * z + w * x)
    out[:, 2, 2] = 1.0 - 2.0 * (x * x + y * y)
    return out


def to_world(matrix: Array, vector: Array) -> Array:
    """Return R v for matrices (B, 3, 3) and body vectors (B, 3)."""
    x, y, z = (vector[:, axis, None] for axis in range(3))
    return matrix[:, :, 0] * x + matrix[:, :, 1] * y + matrix[:, :, 2] * z


def to_body(matrix: Array, vector: Array) -> Array:
    """Return R^T v for matrices (B, 3, 3) and world vectors (B, 3)."""
    x, y, z = (vector[:, axis, None] for axis in range(3))
    return matrix[:, 0] * x + matrix[:, 1] * y + matrix[:, 2] * z


def multiply(first: Array, second: Array) -> Array:
    """Return the quaternion product (B, 4): the rotation `second`, then `first`, both in the frame of `first`."""
    x, y, z, w = first.T
    a, b, c, d = second.T
    return np.stack(
        [
            w * a + x * d + y * c - z * b,
            w * b - x * c + y * d + z * a,
            w * c + x * b - y * a + z * d,
            w * d - x * a - y * b - z * c,
        ],
        axis=1,
    )


def from_vector(vector: Array) -> Array:
    """Return the quaternions (B, 4) of rotation vectors (B, 3) rad."""
    angle = np.sqrt(vector[:, 0] ** 2 + vector[:, 1] ** 2 + vector[:, 2] ** 2)
    half = 0.5 * angle
    # sin(a / 2) / a, with its limit at zero
    factor = np.where(angle > 1e-9, np.sin(half) / np.maximum(angle, 1e-9), 0.5)
    return np.concatenate([vector * factor[:, None], np.cos(half)[:, None]], axis=1)


def normalised(quaternion: Array) -> Array:
    """Return unit quaternions (B, 4)."""
    length = quaternion[:, 0] ** 2 + quaternion[:, 1] ** 2 + quaternion[:, 2] ** 2 + quaternion[:, 3] ** 2
    return quaternion / np.sqrt(length)[:, None]


def aligned(quaternion: Array, reference: Array) -> Array:
    """Return the quaternions (B, 4) with the sign that lies nearer to a reference (B, 4): q and -q are one rotation."""
    product = quaternion * reference
    dot = product[:, 0] + product[:, 1] + product[:, 2] + product[:, 3]
    return np.where(dot[:, None] < 0.0, -quaternion, quaternion)
