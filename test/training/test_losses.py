# SPDX-License-Identifier: Apache-2.0
"""The losses against values worked out by hand."""

import math

import pytest

torch = pytest.importorskip('torch')

from training.losses import depth_loss, domain_loss, gradient_loss, object_weights


def test_depth_loss_is_the_weighted_mean_of_its_three_terms() -> None:
    truth = torch.tensor([[[1.0, 2.0, 0.0]]])
    prediction = torch.tensor([[[math.e, 2.0, 9.0]]])  # log errors 1 and 0, and one unknown
    weight = torch.tensor([[[3.0, 1.0, 5.0]]])
    silog = math.sqrt(0.75 - 0.85 * 0.75**2)
    expected = silog + 0.75 + 0.1 * 0.75 * (math.e - 1)
    assert float(depth_loss(prediction, truth, weight)) == pytest.approx(expected, abs=1e-5)


def test_weights_of_one_size_change_nothing() -> None:
    truth, prediction = torch.rand(2, 2, 8, 8) + 1
    once, thrice = (depth_loss(prediction, truth, torch.full_like(truth, w)) for w in (1, 3))
    torch.testing.assert_close(once, thrice)


def test_unknown_depth_costs_nothing_and_gives_no_gradient() -> None:
    truth = torch.rand(1, 8, 8) + 1
    truth[0, 0] = 0
    prediction = truth.clone()
    prediction[0, 0] = 99.0
    prediction.requires_grad_()
    loss = depth_loss(prediction * 1.3, truth, torch.ones_like(truth))
    loss = loss + gradient_loss(prediction * 1.3, truth)
    loss.backward()
    assert prediction.grad is not None and prediction.grad.isfinite().all()
    assert not prediction.grad[0, 0].any() and prediction.grad[0, 1:].any()
    scale, metres = math.log(1.3), 0.3 * float(truth[0, 1:].mean())
    expected = scale * (1 + math.sqrt(0.15)) + 0.1 * metres
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-4)


def test_objects_count_more() -> None:
    objects = torch.tensor([True, False])
    assert object_weights(objects, 5.0).tolist() == [5.0, 1.0]


def test_gradient_loss_at_every_scale() -> None:
    """The log error is 0.1 a row: 0.1, 0.2, 0.4 and 0.8 between rows, 0 between columns."""
    truth = torch.full((1, 16, 16), 2.0)
    ramp = torch.arange(16.0)[:, None] * 0.1
    expected = 0.1 + 0.2 + 0.4 + 0.8
    for error in (ramp, ramp.T):
        loss = gradient_loss(truth * error.exp(), truth)
        assert float(loss) == pytest.approx(expected, abs=1e-5)
    assert float(gradient_loss(truth * 1.5, truth)) == pytest.approx(0, abs=1e-6)


def test_gradient_loss_compares_known_neighbours_only() -> None:
    truth = torch.full((1, 16, 16), 2.0)
    prediction = truth.clone()
    prediction[0, :, 8:] *= math.e
    edge = float(gradient_loss(prediction, truth))
    # of every row one difference in 15, 7, 3 and 1
    assert edge == pytest.approx(1 / 15 + 1 / 7 + 1 / 3 + 1, abs=1e-5)
    truth[0, :, 8:] = 0
    assert float(gradient_loss(prediction, truth)) == pytest.approx(0, abs=1e-6)


def test_domain_loss_is_the_cross_entropy() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)]])
    assert float(domain_loss(logits, 1)) == pytest.approx(-math.log(0.75), abs=1e-6)
    assert float(domain_loss(logits, 0)) == pytest.approx(-math.log(0.25), abs=1e-6)
