"""Extending a vocabulary: old ids stay, new pieces are whole words that are really used and really save tokens."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.errors import InputError
from maskwright.text.extend import extend, split, with_pieces
from maskwright.text.folder import SPECIAL, UNK, bert_backend
from maskwright.text.tokenizer import Tokenizer

DOMAIN = [
    "the spectroscope and the spectrograph: a spectroscope sees, a spectrograph writes.",
    "spectroscope after spectroscope! the zymurgy of a cat; zymurgy, zymurgy",
    "a spectrograph and a spectroscope on the mat, zymurgy on the other mat",
]
GENERAL = ["the cat sat on the mat", "dogs and cats; a cat sat!"]


@pytest.fixture(scope="module")
def small() -> Tokenizer:
    """A vocabulary that can spell the domain's words, and has none of them."""
    return Tokenizer.train([*GENERAL * 9, *("abcdefghijklmnopqrstuvwxyz.,;:!",) * 2], vocab_size=100)


def of_pieces(*pieces: str, lowercase: bool = True) -> Tokenizer:
    return Tokenizer(bert_backend([*SPECIAL, *pieces], lowercase=lowercase), 64)


def letters(text: str) -> list[str]:
    return [form for letter in sorted(set(text)) for form in (letter, f"##{letter}")]


def test_old_pieces_keep_their_ids_and_new_ones_come_behind(small: Tokenizer) -> None:
    made = extend(small, DOMAIN, add=3, min_frequency=2)
    new = made.tokenizer
    assert new.pieces(range(small.vocab_size)) == small.pieces(range(small.vocab_size))
    assert [piece.piece for piece in made.pieces] == new.pieces(range(small.vocab_size, new.vocab_size))
    assert new.special_ids == small.special_ids
    assert new.fingerprint != small.fingerprint
    assert (new.max_length, new.lowercase, new.dtype) == (small.max_length, small.lowercase, small.dtype)


def test_text_without_a_new_piece_keeps_its_ids(small: Tokenizer) -> None:
    new = extend(small, DOMAIN, add=3, min_frequency=2).tokenizer
    assert new.encode_batch(GENERAL) == small.encode_batch(GENERAL)


def test_each_new_piece_is_a_word_that_becomes_one_token(small: Tokenizer) -> None:
    made = extend(small, DOMAIN, add=3, min_frequency=1)
    assert len(made.pieces) == 3
    for number, piece in enumerate(made.pieces, start=small.vocab_size):
        assert made.tokenizer.encode(piece.piece) == [number]
        assert small.pieces(small.encode(piece.piece)) == list(piece.was)
        assert len(piece.was) > 1


def test_the_counts_are_those_of_the_texts(small: Tokenizer) -> None:
    made = extend(small, DOMAIN, add=3, min_frequency=2)
    before, after = (sum(map(len, t.encode_batch(DOMAIN))) for t in (small, made.tokenizer))
    assert (made.tokens_before, made.tokens_after) == (before, after)
    assert sum(piece.saved for piece in made.pieces) == before - after
    assert made.words == sum(len(set(small.encode_with_offsets(text).words)) for text in DOMAIN)


def test_the_words_that_save_most_come_first() -> None:
    tokenizer = of_pieces(*letters("abcdefgh"))
    made = extend(tokenizer, ["abcd ab " * 5 + "efgh " * 3] * 2, add=2)
    assert [piece.piece for piece in made.pieces] == ["abcd", "ab"]
    assert [piece.saved for piece in made.pieces] == [30, 10]


def test_a_name_from_one_text_only_is_no_word_of_the_domain() -> None:
    tokenizer = of_pieces(*letters("abcdefgh"))
    texts = ["abcdefgh " * 90 + "ab", "ab " * 6, "ab cd"]
    assert [piece.piece for piece in extend(tokenizer, texts, add=5, min_frequency=2).pieces] == ["ab"]
    assert (
        extend(tokenizer, [" ".join(texts)], add=1).pieces[0].piece == "abcdefgh"
    )  # one text: nothing to compare with


def test_the_order_of_the_texts_changes_nothing(small: Tokenizer) -> None:
    made = extend(small, DOMAIN, add=9, min_frequency=1)
    again = extend(small, DOMAIN[::-1], add=9, min_frequency=1)
    assert again.pieces == made.pieces
    assert again.tokenizer.fingerprint == made.tokenizer.fingerprint


def test_a_piece_that_would_make_another_word_unknown_is_left_out() -> None:
    # "é" is known inside the piece "caféx" only: behind a new piece "café" the rest of "caféx" could not be spelt.
    tokenizer = of_pieces("caf", "##e", "##ex", *letters("z"))
    assert tokenizer.encode("cafex") == [tokenizer.id_of("caf"), tokenizer.id_of("##ex")]
    texts = ["cafe " * 9 + "cafex zz zz zz"] * 2
    made = extend(tokenizer, texts, add=2, min_frequency=2)
    assert [piece.piece for piece in made.pieces] == ["zz"]
    assert made.tokenizer.encode("cafex") == tokenizer.encode("cafex")


def test_a_piece_that_lengthens_more_than_it_saves_is_left_out() -> None:
    # "abcdefa" is a + ##bcdef + ##a; with "ab" a piece it would be ab + ##c + ##d + ##e + ##f + ##a.
    tokenizer = of_pieces("##bcdef", *letters("abcdefz"))
    texts = ["ab ab ab abcdefa abcdefb abcdefc zz zz"] * 2
    assert [piece.piece for piece in extend(tokenizer, texts, add=1, min_frequency=2).pieces] == ["zz"]
    assert [piece.piece for piece in extend(tokenizer, ["ab ab ab zz zz"] * 2, add=1, min_frequency=2).pieces] == ["ab"]


def test_unknown_words_are_left_out(small: Tokenizer) -> None:
    made = extend(small, [text + " 上上 ☂☂ " * 9 for text in DOMAIN], add=50, min_frequency=1)
    assert not {"上", "☂"} & {piece.piece for piece in made.pieces}


@pytest.mark.parametrize("texts", [[], [""], GENERAL, ["the the the the the the"] * 3])
def test_where_no_word_qualifies_it_says_so(small: Tokenizer, texts: list[str]) -> None:
    with pytest.raises(InputError, match=r"nothing to add: of .* different words, none"):
        extend(small, texts, add=5)


def test_add_must_be_positive(small: Tokenizer) -> None:
    with pytest.raises(InputError, match="add is 0"):
        extend(small, DOMAIN, add=0)


def test_a_tokenizer_that_is_not_berts_is_refused(small: Tokenizer, tmp_path: Path) -> None:
    small.save(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["normalizer"] = {"type": "Lowercase"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="does not work word by word"):
        extend(Tokenizer.load(tmp_path), DOMAIN, add=3)


def test_a_piece_that_is_there_is_refused(small: Tokenizer) -> None:
    for piece in ("the", UNK):
        with pytest.raises(InputError, match=f"{piece!r} is a piece already".replace("[", r"\[")):
            with_pieces(small, [piece])


def test_half_a_surrogate_pair_is_only_text(small: Tokenizer) -> None:
    assert extend(small, [text + "\ud800" for text in DOMAIN], add=3, min_frequency=2).pieces


def test_the_saved_folder_gives_transformers_the_same_ids(small: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, BertTokenizer

    new = extend(small, DOMAIN, add=5, min_frequency=1).tokenizer
    new.save(tmp_path)
    assert Tokenizer.load(tmp_path).fingerprint == new.fingerprint
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    slow = BertTokenizer.from_pretrained(tmp_path)  # from vocab.txt, in which ids are line numbers
    assert len(theirs) == len(slow) == new.vocab_size
    for text in [*DOMAIN, *GENERAL, "spectroscopes"]:
        ids = new.encode(text)
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids
        assert slow(text, add_special_tokens=False)["input_ids"] == ids


@given(st.text(alphabet="abcé ", min_size=1, max_size=30))
def test_split_is_what_wordpiece_does(text: str) -> None:
    tokenizer = of_pieces("a", "b", "##a", "##b", "##c", "ab", "##ab", "##bca", lowercase=False)
    vocabulary = {piece: n for n, piece in enumerate(tokenizer.pieces(range(tokenizer.vocab_size)))}
    found = [piece for word in text.split() for piece in split(word, vocabulary, UNK)]
    assert found == tokenizer.pieces(tokenizer.encode(text))


def test_split_spells_a_continuing_piece_with_continuing_pieces() -> None:
    vocabulary = Counter(["a", "##a", "b", "##b", "##ab"])
    assert split("##aba", vocabulary, UNK) == ["##ab", "##a"]
    assert split("##ax", vocabulary, UNK) == [UNK]


def test_on_real_text_berts_vocabulary_saves_tokens(bert: dict[str, Tokenizer], shared: Path) -> None:
    import lzma

    with lzma.open(shared / "data" / "corpus" / "en_speeches.jsonl.xz", "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    old = bert["uncased"]
    made = extend(old, texts[::2], add=50)
    assert len(made.pieces) == 50
    before, after = (sum(map(len, tokenizer.encode_batch(texts[1::2]))) for tokenizer in (old, made.tokenizer))
    seen, unseen = 1 - made.tokens_after / made.tokens_before, 1 - after / before
    assert unseen > 0.001
    assert unseen > 0.5 * seen
