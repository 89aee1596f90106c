"""Rotations of B bodies as quaternions xyzw, body to world; every operation row by row, whatever the batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


# Each entry of the matrix is a sum of two products of quaternion components, which lie side by side as (4, 4).
_X, _Y, _Z, _W = range(4)
_FIRST = np.array([(_Y, _Y), (_X, _Y), (_X, _Z), (_X, _Y), (_X, _X), (_Y, _Z), (_X, _Z), (_Y, _Z), (_X, _X)]) @ (4, 1)
_SECOND = np.array([(_Z, _Z), (_W, _Z), (_W, _Y), (_W, _Z), (_Z, _Z), (_W, _X), (_W, _Y), (_W, _X), (_Y, _Y)]) @ (4, 1)
_SIGN = np.array([1.0, -1.0, 1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0])


def rotation_matrix(quaternion: Array) -> Array:
    """Return the matrices (B, 3, 3) that take body vectors to the world, of unit quaternions (B, 4) xyzw."""
    product = ((2.0 * quaternion)[:, :, None] * quaternion[:, None, :]).reshape(-1, 16)
    out = product[:, _FIRST] + _SIGN * product[:, _SECOND]
    out[:, ::4] = 1.0 - out[:, ::4]
    return out.reshape(-1, 3, 3)


def to_world(matrix: Array, vector: Array) -> Array:
    """Return R v for matrices (B, 3, 3) and body vectors (B, 3)."""
    part = matrix * vector[:, None, :]
    return part[:, :, 0] + part[:, :, 1] + part[:, :, 2]


def to_body(matrix: Array, vector: Array) -> Array:
    """Return R^T v for matrices (B, 3, 3) and world vectors (B, 3)."""
    part = matrix * vector[:, :, None]
    return part[:, 0] + part[:, 1] + part[:, 2]


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
