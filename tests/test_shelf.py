import pytest
import torch

import pellucid as pl
from pellucid.model import SHELF, save, shelf

LIMITS = {"digits": 4e6, "emoji32": 10e6, "photos64": 8e6}  # bytes


def test_each_model_is_small_whole_and_has_a_card() -> None:
    assert shelf()
    for name in shelf():
        folder = SHELF / name
        assert sum(file.stat().st_size for file in folder.iterdir()) <= LIMITS[name]
        card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert "Not yet written" not in card
        assert "unspecified" not in card
        assert pl.load(name).origin == name  # every byte is compared with the manifest


def test_half_precision_keeps_three_digits(tmp_path) -> None:
    model = pl.load("digits")
    save(model, tmp_path / "whole")
    save(pl.load(tmp_path / "whole"), tmp_path / "half", half=True)
    whole, half = (pl.load(tmp_path / kind).denoiser.state_dict() for kind in ("whole", "half"))
    for name, value in whole.items():
        assert half[name].dtype == torch.float32
        # 11 bits of mantissa; what was stored in half precision before is kept exactly
        torch.testing.assert_close(half[name], value, rtol=2**-11, atol=1e-7)


def test_emoji32_colours_hearts_as_it_is_told() -> None:
    made = pl.sample(pl.load("emoji32"), 4, text=["red heart", "blue heart"], steps=10, seed=0)
    middle = made[:, :, 12:18, 12:20].mean((2, 3))
    # Red is about (1, -0.6, -0.6) and blue (-0.6, -0.1, 0.8) in [-1, 1]; half of the gap is asked for.
    excess = middle[:, 0] - middle[:, 2]
    assert excess[[0, 2]].min() > 0.7
    assert excess[[1, 3]].max() < -0.6


def test_a_misspelt_name_is_corrected() -> None:
    with pytest.raises(pl.UserError, match="did you mean 'digits'"):
        pl.load("digts")


def test_a_folder_of_the_same_name_comes_first(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    with pytest.raises(pl.UserError, match="no run folder"):
        pl.load("digits")
