"""A CLIP tokenizer of a few hundred entries: byte-level byte-pair encoding, learnt from our words.

Every word of a caption becomes one token; any other text still splits into bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from transformers import CLIPTokenizer

from training.models import TOKENS

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
Pair = tuple[str, str]
Pieces = tuple[str, ...]


def byte_alphabet() -> list[str]:
    """CLIP's printable character for each of the 256 bytes, printable bytes first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def learn_merges(words: Iterable[str]) -> list[Pair]:
    """Join the most frequent neighbours until every word is one piece; ties go to the last pair."""
    pieces: list[Pieces] = [(*word[:-1], word[-1] + WORD_END) for word in words]
    merges: list[Pair] = []
    while counts := Counter(pair for word in pieces for pair in pairwise(word)):
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        pieces = [_join(word, best) for word in pieces]
    return merges


def _join(word: Pieces, pair: Pair) -> Pieces:
    joined: list[str] = []
    rest = list(word)
    while rest:
        width = 2 if tuple(rest[:2]) == pair else 1
        joined.append("".join(rest[:width]))
        rest = rest[width:]
    return tuple(joined)


def new_tokenizer(words: Iterable[str]) -> CLIPTokenizer:
    """A tokenizer that knows the words; start and end are its last two entries."""
    merges = learn_merges(words)
    alphabet = byte_alphabet()
    entries = [*alphabet, *(letter + WORD_END for letter in alphabet)]
    entries += ["".join(pair) for pair in merges]
    entries += [START, END]
    return CLIPTokenizer(
        vocab={entry: number for number, entry in enumerate(entries)},
        merges=merges,
        model_max_length=TOKENS,
    )
