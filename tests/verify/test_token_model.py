"""The checks of models of symbols, on models that are right and on ones that are not."""

from __future__ import annotations

import pytest
import torch

from pellucid.processes.categorical import Categorical, absorbing, uniform
from pellucid.tokens.oracles import all_items, table_oracle
from pellucid.verify.token_model import calibrated, markov, same_law, surprises

F64 = torch.float64
LAW = torch.rand((3,) * 4, dtype=F64, generator=torch.Generator().manual_seed(1)) ** 2


def drawn(num: int, seed: int = 0) -> torch.Tensor:
    """Items of the law, (num, 4)."""
    generator = torch.Generator().manual_seed(seed)
    return all_items(3, 4)[torch.multinomial(LAW.flatten() / LAW.sum(), num, replacement=True, generator=generator)]


@pytest.mark.parametrize("process", [absorbing(4), uniform(3)], ids=["mask", "uniform"])
def test_an_exact_denoiser_states_its_own_surprise(process: Categorical) -> None:
    found = surprises(table_oracle(process, LAW), drawn(4000))
    assert all(abs(level.ratio - 1) < 4 * level.error for level in found)
    assert all(level.error < 0.03 for level in found)


def test_a_denoiser_that_is_too_sure_fails() -> None:
    oracle = table_oracle(absorbing(4), LAW)

    class Sure(torch.nn.Module):
        process = oracle.process

        def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return 8 * oracle(x, t).clamp_min(-30)

    passed = [outcome.passed for outcome in calibrated(Sure(), drawn(2000))]  # type: ignore[arg-type]
    assert not any(passed[1:]), passed  # of few hidden symbols most are certain, whatever is made of the rest


@pytest.mark.parametrize("process", [absorbing(4), uniform(3)], ids=["mask", "uniform"])
def test_a_process_that_composes_passes_and_one_that_does_not_fails(process: Categorical) -> None:
    assert all(outcome.passed for outcome in markov(process, drawn(3000)))

    class Hasty(Categorical):
        def renoise(self, x: torch.Tensor, s: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
            return super().renoise(x, 0 * s, t, noise)  # as if nothing had happened before

    hasty = Hasty(**{name: getattr(process, name) for name in process.__dataclass_fields__})
    assert not next(markov(hasty, drawn(3000))).passed


def test_samplers_of_equal_laws_pass_at_their_rate_and_others_fail() -> None:
    laws = {"exact": drawn(2000, 1), "same": drawn(2000, 2), "other": drawn(2000, 3)}
    laws["other"][:, 0] = torch.where(torch.arange(2000) % 4 == 0, 2, laws["other"][:, 0])
    same, other = same_law(lambda name: laws[name], "exact", ("same", "other"), 4)
    assert same.passed
    assert not other.passed
    # Under equality the statistic is chi-squared: its mean is its degrees of freedom, here two of three symbols.
    found = [
        float(next(same_law(lambda name, i=i: drawn(300, (name == "a") + 2 * i), "a", ("b",), 4)).observed)
        for i in range(10, 110)
    ]
    assert sum(found) / len(found) == pytest.approx(2, abs=4 * 2 / 100**0.5)
