"""Tests of rotations against pinocchio's."""

from __future__ import annotations

import numpy as np
import pinocchio
from flights import random_states

from ppo_robot.mdp.rotation import aligned, from_vector, multiply, normalised, rotation_matrix, to_body, to_world

STATES = random_states(16)
QUATERNION, VECTOR = STATES.base_orientation, STATES.base_linear_velocity


def test_matrices_are_pinocchios() -> None:
    for quaternion, matrix in zip(QUATERNION, rotation_matrix(QUATERNION), strict=True):
        assert np.allclose(pinocchio.Quaternion(quaternion).toRotationMatrix(), matrix, atol=1e-14)


def test_there_and_back() -> None:
    matrix = rotation_matrix(QUATERNION)
    assert np.allclose(to_world(matrix, VECTOR), np.einsum("bij,bj->bi", matrix, VECTOR), atol=1e-14)
    assert np.allclose(to_body(matrix, to_world(matrix, VECTOR)), VECTOR, atol=1e-14)


def test_products_are_those_of_matrices() -> None:
    other = QUATERNION[::-1]
    product = rotation_matrix(QUATERNION) @ rotation_matrix(other)
    assert np.allclose(rotation_matrix(multiply(QUATERNION, other)), product, atol=1e-14)


def test_a_rotation_vector_turns_by_its_length_about_itself() -> None:
    matrix = rotation_matrix(from_vector(VECTOR))
    for vector, found in zip(VECTOR, matrix, strict=True):
        assert np.allclose(pinocchio.exp3(vector), found, atol=1e-14)
    assert np.array_equal(from_vector(np.zeros((1, 3))), [[0.0, 0.0, 0.0, 1.0]])


def test_the_nearer_of_two_signs() -> None:
    flipped = QUATERNION * np.where(np.arange(16) % 2, -1.0, 1.0)[:, None]
    assert np.array_equal(aligned(flipped, QUATERNION), QUATERNION)
    assert np.allclose(normalised(3.0 * QUATERNION), QUATERNION, atol=1e-15)
