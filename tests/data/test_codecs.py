import json

import numpy as np
import pytest
import torch

from pellucid.data.codecs import (
    ImageCodec,
    PointsCodec,
    SignalCodec,
    codec_from_json,
    points_codec,
    signal_codec,
)
from pellucid.foundations.errors import UserError


def test_every_level_of_a_picture_survives_the_round_trip() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    codec = ImageCodec(1, 16, 16)
    x = codec.encode(levels)
    assert x.dtype == torch.float32
    # u / 127.5 - 1 in exact arithmetic, within two roundings of float32
    np.testing.assert_allclose(x.double().numpy(), levels / 127.5 - 1, atol=2**-23)
    assert (x.min(), x.max()) == (-1, 1)
    np.testing.assert_array_equal(codec.decode(x), levels)


def test_decoding_rounds_to_the_nearest_level_and_clips() -> None:
    codec = ImageCodec(1, 1, 4)
    x = torch.tensor([-7.0, 100.4 / 127.5 - 1, 100.6 / 127.5 - 1, 3.0]).reshape(1, 1, 1, 4)
    np.testing.assert_array_equal(codec.decode(x).ravel(), [0, 100, 101, 255])


def test_encoding_leaves_the_items_alone_and_takes_read_only_ones() -> None:
    items = np.full((2, 1, 2, 2), 9, np.uint8)
    items.setflags(write=False)
    ImageCodec(1, 2, 2).encode(items)
    assert (items == 9).all()


def test_points_are_standardised_by_column() -> None:
    points = np.random.default_rng(0).normal([5, -300, 1900], [1, 20, 0.5], (4000, 3)).astype(np.float32)
    codec = points_codec(points)
    wide = points.astype(np.float64)
    np.testing.assert_allclose(codec.mean, wide.mean(0), rtol=1e-12)
    np.testing.assert_allclose(codec.std, wide.std(0), rtol=1e-10)
    x = codec.encode(points).double()
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)  # float32 rounding of 4,000 values of order 1
    np.testing.assert_allclose(x.std(0, unbiased=False), 1, atol=1e-6)
    # x has relative precision 2^-24, x std + mean then that of float32
    np.testing.assert_allclose(codec.decode(codec.encode(points)), points, rtol=2e-7, atol=1e-6)


def test_signals_are_standardised_by_channel() -> None:
    signals = np.random.default_rng(1).normal(0, 1, (300, 2, 50)) * [[3], [0.1]] + [[1], [-7]]
    codec = signal_codec(signals.astype(np.float32))
    assert codec.shape == (2, 50)
    np.testing.assert_allclose(codec.mean, signals.mean((0, 2)), atol=1e-6)
    np.testing.assert_allclose(codec.std, signals.std((0, 2)), rtol=1e-6)
    x = codec.encode(signals.astype(np.float32)).double()
    np.testing.assert_allclose(x.std((0, 2), unbiased=False), 1, atol=1e-6)


def test_constant_columns_come_back_exactly() -> None:
    points = np.array([[1, 0.1], [2, 0.1], [3, 0.1]], np.float32)
    codec = points_codec(points)
    assert codec.std[1] == 1
    x = codec.encode(points)
    assert (x[:, 1] == 0).all()
    np.testing.assert_array_equal(codec.decode(x)[:, 1], points[:, 1])


def test_large_arrays_are_summed_in_slices_without_loss() -> None:
    points = np.random.default_rng(2).normal(1000, 1, (50_000, 100)).astype(np.float32)  # two slices
    codec = points_codec(points)
    np.testing.assert_allclose(codec.std, points.astype(np.float64).std(0), rtol=1e-10)


@pytest.mark.parametrize(
    "codec", [ImageCodec(3, 8, 9), PointsCodec((0.1, 1e-30), (1 / 3, 7.0)), SignalCodec(4, (1.0,), (2.5,))]
)
def test_json_round_trip_is_exact(codec: ImageCodec | PointsCodec | SignalCodec) -> None:
    assert codec_from_json(json.loads(json.dumps(codec.to_json()))) == codec


def test_damaged_json_is_told() -> None:
    with pytest.raises(UserError, match=r"unknown codec 'imagee'; did you mean 'image'"):
        codec_from_json({"kind": "imagee"})
    with pytest.raises(UserError, match="channels, height, width"):
        codec_from_json({"kind": "image", "channels": 1})
