import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ImageFont

from pellucid.data.arrays import Dataset, split
from pellucid.data.columns import notes_of
from pellucid.data.emoji import Emoji, joined, new_words, plain, read_list
from pellucid.foundations.errors import UserError

# `pellucid.data.emoji` the module; the package may hand out the function of that name
module = importlib.import_module("pellucid.data.emoji")

LIST = """# group: Smileys & Emotion
1F600                  ; fully-qualified     # 😀 E1.0 grinning face
263A FE0F              ; fully-qualified     # ☺️ E0.6 smiling face
263A                   ; unqualified         # ☺ E0.6 smiling face
# group: Flags
1F1E8 1F1EE            ; fully-qualified     # 🇨🇮 E2.0 flag: Côte d’Ivoire
"""


@pytest.fixture(scope="module")
def drawn() -> Dataset:
    try:
        return module.emoji()
    except UserError as error:
        pytest.skip(str(error))


def of(ds: Dataset, caption: str) -> np.ndarray:
    captions = [row.caption for row in read_list(module._LIST)]
    return np.asarray(ds.items[captions.index(caption)])


def test_only_whole_lines_of_the_list_are_read(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(LIST, encoding="utf-8")
    assert read_list(tmp_path / "list.txt") == [
        Emoji("\U0001f600", "grinning face", "Smileys & Emotion"),
        Emoji("\u263a\ufe0f", "smiling face", "Smileys & Emotion"),
        Emoji("\U0001f1e8\U0001f1ee", "flag: Côte d’Ivoire", "Flags"),
    ]


@pytest.mark.parametrize(
    ("name", "caption", "concept"),
    [
        ("red heart", "red heart", "red heart"),
        (
            "woman firefighter: medium-light skin tone",
            "woman firefighter medium light skin tone",
            "woman firefighter",
        ),
        ("person: dark skin tone, beard", "person dark skin tone beard", "person beard"),
        ("kiss: man, man, light skin tone", "kiss man man light skin tone", "kiss man man"),
        ("flag: Côte d’Ivoire", "flag cote d'ivoire", "flag cote d'ivoire"),
        ("keycap: *", "keycap star", "keycap star"),
    ],
)
def test_names_become_captions_and_concepts(name: str, caption: str, concept: str) -> None:
    row = Emoji("", name, "")
    assert (row.caption, row.concept) == (caption, concept)
    assert plain(caption) == caption


def test_new_words_are_those_that_no_seen_caption_has() -> None:
    found = new_words(["woman firefighter", "green avocado", ""], ["man firefighter", "woman cook", "green heart"])
    assert found.tolist() == [False, True, False]


def test_equal_keys_are_joined_along_chains() -> None:
    # against the transitive closure of the relation "they share a key", by repeated squaring of its matrix
    random = np.random.default_rng(3)
    keys = random.integers(0, 40, 60), random.integers(0, 40, 60)
    linked = (keys[0][:, None] == keys[0]) | (keys[1][:, None] == keys[1])
    for _ in range(6):
        linked = linked @ linked
    np.testing.assert_array_equal(joined(*keys), linked.argmax(1))


def test_all_are_drawn_one_glyph_each(drawn: Dataset) -> None:
    assert drawn.items.shape == (3655, 3, 32, 32)
    assert drawn.rejected == ()
    assert len(drawn.label_names) == 9
    # white around it: the corners of most pictures are white (flags and faces do not reach them)
    assert (np.asarray(drawn.items)[:, :, [0, 0, -1, -1], [0, -1, 0, -1]] > 240).mean() > 0.95


def test_the_captions_are_those_of_the_list(drawn: Dataset) -> None:
    (column,) = drawn.columns
    assert (column.part.name, column.part.kind, column.known) == ("caption", "text", None)
    assert column.words.tolist() == [row.caption for row in read_list(module._LIST)]
    assert not notes_of(column)  # none is cut off
    held = split(drawn, 0.1)[1]
    asked = held.columns[0].part.encode(held.columns[0].words.tolist())
    assert torch.equal(asked, held.conditions(np.arange(len(held)))["caption"])


def test_pictures_have_the_colours_of_their_names(drawn: Dataset) -> None:
    red, green, blue = of(drawn, "red heart")[:, 14:18, 14:18].mean((1, 2))
    assert red > 150
    assert max(green, blue) < 100
    red, green, blue = of(drawn, "blue heart")[:, 14:18, 14:18].mean((1, 2))
    assert blue > red + 50
    # a sequence of four characters, drawn as the firefighter and not as a woman beside an engine: in its place is a
    # head, darker with a dark skin
    light, dark = (
        of(drawn, f"woman firefighter {tone} skin tone")[:, 14:20, 13:19].mean() for tone in ("light", "dark")
    )
    assert light > dark + 50


def test_a_split_parts_no_concept_and_no_picture(drawn: Dataset) -> None:
    rows = read_list(module._LIST)
    train, held = split(drawn, 0.1)
    assert 250 < len(held) < 500
    numbers = {group: [] for group in np.unique(drawn.groups)}
    for row, group in zip(rows, drawn.groups, strict=True):
        numbers[group].append(row.concept)
    out = {concept for group in np.unique(held.groups) for concept in numbers[group]}
    stay = {concept for group in np.unique(train.groups) for concept in numbers[group]}
    assert not out & stay
    bytes_of = [{item.tobytes() for item in np.asarray(part.items)} for part in (train, held)]
    assert not bytes_of[0] & bytes_of[1]
    captions = [[row.caption for row in rows if row.concept in part] for part in (out, stay)]
    fresh = new_words(*captions)
    assert 0.2 < fresh.mean() < 0.8  # both kinds are held out: new words, and new combinations of words seen
    assert "red heart" in stay


def test_a_damaged_cache_is_made_again(drawn: Dataset, cache: Path) -> None:
    assert module.emoji().fingerprint() == drawn.fingerprint()
    (saved,) = cache.glob("emoji-32-*/pictures.npy")
    saved.write_bytes(saved.read_bytes()[:1000])
    assert module.emoji().fingerprint() == drawn.fingerprint()


def test_without_the_layout_of_sequences_they_are_left_out(
    drawn: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basic = ImageFont.Layout.BASIC
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", False)
    monkeypatch.setattr(module.features, "check", lambda name: False)
    few = module.emoji()
    font = ImageFont.truetype(str(module._font()), 109, layout_engine=basic)
    wide = sum(font.getlength(row.text.replace("\ufe0f", "")) > 137 for row in read_list(module._LIST))
    assert len(few) == 3655 - wide
    assert len(few.rejected) == wide
    names = {rejected.path for rejected in few.rejected}
    assert "woman firefighter" in names
    assert "red heart" not in names


@pytest.mark.parametrize("gone", ["_LIST", "_FONTS"])
def test_missing_packages_are_told_with_the_remedy(gone: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, gone, tmp_path / "nowhere")
    with pytest.raises(UserError, match="apt install fonts-noto-color-emoji unicode-data"):
        module.emoji()
