"""Writing: the tokens that transformers writes, the kept keys and values change nothing, draws are what they say."""

from pathlib import Path
from typing import Any

import pytest
import torch

from maskwright.errors import ConfigError, InputError
from maskwright.families.seq2seq import Seq2SeqNet
from maskwright.keys import Key
from maskwright.model import Model, create
from maskwright.nn.block import Beside
from maskwright.nn.layout import Ragged
from maskwright.text.tokenizer import Tokenizer
from maskwright.writing.beam import search
from maskwright.writing.decoder import Decoder
from maskwright.writing.draw import drawn, follow, likeliest, narrowed
from maskwright.writing.generate import BeamConfig, DrawConfig, GreedyConfig, generate
from parity import ours_of, their_model
from tiny_families import CONFIGS, tiny_spec

WRITERS = {
    "gpt": "OpenAIGPTLMHeadModel",
    "gpt2": "GPT2LMHeadModel",
    "transformer": "MarianMTModel",
    "bart": "BartForConditionalGeneration",
    "t5": "T5ForConditionalGeneration",
}
PROMPTS = ([7, 300, 21, 9, 33], [640], [11, 12, 13, 14, 15, 16, 17, 18], [99, 98])
END = 3


def their_lines(theirs: Any, prompt: list[int], **options: Any) -> list[list[int]]:
    """What transformers writes behind one prompt, without its end piece."""
    ids = torch.tensor([prompt])
    # Its cache has room for as many layers as the encoder has only.
    options = {"eos_token_id": END, "pad_token_id": 0, "do_sample": False, "use_cache": False} | options
    rows = theirs.generate(ids, attention_mask=torch.ones_like(ids), **options)
    skipped = 1 if theirs.config.is_encoder_decoder else len(prompt)
    lines = [row[skipped:].tolist() for row in rows]
    return [line[: line.index(END)] if END in line else line for line in lines]


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    theirs = their_model(WRITERS[request.param], CONFIGS[request.param]["plain"])
    for name in ("forced_eos_token_id", "forced_bos_token_id"):
        setattr(theirs.generation_config, name, None)
    return ours_of(theirs, tokenizer, tmp_path_factory.mktemp(request.param)), theirs


@pytest.mark.parametrize("pair", WRITERS, indirect=True)
@torch.no_grad()
def test_greedily_a_batch_writes_what_transformers_writes_one_by_one(pair: Any) -> None:
    ours, theirs = pair
    lines = follow(Decoder(ours, PROMPTS), likeliest, most=20, ends=(END,))
    for prompt, (tokens, _, _) in zip(PROMPTS, lines, strict=True):
        assert [tokens] == their_lines(theirs, prompt, max_new_tokens=20)
    assert len({tuple(tokens) for tokens, _, _ in lines}) > 1


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("pair", WRITERS, indirect=True)
@torch.no_grad()
def test_beam_search_finds_what_transformers_finds(pair: Any, penalty: float) -> None:
    ours, theirs = pair
    found = search(Decoder(ours, PROMPTS), beams=4, best=3, penalty=penalty, most=12, ends=(END,))
    for prompt, lines in zip(PROMPTS, found, strict=True):
        expected = their_lines(
            theirs, prompt, max_new_tokens=12, num_beams=4, num_return_sequences=3, length_penalty=penalty
        )
        assert [tokens for tokens, _, _ in lines] == expected


@pytest.mark.parametrize("pair", WRITERS, indirect=True)
@torch.no_grad()
def test_scores_behind_kept_keys_and_values_are_those_of_reading_all_again(pair: Any) -> None:
    ours, _ = pair
    decoder = Decoder(ours, PROMPTS)
    written = torch.randint(5, 800, (6, len(PROMPTS)), generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([2, 0, 0, 3])
    for step, ids in enumerate(written):
        if step == 3:
            decoder.choose(rows)
        decoder.step(ids)
    texts = [
        [*PROMPTS[row], *written[:3, row].tolist(), *written[3:, at].tolist()] for at, row in enumerate(rows.tolist())
    ]
    for at, row in enumerate(rows.tolist()):
        scores = _last_scores(ours, list(PROMPTS[row]), texts[at][len(PROMPTS[row]) :])
        assert (scores - decoder.scores_BV[at]).abs().max() < 1e-4 * scores.abs().max()


def _last_scores(model: Model, prompt: list[int], behind: list[int]) -> torch.Tensor:
    """The next token's scores without anything kept."""

    def given(ids: list[int]) -> tuple[torch.Tensor, torch.Tensor, Ragged]:
        return torch.tensor(ids), torch.arange(len(ids)), Ragged.of([len(ids)])

    net: Any = model.net
    if isinstance(net, Seq2SeqNet):
        ids, places, layout = given(prompt)
        beside = Beside(net(ids, places, ids * 0, layout)[-1], layout)
        states = net.decode(*given([net.start_id, *behind]), beside)
    else:
        ids, places, layout = given([*prompt, *behind])
        states = net(ids, places, ids * 0, layout)
    scores: torch.Tensor = model.head("lm")(states[-1][-1:])[0, : model.tokenizer.vocab_size]
    return scores


@torch.no_grad()
def test_room_for_keys_and_values_grows_and_a_full_one_is_written_to_its_last_place(tokenizer: Tokenizer) -> None:
    model = create(tiny_spec("gpt2", vocab_size=tokenizer.vocab_size, n_positions=150), tokenizer, seed=1).eval()
    model.add_head("lm")
    decoder = Decoder(model, [[7, 8, 9]])
    (tokens, _, ended), = follow(decoder, likeliest, most=148, ends=())  # fmt: skip
    assert len(tokens) == 148 and not ended and decoder.room == 0
    assert torch.allclose(_last_scores(model, [7, 8, 9], tokens[:-1]), decoder.scores_BV[0], atol=1e-4)


def test_what_a_tokens_share_is_decides_how_often_it_is_drawn() -> None:
    scores = torch.tensor([[2.0, 0.5, -1.0, 1.0]])
    shares = (scores / 0.7).softmax(-1)[0]
    keys = [Key(0).at(number) for number in range(20_000)]
    pick = drawn(keys, temperature=0.7, top_k=None, top_p=1.0)
    counts = torch.bincount(pick(scores.expand(len(keys), -1), 0), minlength=4) / len(keys)
    assert ((counts - shares).abs() < 4 * (shares * (1 - shares) / len(keys)).sqrt()).all()


def test_the_same_key_and_step_draw_the_same_and_others_do_not() -> None:
    scores = torch.randn(3, 800, generator=torch.Generator().manual_seed(0))
    keys = [Key(5).at(number) for number in range(3)]
    one, same = (drawn(keys, temperature=1.0, top_k=None, top_p=1.0)(scores, 4) for _ in range(2))
    alone = drawn(keys[1:2], temperature=1.0, top_k=None, top_p=1.0)(scores[1:2], 4)
    assert torch.equal(one, same) and torch.equal(one[1:2], alone)
    assert not torch.equal(one, drawn(keys, temperature=1.0, top_k=None, top_p=1.0)(scores, 5))


@pytest.mark.parametrize(
    ("top_k", "top_p", "left"),
    [(None, 1.0, {0, 1, 2, 3, 4}), (2, 1.0, {0, 3}), (99, 1.0, {0, 1, 2, 3, 4}), (None, 0.5, {0, 3}), (None, 0.39, {0}), (3, 0.99, {0, 1, 3})],
)  # fmt: skip
def test_top_k_and_the_nucleus_leave_what_they_say(top_k: int | None, top_p: float, left: set[int]) -> None:
    shares = torch.tensor([[0.4, 0.2, 0.06, 0.3, 0.04]])
    kept = narrowed(shares.log(), top_k=top_k, top_p=top_p)[0].isfinite()
    assert set(kept.nonzero()[:, 0].tolist()) == left


@pytest.fixture
def writer(tokenizer: Tokenizer) -> Model:
    model = create(tiny_spec("gpt2", vocab_size=tokenizer.vocab_size), tokenizer, seed=0)
    model.add_head("lm")
    return model


@pytest.mark.parametrize(
    "config", [GreedyConfig(most=8), DrawConfig(most=8, seed=3, outputs=2), BeamConfig(most=8, outputs=2)]
)
def test_a_text_is_continued_alike_alone_and_in_a_batch(writer: Model, config: Any) -> None:
    texts = ["Return the name", "a", "The value of a longer text than the others"]
    together = generate(writer, texts, config)
    assert [len(each) for each in together] == [getattr(config, "outputs", 1)] * 3
    assert writer.training
    for one, other in zip(generate(writer, texts, config, together=1), together, strict=True):
        assert [each.ids for each in one] == [each.ids for each in other]
    for written in together[0]:
        assert writer.tokenizer.decode(written.ids) == written.text
        assert written.log_probability < 0 and len(written.ids) <= 8


def test_the_log_probability_is_that_of_the_tokens_and_the_end(writer: Model) -> None:
    writer.eval()
    (written,), = generate(writer, ["Return"], GreedyConfig(most=5))  # fmt: skip
    prompt = [writer.tokenizer.cls_id, *writer.tokenizer.encode("Return")]
    ids, total = list(written.ids), 0.0
    for place, token in enumerate([*ids, writer.tokenizer.sep_id][:5]):
        total += float(_last_scores(writer, prompt, ids[:place]).log_softmax(-1)[token].detach())
    assert written.log_probability == pytest.approx(total, rel=1e-4)


def test_what_cannot_be_written_is_refused(writer: Model, tokenizer: Tokenizer, tmp_path: Path) -> None:
    silent = create(tiny_spec("bert", vocab_size=tokenizer.vocab_size), tokenizer, seed=0)
    with pytest.raises(ConfigError, match=r"this bert has no lm head, so it cannot write; families that can"):
        generate(silent, ["a"])
    with pytest.raises(ConfigError, match=r"outputs: 5 of 4 beams"):
        generate(writer, ["a"], BeamConfig(outputs=5))
    with pytest.raises(InputError, match=r"text 2 has \d+ tokens; this model reads 39 and must have room to write"):
        generate(writer, ["a", "a b " * 30])
    assert generate(writer, []) == []
