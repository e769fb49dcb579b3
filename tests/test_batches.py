"""How many images a network is called with at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgeclf.image.batches import bounded_batch


def test_large_images_are_predicted_a_few_at_a_time() -> None:
    assert [bounded_batch(200, side, side) for side in (32, 224, 448, 512)] == [200, 200, 50, 38]
    assert bounded_batch(256, 6 * 224, 224) == 42, "six views of an object, one below the other"
    assert bounded_batch(200, 100_000, 100_000) == bounded_batch(1, 512, 512) == 1


@given(most=st.integers(1, 1000), height=st.integers(1, 5000), width=st.integers(1, 5000))
def test_a_batch_has_no_more_pixels_than_asked_for_at_224(most: int, height: int, width: int) -> None:
    count = bounded_batch(most, height, width)
    assert 1 <= count <= most
    assert count * height * width <= most * 224 * 224 or count == 1
