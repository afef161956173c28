"""A vocabulary of pieces of words, learned from captions: byte-pair encoding over bytes, so that every text has pieces.

Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units", 2016, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from ..foundations.errors import MissingExtra, UserError

MOST = 2000  # pieces
_TWICE = 2  # what is seen once is no piece of its own: nothing would be learned of it


def learn(captions: Iterable[str], *, most: int = MOST, exact: bool = False) -> str:
    """The vocabulary of captions, as the JSON of a `tokenizers` tokenizer: the 256 bytes and the pairs that recur.

    It depends on the captions alone, not on their order. Case, width of letters and runs of blanks do not count.

    Args:
        captions: any number of texts.
        most: how many pieces at most; few captions have fewer, for a pair must be seen twice.
        exact: for texts that are to come out again, by `texts`: case, width and blanks do count.

    Raises:
        MissingExtra: the package tokenizers is not installed.
    """
    tokenizers = _library()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    if not exact:
        tokenizer.normalizer = tokenizers.normalizers.Sequence(
            [
                tokenizers.normalizers.NFKC(),
                tokenizers.normalizers.Lowercase(),
                tokenizers.normalizers.Replace(tokenizers.Regex(r"\s+"), " "),
                tokenizers.normalizers.Strip(),
            ]
        )
    # A blank before the first word makes it the same piece at the start of a caption and inside it.
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=not exact)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=most,
        min_frequency=_TWICE,
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(captions), trainer)
    text: str = tokenizer.to_str()
    return text


def pieces(vocabulary: str, texts: Sequence[str]) -> list[list[int]]:
    """The pieces of each text, numbered from 1: 0 is kept for what lies behind a text's end."""
    return [[piece + 1 for piece in found.ids] for found in _tokenizer(vocabulary).encode_batch(list(texts))]


def texts(vocabulary: str, rows: Sequence[Sequence[int]]) -> list[str]:
    """The texts of rows of pieces, as `pieces` numbers them; bytes that are no UTF-8 become the character U+FFFD."""
    found: list[str] = _tokenizer(vocabulary).decode_batch([[piece - 1 for piece in row] for row in rows])
    return found


def size(vocabulary: str) -> int:
    """How many numbers `pieces` gives, with 0."""
    return int(_tokenizer(vocabulary).get_vocab_size()) + 1


@lru_cache(maxsize=8)
def _tokenizer(vocabulary: str) -> Any:
    try:
        return _library().Tokenizer.from_str(vocabulary)
    except Exception as error:  # the library raises nothing more exact
        if isinstance(error, UserError):
            raise
        raise UserError(f"the vocabulary of this model cannot be read: {error}") from None


def _library() -> Any:
    try:
        import tokenizers  # here, as most models have no text
    except ImportError:
        raise MissingExtra("tokenizers", "text", "learning from captions") from None
    return tokenizers
