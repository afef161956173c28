"""From a folder of captioned pictures to pictures of a text: the colours come out as they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.cli.main import main
from pellucid.generate import sample
from pellucid.model import load

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}
FLAGS = {
    "data.size": 8,
    "network.width": 16,
    "network.multipliers": [1],
    "network.blocks": 1,
    "network.attention": [0],
    "training.budget": "4000-items",
    "training.batch_size": 40,
    "training.pictures": 0,
    "training.lr": 0.004,
    "sampling.steps": 6,
}


def ended(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_a_text_has_its_colour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """100 steps. 24 samples of each text, sorted by their strongest channel: one in three would be right by chance, 24
    of 72 with a standard deviation of 4, and five of these more are asked for."""
    random, rows = np.random.default_rng(0), ["file_name,text"]
    (tmp_path / "squares").mkdir()
    for i in range(120):
        name = list(COLOURS)[i % 3]
        picture = np.full((8, 8, 3), 255, np.uint8)
        y, x = random.integers(0, 4, 2)
        picture[y : y + 5, x : x + 5] = COLOURS[name]
        Image.fromarray(picture).save(tmp_path / "squares" / f"{i}.png")
        rows.append(f"{i}.png,{name} square" if i % 10 else f"{i}.png,")
    (tmp_path / "squares" / "metadata.csv").write_text("\n".join(rows) + "\n")
    flags = [word for key, value in FLAGS.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    run = tmp_path / "run"
    assert ended(["train", "images", str(tmp_path / "squares"), "--out", str(run), *flags]) == 0
    assert "text: 12 of 120 items have none, and are learned without it" in capsys.readouterr().err
    model = load(run)
    texts = [f"{name} square" for name in COLOURS]
    made = model.decode(sample(model, 72, text=texts, guidance=2.0))
    seen = made.mean((2, 3)).argmax(1)  # white adds as much to all three
    right = int((seen == np.arange(72) % 3).sum())
    assert right >= 24 + 5 * 4, f"{right} of 72"
    capsys.readouterr()
    assert ended(["info", str(run)]) == 0
    assert "condition text" in capsys.readouterr().out
    flags = ["--text", "green square", "--text", "blue square", "--guidance", "2", "--negative", "text=red square"]
    assert ended(["sample", str(run), "-n", "4", *flags, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "sheet.png").is_file()
    capsys.readouterr()
    assert ended(["sample", str(run), "--text", "red square", "--where", "size=3"]) == 2
    assert "unknown condition 'size'" in capsys.readouterr().err
