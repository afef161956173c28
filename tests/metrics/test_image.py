import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pellucid.foundations.errors import UserError
from pellucid.metrics.image import psnr, ssim

GENERATOR = torch.Generator().manual_seed(3)
TRUE = torch.rand(2, 3, 24, 31, generator=GENERATOR) * 2 - 1
OFF = (TRUE + 0.2 * torch.randn(TRUE.shape, generator=GENERATOR)).clamp(-1, 1)


def test_psnr_is_that_of_scikit_image() -> None:
    theirs = [peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=2) for a, b in zip(TRUE, OFF, strict=True)]
    np.testing.assert_allclose(psnr(TRUE, OFF), theirs, rtol=1e-6)
    assert psnr(TRUE, TRUE).isinf().all()
    # a constant difference of 1/50 of the range is 20 log10(50) decibels
    torch.testing.assert_close(psnr(TRUE.double(), TRUE.double() + 0.04)[0].item(), 33.9794, rtol=0, atol=1e-4)


def test_ssim_is_that_of_scikit_image() -> None:
    theirs = [
        structural_similarity(
            a.double().numpy(),
            b.double().numpy(),
            data_range=2,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for a, b in zip(TRUE, OFF, strict=True)
    ]
    np.testing.assert_allclose(ssim(TRUE, OFF), theirs, rtol=1e-9)
    torch.testing.assert_close(ssim(TRUE, TRUE), torch.ones(2, dtype=torch.float64))


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UserError, match="one shape"):
        psnr(TRUE, OFF[:1])
    with pytest.raises(UserError, match="11 x 11"):
        ssim(TRUE[..., :8], OFF[..., :8])
