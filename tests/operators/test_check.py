"""`check` finds what is wrong with a broken operator, and nothing with a sound one (that is in `test_contract.py`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from pellucid.foundations.errors import UserError
from pellucid.operators import Custom, Downsample, Operator, Separable, SingularSystem, check, require_linear

SHAPE = (2, 8)


@dataclass(frozen=True, eq=False)
class Pool(Downsample):
    """Average pooling by two, to be broken."""

    factor: int = 2


class SlightlyWrongAdjoint(Pool):
    def adjoint(self, y: Tensor) -> Tensor:
        return super().adjoint(y).roll(1, -1)


class AdjointOfWrongShape(Pool):
    def adjoint(self, y: Tensor) -> Tensor:
        return y


class Scaled(Pool):
    """X = 2 A+: all but the third and fourth condition fail."""

    def pinv(self, y: Tensor) -> Tensor:
        return 2 * super().pinv(y)


class Zero(Pool):
    """X = 0: the first condition alone fails."""

    def pinv(self, y: Tensor) -> Tensor:
        return 0 * super().pinv(y)


class FirstOfBlock(Pool):
    """All goes to the first place of each block: A X = I, but X A is an oblique projection; the fourth alone fails."""

    def pinv(self, y: Tensor) -> Tensor:
        return torch.stack([2 * y, torch.zeros_like(y)], dim=-1).flatten(-2)


class NotOnTheRange(Operator):
    """A x = (x, 0), and X takes half of what is outside the range: X A = I, A X is oblique; the third alone fails."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, torch.zeros_like(x)], dim=-1)

    def pinv(self, y: Tensor) -> Tensor:
        first, second = y.chunk(2, dim=-1)
        return first + 0.5 * second


class KeepsHalf(Operator):
    """A keeps half of the values, and X = I: X A and A X are A, symmetric, and A X A = A; the second alone fails."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[..., :4], torch.zeros_like(x[..., 4:])], dim=-1)

    def pinv(self, y: Tensor) -> Tensor:
        return y


@pytest.mark.parametrize(
    ("op", "broken"),
    [
        (Scaled(), ("Penrose 1", "Penrose 2")),
        (Zero(), ("Penrose 1",)),
        (FirstOfBlock(), ("Penrose 4",)),
        (NotOnTheRange(), ("Penrose 3",)),
        (KeepsHalf(), ("Penrose 2",)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_penrose_condition_is_missed_alone(op, broken, dtype):
    report = check(op, SHAPE, dtype=dtype)
    assert report.failed == broken, report
    require_linear(op, SHAPE)  # which does not ask for a pseudo-inverse


@pytest.mark.parametrize("op", [SlightlyWrongAdjoint(), Custom(lambda x: x.cumsum(-1), lambda y: y.cumsum(-1))])
def test_a_wrong_adjoint_is_found(op):
    assert check(op, SHAPE).failed == ("adjoint",)
    with pytest.raises(UserError, match=r"adjoint is wrong: <A x, y> = .* but <x, A' y> = .*automatic differentiation"):
        require_linear(op, SHAPE)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 1e-2,
        lambda x: x.clamp(-1, 1),
        lambda x: x.clamp(-100, 100),
        lambda x: x + 1e-4 * x.square(),
        lambda x: x.abs(),
        lambda x: torch.where(x.abs() < 0.01, 0, x),
        lambda x: x * x.flatten(1).norm(dim=1).reshape(-1, 1, 1),
        lambda x: x + 1e-3 * torch.randn_like(x),
    ],
    ids=["offset", "clamp", "far clamp", "slightly square", "abs", "threshold", "norm", "random"],
)
def test_what_is_not_linear_is_found(function):
    op = Custom(function)
    assert "linear" in check(op, SHAPE).failed
    with pytest.raises(UserError, match=r"Custom on items of shape .* cannot be used to restore: it is not linear"):
        require_linear(op, SHAPE)


def test_an_offset_is_named():
    with pytest.raises(UserError, match=r"for x = 0 it gives values up to 0\.25: take these from A and from y"):
        require_linear(Custom(lambda x: 2 * x + 0.25), SHAPE)


def test_a_function_that_mixes_the_batch_is_found():
    op = Custom(lambda x: x - x.mean(0, keepdim=True))
    assert check(op, SHAPE).failed == ("items apart",)
    with pytest.raises(UserError, match="depends on the others of the batch"):
        require_linear(op, SHAPE)


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (AdjointOfWrongShape(), r"A' y has the shape \(2, 4\) where \(2, 8\) is due"),
        (Custom(lambda x: x.float()), "A x is torch.float32 where torch.float64 went in"),
        (Custom(lambda x: torch.where(x.abs() > 0, torch.nan, x)), "A x holds values that are not finite"),
        (Custom(lambda x: x[:, :, : 8 if len(x) > 2 else 4]), r"A x has the shape \(2, 8\) where \(2, 4\) is due"),
        (Custom(lambda x: x @ torch.ones(8, 2)), "fails at A x for a tensor of shape .*float64: RuntimeError"),
        (Custom(lambda x: x, lambda y: y.tolist()), "gives list for A' y of a batch of 3"),
    ],
)
def test_what_does_not_fit_is_named(op, message):
    with pytest.raises(UserError, match=message):
        require_linear(op, SHAPE, dtype=torch.float64)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda s: replace(s, values=1.001 * s.values), "A = U S V'"),
        (lambda s: replace(s, values=-s.values, u=lambda y: -s.u(y), u_inverse=lambda c: -s.u_inverse(c)), "values"),
        (lambda s: replace(s, v=lambda x: s.v(x).flip(1), v_inverse=lambda c: s.v_inverse(c.flip(1))), "A = U S V'"),
        (lambda s: replace(s, v=lambda x: 2 * s.v(x), v_inverse=lambda c: s.v_inverse(c / 2)), "V"),
        (lambda s: replace(s, v_inverse=lambda c: s.v_inverse(c.roll(1, 1))), "V"),
        (lambda s: replace(s, u=lambda y: s.u(y) + s.u(y).roll(1, 1)), "U"),
        (lambda s: replace(s, u=lambda y: 2 * s.u(y), u_inverse=lambda c: s.u_inverse(c) / 2), "U"),
        (lambda s: replace(s, u_inverse=lambda c: -s.u_inverse(c)), "U"),
        (lambda s: replace(s, u_inverse=lambda c: s.u_inverse(c + (c * (s.values == 0)).roll(3, 1))), "U"),
    ],
)
def test_a_wrong_singular_system_is_found(change, broken):
    matrix = torch.randn(5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    class Broken(Separable):
        def singular(self) -> SingularSystem:
            return change(super().singular())

    assert check(Separable((matrix,)), SHAPE).passed
    assert broken in check(Broken((matrix,)), SHAPE).failed


def test_a_wrong_norm_is_found():
    class Boastful(Pool):
        def norm(self, *, iterations: int = 50) -> float:
            return 1.0

    assert check(Boastful(), SHAPE).failed == ("norm",)


def test_an_operator_that_sees_nothing_is_sound():
    assert check(Custom(lambda x: 0 * x), SHAPE).passed


def test_the_report_is_a_function_of_the_seed_and_reads_as_a_table():
    op = Custom(lambda x: x.cumsum(-1))
    report = check(op, SHAPE)
    assert report == check(op, SHAPE)
    assert report != check(op, SHAPE, seed=1)
    state = torch.get_rng_state()
    check(op, SHAPE)
    assert torch.equal(state, torch.get_rng_state())
    lines = str(check(Scaled(), SHAPE)).splitlines()
    assert lines[0] == "Scaled: (2, 8) to (2, 4), float32"
    assert sum("BROKEN" in line for line in lines) == 2
    assert lines[-1] == "Penrose 2: this is not the pseudo-inverse"


def test_the_shape_may_come_from_a_bound_operator():
    assert check(Pool().on(SHAPE)).passed
    assert require_linear(Pool(), SHAPE).bound_shape == SHAPE
    with pytest.raises(UserError, match="knows no item shape yet"):
        check(Pool())
    with pytest.raises(UserError, match="float16"):
        check(Pool(), SHAPE, dtype=torch.float16)
