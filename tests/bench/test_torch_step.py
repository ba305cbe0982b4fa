"""The benchmark's PyTorch step is a real model with the shape's size and state."""

from __future__ import annotations

from awm_crank.bench.torch_step import TorchSizes, _Model, step


def test_parameters_are_those_of_the_trained_shape() -> None:
    """All 4.28 million parameters of the trained checkpoint are there."""
    count = sum(each.numel() for each in _Model(TorchSizes(4, 384, 768, 64, 12)).parameters())
    assert 4.2e6 < count < 4.35e6


def test_state_is_carried_from_step_to_step() -> None:
    """The same frame twice gives two predictions, and every head gives its numbers."""
    run = step(TorchSizes(1, 32, 64, 8, 2))
    first, second = run(), run()
    assert first != second
    assert len(first) == 8 + 10 + 6 + 6 + 12
