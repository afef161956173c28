"""The one call: what it gives against exact laws, what it depends on, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.guidance import Guided
from pellucid.operators import Box, Compose, Crop, Custom, Downsample, Identity, Mask, Operator
from pellucid.operators.blur import GaussianBlur
from pellucid.oracles import MixtureOracle, gaussian_oracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import EDM
from pellucid.restoration.restore import Restored, as_operator, restore
from pellucid.restorers import DDNM, Tikhonov
from pellucid.solvers import DDIM

from ..small import untrained

F64 = torch.float64
PROCESS = Gaussian(EDM())


def normal(*shape: int, seed: int = 0) -> Tensor:
    return Stream.of(seed, range(shape[0])).normal(shape[1:], step=0)[0, 0].double()


def correlated(size: int) -> Tensor:
    """The covariance of a smooth line of `size` values."""
    place = torch.arange(size, dtype=F64)
    return 0.5 * torch.exp(-(place[:, None] - place).abs() / 3) + 1e-3 * torch.eye(size, dtype=F64)


@pytest.mark.parametrize("how", ["operator", "matrix", "function"])
def test_a_vector_with_a_matrix_has_the_exact_posterior(how: str) -> None:
    """Without noise DDNM's marginals are those of the exact posterior wherever what is seen and what is not are
    independent; here they are made so. The mean of 400 draws is then exact to 4.5 standard errors."""
    size, seen = 6, 2
    covariance = torch.diag(torch.linspace(0.3, 1.3, size, dtype=F64))
    oracle = gaussian_oracle(PROCESS, torch.full((size,), 0.4, dtype=F64), covariance)
    matrix = torch.zeros(seen, size, dtype=F64)
    matrix[0, 1], matrix[1, 4] = 2.0, -0.5
    operator: Any = {"operator": None, "matrix": matrix, "function": lambda x: x @ matrix.to(x).T}[how]
    if operator is None:
        operator = Custom(lambda x: x @ matrix.to(x).T)
    y = torch.tensor([[1.0, 0.3]], dtype=F64)
    got = restore(oracle, operator, y, method="ddnm", shape=(size,), samples=400, steps=40)
    assert got.samples.shape == (1, 400, size)
    assert got.residual.max() < 1e-5  # A+ by conjugate gradients, to 1e-6 of |y|
    torch.testing.assert_close(got.mean[0, [1, 4]], torch.tensor([0.5, -0.6], dtype=F64), rtol=0, atol=1e-5)
    free = [0, 2, 3, 5]
    spread = covariance.diag().sqrt()[free]
    assert ((got.mean[0, free] - 0.4).abs() < 4.5 * spread / 20).all()
    # A sample's standard deviation has the relative error 1/sqrt(2 k), and 40 steps bias it by a few percent.
    assert ((got.std[0, free] / spread - 1).abs() < 4.5 / 800**0.5 + 0.05).all()
    assert (got.posterior, got.method) == (False, "ddnm")


def test_denoising_a_normal_law_is_wiener_s_filter() -> None:
    """DDNM+ draws from the posterior of a normal law with independent directions."""
    oracle = gaussian_oracle(PROCESS, torch.zeros(4, dtype=F64), torch.tensor(0.25, dtype=F64))
    y, noise = torch.tensor([[0.6, -0.2, 0.0, 1.0]], dtype=F64), 0.5
    got = restore(oracle, Identity().on((4,)), y, method="ddnm+", noise=noise, samples=500, steps=80)
    gain = 0.25 / (0.25 + noise**2)
    assert ((got.mean[0] - gain * y[0]).abs() < 4.5 * (0.25 * (1 - gain) / 500) ** 0.5 + 0.01).all()


@pytest.fixture(scope="module")
def model() -> Any:
    return untrained((3, 16, 16), classes=3)


def seen(items: int = 3, side: int = 16) -> Tensor:
    return normal(items, 3, side // 4, side // 4).float().clamp(-1, 1) / 2


def test_a_sample_depends_on_its_own_numbers_alone(model: Any) -> None:
    """Not on how many samples or items are made, nor in what batches. To the round-off of matrix products, whose order
    depends on the batch (see `generate.sample`), which 8 steps of a rough network let grow."""
    y = seen()
    whole = restore(model, Downsample(4), y, method="ddnm", samples=3, seed=5, steps=8)
    assert whole.samples.shape == (3, 3, 3, 16, 16)

    def close(got: Restored, expected: Tensor) -> None:
        torch.testing.assert_close(got.samples, expected, rtol=0, atol=2e-4)

    close(restore(model, Downsample(4), y, method="ddnm", samples=3, seed=5, steps=8, batch_size=2), whole.samples)
    close(restore(model, Downsample(4), y, method="ddnm", samples=1, seed=5, steps=8), whole.samples[:, :1])
    close(restore(model, Downsample(4), y[2:], method="ddnm", samples=3, seed=5, steps=8, first=2), whole.samples[2:])
    flat = whole.samples.flatten(0, 1).flatten(1)
    assert torch.cdist(flat, flat).fill_diagonal_(9).min() > 0.5  # nine different pictures
    other = restore(model, Downsample(4), y, method="ddnm", seed=6, steps=8)
    assert (other.samples - whole.samples[:, :1]).abs().max() > 0.1


def test_noiseless_ddnm_fits_what_was_seen_and_says_so(model: Any) -> None:
    y = seen()
    got = restore(model, Downsample(4), y, method="ddnm", samples=2, steps=4)
    assert got.residual.shape == (3, 2)
    assert got.residual.max() < 1e-6  # float32 round-off of averages of numbers below 1
    worse = restore(model, Identity(), normal(1, 3, 16, 16).float(), method=Tikhonov(), noise=1.0, steps=2)
    misfit = normal(1, 3, 16, 16).float() - worse.samples[:, 0]
    torch.testing.assert_close(worse.residual[0, 0], misfit.square().mean().sqrt())
    assert worse.method == "Tikhonov"


def test_what_lies_under_a_mask_is_ignored_and_not_counted(model: Any) -> None:
    mask = Box().on((3, 16, 16))
    clean = normal(1, 3, 16, 16).float().clamp(-1, 1)
    y = clean.clone()
    y[:, :, 8, 8] = float("nan")
    y[:, :, 7, 7] = 40.0
    got = restore(model, mask, y, method="ddnm", steps=4)
    same = restore(model, mask, mask(clean), method="ddnm", steps=4)
    assert torch.equal(got.samples, same.samples)
    noisy = restore(model, mask, y, method=Tikhonov(), noise=1.0)
    misfit = (mask(clean) - mask(noisy.samples[:, 0])).square().sum() / (3 * 192)
    torch.testing.assert_close(noisy.residual[0, 0], misfit.sqrt())
    y[:, :, 0, 0] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        restore(model, mask, y, method="ddnm")


def test_labels_are_none_unless_told_and_guidance_acts(model: Any) -> None:
    heard: list[list[int]] = []

    class Listening(torch.nn.Module):
        process, shape = PROCESS, (3, 16, 16)

        def forward(self, x: Tensor, t: Tensor, *, label: Tensor | None = None) -> Tensor:
            heard.append([] if label is None else label.tolist())
            return 0 * x

    restore(Listening(), Downsample(4), seen(), method="ddnm", steps=1)
    restore(Listening(), Downsample(4), seen(), method="ddnm", steps=1, label=[2, 0], samples=2)
    restore(Listening(), Downsample(4), seen(), method="ddnm", steps=1, label=torch.tensor([5, 6, 7]))
    assert heard == [[], [2, 2, 0, 0, 2, 2], [5, 6, 7]]
    plain = restore(model, Downsample(4), seen(), method="ddnm", steps=4)
    assert torch.equal(
        plain.samples, restore(model, Downsample(4), seen(), method="ddnm", steps=4, label="none").samples
    )
    told = restore(model, Downsample(4), seen(), method="ddnm", steps=4, label="class 1", guidance=1.0)
    strong = restore(model, Downsample(4), seen(), method="ddnm", steps=4, label="class 1", guidance=3.0)
    assert not torch.allclose(plain.samples, told.samples)
    denoiser = Guided(model.denoiser, 3.0, {"label": torch.tensor(model.null_label)})
    by_hand = restore(
        denoiser, Downsample(4), seen(), method="ddnm", steps=4, label=torch.tensor([1, 1, 1]), shape=(3, 16, 16)
    )
    torch.testing.assert_close(strong.samples, by_hand.samples, rtol=0, atol=1e-5)
    assert strong.settings.guidance == 3.0


def independent(shape: tuple[int, ...]) -> Any:
    """A law of pixels that are independent and alike, which knows its shape as a network does."""

    class Known(MixtureOracle):
        @property
        def shape(self) -> tuple[int, ...]:
            return shape

    law = gaussian_oracle(PROCESS, torch.full(shape, 0.1, dtype=F64), torch.tensor(0.3, dtype=F64))
    return Known(law.process, law.means, law.variances)


@pytest.mark.parametrize("sides", [(20, 13), (5, 6), (5, 30)], ids=["larger", "smaller", "both"])
@pytest.mark.parametrize("operator", [GaussianBlur(0.4), Identity()], ids=["blur", "identity"])
def test_pictures_of_any_size_whole_and_in_tiles_alike(sides: tuple[int, int], operator: Operator) -> None:
    """Pixels that are independent need no surroundings: restored through a model of 8 x 8 pixels the picture is the
    same as through a model of its own size, where the random numbers are (which are those of the whole's places)."""
    size = (1, *sides)
    whole = tuple(max(pair) for pair in zip(sides, (8, 8), strict=True))
    y = 0.3 * normal(2, *size)
    options: dict[str, Any] = {"noise": 0.1, "steps": 6, "samples": 2, "seed": 3, "method": "ddnm+"}
    got = restore(independent((1, 8, 8)), operator, y, shape=size, **options)
    assert got.samples.shape == (2, 2, *size)
    assert got.settings.tiled == (max(sides) > 8)
    window = Crop(tuple((a - b) // 2 for a, b in zip(whole, sides, strict=True)), sides)
    inside = Compose((operator.on(size), window))
    expected = restore(independent((1, *whole)), operator if whole == sides else inside, y, **options)
    torch.testing.assert_close(got.samples, window(expected.samples.flatten(0, 1)).unflatten(0, (2, 2)))


def test_unknown_noise_is_estimated_and_told() -> None:
    law = independent((3, 32, 32))
    y = 0.1 + 0.2 * normal(1, 3, 32, 32)
    got = restore(law, Identity(), y, method="ddnm+", noise="auto", steps=4)
    # 1,875 coefficients that share taps: 3 % or so.
    assert got.settings.noise == pytest.approx(0.2, rel=0.1)
    assert got.settings.noise_estimated
    given = restore(law, Identity(), y, method="ddnm+", noise=got.settings.noise, steps=4)
    assert torch.equal(got.samples, given.samples)


def test_poisson_noise_is_weighed_by_its_own_variance() -> None:
    """Tikhonov's estimate in closed form, of each pixel alone."""
    peak, y = 20.0, torch.linspace(-0.9, 0.9, 64, dtype=F64).reshape(1, 1, 8, 8)
    got = restore(independent((1, 8, 8)), Identity(), y, method=Tikhonov(weight=0.5), peak=peak)
    n = peak * (y + 1) / 2
    square, shifted = 1 / (4 * (n + 1) / peak**2), 2 * (n + n.clamp_max(1)) / peak - 1
    torch.testing.assert_close(got.samples[:, 0], square * shifted / (square + 0.5), rtol=1e-5, atol=1e-5)
    assert got.settings.peak == peak


def test_auto_chooses_and_says_why() -> None:
    oracle = gaussian_oracle(PROCESS, torch.zeros(4, dtype=F64), torch.tensor(0.25, dtype=F64))
    y = torch.tensor([[0.6, -0.2, 0.0, 1.0]], dtype=F64)
    one = restore(oracle, Identity(), y, shape=(4,), noise=0.5)
    assert (one.method, one.settings.steps) == ("mmps", 50)
    assert "one sample of 4 values" in one.reason
    told = restore(oracle, Identity(), y, shape=(4,), noise=0.5, steps=7, grid="karras", solver="ddim")
    assert (told.settings.steps, told.settings.grid, told.settings.solver) == (7, "karras", "ddim")
    # Many samples come from one population, whatever the batches; of a normal law they are exact draws.
    many = restore(oracle, Identity(), y.repeat(2, 1), shape=(4,), noise=0.5, samples=200)
    again = restore(oracle, Identity(), y.repeat(2, 1), shape=(4,), noise=0.5, samples=200, batch_size=7)
    assert many.method == "smc"
    assert torch.equal(many.samples, again.samples)
    assert (many.mean - 0.5 * y).abs().max() < 4.5 * (0.125 / 200) ** 0.5
    large = restore(independent((3, 80, 80)), Identity(), torch.zeros(1, 3, 80, 80, dtype=F64), noise=0.1, steps=2)
    assert large.method == "ddrm"
    tiles = restore(independent((1, 8, 8)), Identity(), 0.1 * y.reshape(1, 1, 2, 2).repeat(1, 1, 5, 4),
                    shape=(1, 10, 8), noise=0.1, steps=2, samples=70)  # fmt: skip
    assert tiles.method == "ddrm"
    assert "80 values in tiles" in tiles.reason
    given = restore(oracle, Identity(), y, shape=(4,), noise=0.5, method=one.method)
    assert torch.equal(given.samples, one.samples)
    assert given.reason == ""


def test_progress_is_told_in_steps(model: Any) -> None:
    told: list[tuple[int, int]] = []
    restore(
        model,
        Downsample(4),
        seen(),
        method=DDNM(travel_length=2, travel_repeats=1),
        steps=4,
        batch_size=2,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(i + 1, 20) for i in range(20)]  # 2 batches of 4 steps, of which 2 x 2 twice, and 2 ways back


def test_settings_tell_all(model: Any) -> None:
    got = restore(model, Downsample(4), seen(), method="ddnm", solver="ddim", grid="asinh", steps=3, seed=9, noise=0.0)
    assert (got.settings.solver, got.settings.grid, got.settings.steps, got.settings.seed) == ("ddim", "asinh", 3, 9)
    assert got.settings.options == {"travel_length": 10, "travel_repeats": 0}
    given = restore(model, Downsample(4), seen(), method="ddnm", solver=DDIM(), grid="asinh", steps=3, seed=9)
    assert torch.equal(given.samples, got.samples)


def test_matrices_are_taken_as_they_are() -> None:
    assert as_operator(torch.eye(4, dtype=torch.int64)[:2], (4,)).out_shape == (2,)


class Wrong(Operator):
    """Linear, with another's adjoint."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x

    def adjoint(self, y: Tensor) -> Tensor:
        return y


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"operator": lambda x: x.square()}, "not linear"),
        ({"operator": lambda x: x + 1}, "values up to 1"),
        ({"operator": Wrong()}, "its adjoint is wrong"),
        ({"operator": Compose((Wrong(), Identity()))}, "its adjoint is wrong"),
        ({"operator": lambda x: x.numpy()}, "it returned ndarray"),
        ({"operator": lambda x: x[:, 5]}, "fails on a batch"),
        ({"operator": "blur"}, "not str"),
        ({"operator": torch.zeros(2, 5)}, "5 columns"),
        ({"operator": Mask(torch.ones(9, 9))}, "9x9 does not fit"),
        ({"operator": Downsample(3)}, "down-sampling by 3"),
        ({"observed": torch.zeros(2, 3, 5, 5)}, "(3, 5, 5)"),
        ({"observed": torch.full((2, 3, 4, 4), float("nan"))}, "not finite"),
        ({"observed": torch.zeros(0, 3, 4, 4)}, "nothing to restore"),
        ({"noise": -0.1}, "at least 0 and finite; got -0.1"),
        ({"noise": float("inf")}, "got inf"),
        ({"noise": "guess"}, "a number or 'auto'"),
        ({"noise": "auto", "peak": 5.0}, "a number or 'auto'"),
        ({"peak": -1.0}, "positive count"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"batch_size": 0}, "the batch size must be at least 1"),
        ({"first": -1}, "first must be at least 0"),
        ({"steps": 0}, "at least 1 step"),
        ({"method": "dnm"}, "did you mean 'ddnm'"),
        ({"solver": "hune"}, "did you mean 'heun'"),
        ({"grid": "karas"}, "did you mean 'karras'"),
        ({"label": "cat"}, "unknown label"),
        ({"label": torch.tensor([1])}, "need as many labels"),
        ({"shape": (1, 32, 32), "observed": torch.zeros(2, 1, 8, 8)}, "not of other channels"),
        ({"shape": (768,), "operator": Identity(), "observed": torch.zeros(2, 768)}, "vectors not of another length"),
        ({"shape": (3, 32, 32), "observed": torch.zeros(2, 3, 8, 8), "overlap": 16}, "overlap by 0 to 15"),
    ],
)
def test_mistakes(model: Any, changes: dict[str, Any], told: str) -> None:
    given: dict[str, Any] = {"operator": Downsample(4), "observed": torch.zeros(2, 3, 4, 4), "method": "ddnm"}
    given |= changes
    with pytest.raises(UserError) as error:
        restore(model, given.pop("operator"), given.pop("observed"), **given)
    assert told in str(error.value)


def test_a_denoiser_that_says_nothing_of_itself_is_asked_about() -> None:
    oracle = gaussian_oracle(PROCESS, torch.zeros(4, dtype=F64), torch.tensor(1.0, dtype=F64))
    with pytest.raises(UserError, match="give shape="):
        restore(oracle, Identity(), torch.zeros(1, 4))
    with pytest.raises(UserError, match="guidance needs a model"):
        restore(oracle, Identity().on((4,)), torch.zeros(1, 4), guidance=2.0)
    with pytest.raises(UserError, match="give their indices"):
        restore(oracle, Identity().on((4,)), torch.zeros(1, 4), method="ddnm", label="cat")
