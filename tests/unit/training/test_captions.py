from __future__ import annotations

import random

import pytest

from training import captions, scenes
from training.tokenizer import END, START, byte_alphabet, learn_merges, new_tokenizer

CANONICAL = "Astronaut in a jungle, cold color palette, muted colors, detailed, 8k"


def test_captions_follow_from_the_dice() -> None:
    scene = scenes.Scene("owl", "sea", "warm")
    told = [[captions.caption(scene, random.Random(7)) for _ in range(20)] for _ in range(2)]
    assert told[0] == told[1]


def test_captions_name_what_is_shown() -> None:
    rng = random.Random(0)
    for scene in scenes.every_scene():
        words = captions.caption(scene, rng).lower()
        assert scene.subject in words
        assert scene.place in words
        assert scene.palette == "plain" or f"{scene.palette} color palette" in words


def test_the_canonical_prompt_is_one_of_those_judged_by() -> None:
    assert captions.prompt(scenes.Scene("astronaut", "jungle", "cold")) == CANONICAL


def test_every_word_of_every_caption_is_one_token() -> None:
    tokenizer = new_tokenizer(captions.vocabulary())
    rng = random.Random(0)
    for scene in scenes.every_scene():
        text = captions.caption(scene, rng)
        assert all(piece.endswith("</w>") for piece in tokenizer.tokenize(text)), text


@pytest.mark.parametrize("text", [CANONICAL.lower(), "an elephant on mars", "naïve café"])
def test_the_tokenizer_gives_back_what_it_was_given(text: str) -> None:
    tokenizer = new_tokenizer(captions.vocabulary())
    numbers = tokenizer(text).input_ids
    back = tokenizer.decode(numbers, skip_special_tokens=True)
    assert back.replace(" ", "") == text.replace(" ", "")
    assert tokenizer.convert_ids_to_tokens([numbers[0], numbers[-1]]) == [START, END]


def test_the_alphabet_has_a_letter_for_each_byte() -> None:
    assert len(set(byte_alphabet())) == 256


def test_merges_join_every_word() -> None:
    assert learn_merges(["ab", "abc"]) == [("b", "c</w>"), ("a", "bc</w>"), ("a", "b</w>")]
