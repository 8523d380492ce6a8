"""The one parity function: a model of ours and one of the transformers library on the same inputs."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maskwright.checkpoint.keys import export
from maskwright.families.seq2seq import Seq2SeqNet
from maskwright.model import Model, Output, load
from maskwright.nn.block import Beside
from maskwright.nn.layout import Ragged
from maskwright.text.tokenizer import Tokenizer
from small import rectangle

LENGTHS = (9, 1, 17, 4)
WRITTEN = (3, 11, 1, 6)
OUTPUTS = (
    "pooler_output", "prediction_logits", "seq_relationship_logits", "sop_logits", "logits", "start_logits", "end_logits",
)  # fmt: skip

Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]


def their_model(name: str, config: Mapping[str, Any]) -> nn.Module:
    """A random model of the transformers library in which every parameter matters."""
    import transformers

    kind = getattr(transformers, name)
    torch.manual_seed(0)
    model = kind(kind.config_class(**config)).eval()
    with torch.no_grad():  # biases and norms start at 0 and 1, where forgetting them would not show
        bias = [model.final_logits_bias] if hasattr(model, "final_logits_bias") else []
        for parameter in (*(each for each in model.parameters() if each.dim() == 1), *bias):
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def ours_of(theirs: Any, tokenizer: Tokenizer, folder: Path) -> Model:
    """The same model, read from the folder that the transformers library writes."""
    theirs.save_pretrained(folder)
    tokenizer.save(folder)
    return load(folder)


def compared(ours: Model, theirs: nn.Module) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Run both with padding and yield (what, ours, theirs): all hidden states on every layout, all outputs, all gradients.

    Padding is on the right, and on the left where a head reads the last token and theirs takes that for the last place.
    """
    ids, mask, types = rectangle(LENGTHS, ours.tokenizer.vocab_size)
    real, net = mask.bool(), ours.net
    if net.spec.embed.segments < 2:
        types = torch.zeros_like(types)
    elif net.spec.embed.segments > 2:  # the last token has one of its own, as XLNet's <cls>
        types[torch.arange(len(LENGTHS)), torch.tensor(LENGTHS) - 1] = 2
    if "ragged" not in ours.family.layouts and any(head.reads == "last" for head in net.heads.values()):
        ids, types, mask = (each.flip(1) for each in (ids, types, mask))
        real = mask.bool()
    known = inspect.signature(theirs.forward).parameters
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    if "choice" in net.heads:  # two sequences of two choices
        given = {name: value.view(2, 2, -1) for name, value in given.items()}
    written = real
    if isinstance(net, Seq2SeqNet):
        if net.heads.keys() & {"classify", "answers"}:  # these give the decoder the text itself; it must end with </s>
            ids[torch.arange(len(ids)), mask.sum(1) - 1] = theirs.config.eos_token_id  # type: ignore[union-attr]
        else:
            given["decoder_input_ids"], given["decoder_attention_mask"], _ = rectangle(
                WRITTEN, ours.tokenizer.vocab_size, 1
            )
            written = given["decoder_attention_mask"].bool()
    if not net.spec.embed.segments:  # GPT-2 would add token embeddings for them
        known = known.keys() - {"token_type_ids"}
    expected = theirs(
        **{name: value for name, value in given.items() if name in known}, output_hidden_states=True, return_dict=True
    )
    found: Output = ours(**given)
    pairs: Pairs = {}
    on = {"grid": _on_grid(found)}
    if "ragged" in ours.family.layouts:
        on = {"ragged": _on_ragged(net, given)} | on
    for layout, states in on.items():
        for side, kept in (("encoder_", real), ("decoder_", written), ("", real)):
            for number, (a, b) in enumerate(
                zip(states.get(side, ()), getattr(expected, f"{side}hidden_states", None) or (), strict=True)
            ):
                pairs[f"{side}hidden state {number}, {layout}"] = (a if layout == "ragged" else a[kept], b[kept])
    assert pairs
    for output in OUTPUTS:
        if (b := getattr(expected, output, None)) is not None:
            a = getattr(found, output)
            pairs[output] = (a[written], b[written]) if b.shape[:2] == written.shape else (a, b)
    yield from ((what, a, b) for what, (a, b) in pairs.items())
    yield from ((what, a, b) for what, (a, b) in _gradients(ours, theirs, pairs).items())


def _flat(ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Ragged]:
    """The real tokens of a rectangle, their places and their layout."""
    real = mask.view(-1, mask.shape[-1]).bool()
    ids = ids.view(real.shape)
    return ids[real], torch.arange(real.shape[1]).expand_as(ids)[real], Ragged.of(real.sum(1).tolist())


def _on_ragged(net: Any, given: dict[str, torch.Tensor]) -> dict[str, list[torch.Tensor]]:
    """Prefix of the reference's name -> hidden states of the real tokens."""
    ids, places, layout = _flat(given["input_ids"], given["attention_mask"])
    types = given["token_type_ids"].view(-1, given["token_type_ids"].shape[-1])
    states = net(ids, places, types[given["attention_mask"].view(types.shape).bool()], layout)
    if not isinstance(net, Seq2SeqNet):
        return {"": states}
    beside = Beside(states[-1], layout)
    if "decoder_input_ids" in given:
        ids, places, layout = _flat(given["decoder_input_ids"], given["decoder_attention_mask"])
    else:
        ids = net.shifted(ids, layout)
    return {"encoder_": states, "decoder_": net.decode(ids, places, layout, beside)}


def _on_grid(found: Output) -> dict[str, Any]:
    """Prefix of the reference's name -> hidden states of all places."""
    if found.encoder_hidden_states is None:
        return {"": found.hidden_states}
    return {"encoder_": found.encoder_hidden_states, "decoder_": found.decoder_hidden_states}


def assert_parity(ours: Model, theirs: nn.Module, tolerance: float = 1e-5) -> None:
    """Hold everything together.  Differences are relative to the largest value of each tensor, or to 1 where that is larger."""
    for what, a, b in compared(ours, theirs):
        assert a.shape == b.shape, what
        apart = float((a - b).detach().abs().max() / b.detach().abs().max().clamp(min=1.0))
        assert apart <= tolerance, f"{what} is {apart:.1e} apart"


def _fixed(ours: Model, key: str) -> bool:
    """Whether a tensor of theirs holds no weights."""
    return key in ours.family.ignorable or ours.family.prefix + key in ours.family.ignorable


def _gradients(ours: Model, theirs: nn.Module, outputs: Pairs) -> Pairs:
    """Their names -> the two gradients of one random weighting of everything that comes out; 0 for what took no part."""
    ours.zero_grad()
    theirs.zero_grad()
    for side in (0, 1):
        generator, total = torch.Generator().manual_seed(1), torch.zeros(())
        for pair in outputs.values():
            noise = torch.randn(pair[side].shape, generator=generator) / pair[side].shape[-1]
            total = total + (pair[side] * noise).sum()
        total.backward()
    values = {parameter: parameter.data for parameter in ours.net.parameters()}
    for parameter in values:
        # So that the key table names the gradients.
        parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
    mine = export(ours.family, ours.net, bare=type(theirs).__name__ in {ours.family.base, *ours.family.bare})
    for parameter, value in values.items():
        parameter.data, parameter.grad = value, None
    expected = {key: torch.zeros_like(p) if p.grad is None else p.grad for key, p in theirs.named_parameters()}
    expected = {key: value for key, value in expected.items() if not _fixed(ours, key)}
    mine = {key: value for key, value in mine.items() if key not in dict(theirs.named_buffers())}
    assert mine.keys() == expected.keys()
    return {f"gradient of {key}": (value, expected[key]) for key, value in mine.items()}
