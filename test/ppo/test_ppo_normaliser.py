"""The running normaliser against numpy on the whole data, however it was split."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_robot.ppo.normaliser import RunningNormaliser


@settings(max_examples=50, deadline=None)
@given(
    splits=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    offset=st.sampled_from([0.0, 1.0, -1e3, 1e5]),
    scale=st.sampled_from([1e-2, 1.0, 1e3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_split_equals_the_whole(splits, offset, scale, seed):
    rows = torch.from_numpy(np.random.default_rng(seed).normal(offset, scale, (sum(splits), 3)))
    normaliser = RunningNormaliser(3)
    for part in rows.split(splits):
        normaliser.update(part)
    assert normaliser.count.item() == len(rows)
    np.testing.assert_allclose(normaliser.mean, rows.numpy().mean(0), rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(normaliser.variance, rows.numpy().var(0), rtol=1e-7, atol=1e-12 * offset**2)


def test_identity_before_the_first_sample():
    normaliser, x = RunningNormaliser(2), torch.tensor([[1e3, -5.0]])
    assert normaliser.is_identity
    assert torch.equal(normaliser.normalise(x, clip=1.0), x)
    assert torch.equal(normaliser.denormalise(x), x)


def test_normalise_by_hand_clip_and_inverse():
    normaliser = RunningNormaliser(1)
    normaliser.update(torch.tensor([[1.0], [5.0]]))  # mean 3, population std 2
    x = torch.tensor([[3.0], [7.0], [103.0]])
    normalised = normaliser.normalise(x, clip=10.0)
    assert normalised.flatten().tolist() == [0.0, 2.0, 10.0]
    assert normalised.dtype == torch.float32
    torch.testing.assert_close(normaliser.denormalise(normaliser.normalise(x)), x)


def test_constant_feature_is_centred_and_not_scaled():
    normaliser = RunningNormaliser(2)
    normaliser.update(torch.tensor([[0.1, 0.0], [0.1, 2.0]]).repeat(500, 1))
    out = normaliser.normalise(torch.tensor([[0.1, 1.0], [0.35, 3.0]]))
    torch.testing.assert_close(out, torch.tensor([[0.0, 0.0], [0.25, 2.0]]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_is_refused_naming_the_feature_and_changes_nothing(bad):
    normaliser = RunningNormaliser(3)
    normaliser.update(torch.randn(10, 3, generator=torch.Generator().manual_seed(0)))
    before = {name: tensor.clone() for name, tensor in normaliser.state_dict().items()}
    batch = torch.zeros(4, 3)
    batch[2, 1] = bad
    with pytest.raises(ValueError, match=r"features \[1\]"):
        normaliser.update(batch)
    assert all(torch.equal(before[name], tensor) for name, tensor in normaliser.state_dict().items())


def test_wrong_size_is_refused():
    with pytest.raises(ValueError, match="last axis of 3"):
        RunningNormaliser(3).update(torch.zeros(4, 2))


def test_state_dict_round_trip_normalises_alike():
    normaliser, other = RunningNormaliser(3), RunningNormaliser(3)
    normaliser.update(torch.randn(10, 3, generator=torch.Generator().manual_seed(0)) * 5 + 2)
    assert set(normaliser.state_dict()) == {"mean", "variance", "count"}
    assert all(tensor.dtype == torch.float64 for tensor in normaliser.state_dict().values())
    other.load_state_dict(normaliser.state_dict())
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(other.normalise(x, 5.0), normaliser.normalise(x, 5.0))
    assert not other.is_identity
