"""The model card: facts anew, the author's words kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from pellucid.foundations.measured import proportion
from pellucid.train.card import Card, write_card

CARD = Card(
    name="digits",
    data_name="digits | <b>mnist</b>",
    num_train=4000,
    num_held_out=1000,
    num_rejected=5,
    data_hash="ab" * 32,
    weights_hash="cd" * 32,
    num_parameters=1_234_567,
    items_seen=300_000,
    version="0.1.0",
    labels=("0", "1"),
    numbers=(proportion("label_agreement", 970, 1000),),
    settings={"Process": "gaussian, cosine"},
)


def test_facts_are_in_the_card(tmp_path: Path) -> None:
    text = write_card(tmp_path, CARD).read_text()
    for fact in ("4,000 items", "1,000 items", "1,234,567", CARD.data_hash, CARD.weights_hash, "0.957 to 0.979"):
        assert fact in text
    assert yaml.safe_load(text.split("---")[1])["license"] == "unknown"
    assert r"digits \| &lt;b>mnist" in text  # neither a new column nor HTML


def test_the_author_keeps_the_last_word(tmp_path: Path) -> None:
    path = write_card(tmp_path, CARD)
    words = "For teaching.\n\nNot for reading cheques."
    unwritten = "Not yet written. What is the model for, and what is it not for?"
    path.write_text(path.read_text().replace(unwritten, words))
    text = write_card(tmp_path, replace(CARD, items_seen=600_000, licence="MIT")).read_text()
    assert words in text
    assert "600,000" in text
    assert "300,000" not in text
    assert yaml.safe_load(text.split("---")[1])["license"] == "MIT"
    assert write_card(tmp_path, replace(CARD, items_seen=600_000, licence="MIT")).read_text() == text


def test_the_author_states_the_licence_in_the_head(tmp_path: Path) -> None:
    path = write_card(tmp_path, CARD)
    path.write_text(path.read_text().replace("license: unknown", "license: cc-by-4.0"))
    for _ in range(2):
        text = write_card(tmp_path, CARD).read_text()
        assert yaml.safe_load(text.split("---")[1])["license"] == "cc-by-4.0"
        assert "Licence: cc-by-4.0\n" in text
