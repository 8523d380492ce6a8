"""The one parity function: a model of ours and one of the transformers library on the same inputs."""

import torch
from torch import nn

from maskwright.checkpoint.keys import export
from maskwright.model import Model
from maskwright.nn.layout import Ragged
from small import rectangle

LENGTHS = (9, 1, 17, 4)
OUTPUTS = ("pooler_output", "prediction_logits", "seq_relationship_logits", "logits")


def assert_parity(ours: Model, theirs: nn.Module, tolerance: float = 1e-5) -> None:
    """Hold all hidden states, all logits and all gradients together, with padding and two segments, on both layouts.

    Differences are relative to the largest value of each tensor, or to 1 where that is larger.
    """
    ids, mask, types = rectangle(LENGTHS, ours.tokenizer.vocab_size)
    expected = theirs(input_ids=ids, attention_mask=mask, token_type_ids=types, output_hidden_states=True)
    outputs = {name: getattr(expected, name) for name in OUTPUTS if getattr(expected, name, None) is not None}
    name = type(theirs).__name__
    if name in ("BertForMaskedLM", "BertForNextSentencePrediction"):
        outputs["prediction_logits" if name == "BertForMaskedLM" else "seq_relationship_logits"] = outputs.pop("logits")
    real = mask.bool()
    found = ours(ids, mask, types)
    flat = [each[real] for each in (ids, torch.arange(ids.shape[1]).expand_as(ids), types)]
    pairs: Pairs = {}
    for layout, states in (("ragged", ours.net(*flat, Ragged.of(list(LENGTHS)))), ("grid", found.hidden_states)):
        for number, (a, b) in enumerate(zip(states, expected.hidden_states, strict=True)):
            pairs[f"hidden state {number}, {layout}"] = (a if layout == "ragged" else a[real], b[real])
    for output, b in outputs.items():
        a = getattr(found, output)
        pairs[output] = (a[real], b[real]) if b.shape[:2] == mask.shape else (a, b)
    pairs |= _gradients(ours, theirs, pairs)
    for what, (a, b) in pairs.items():
        assert a.shape == b.shape, what
        apart = float((a - b).detach().abs().max() / b.detach().abs().max().clamp(min=1.0))
        assert apart <= tolerance, f"{what} is {apart:.1e} apart"


Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]


def _gradients(ours: Model, theirs: nn.Module, outputs: Pairs) -> Pairs:
    """Their names -> the two gradients of one random weighting of everything that comes out."""
    ours.zero_grad()
    theirs.zero_grad()
    for side in (0, 1):
        generator, total = torch.Generator().manual_seed(1), torch.zeros(())
        for pair in outputs.values():
            noise = torch.randn(pair[side].shape, generator=generator) / pair[side].shape[-1]
            total = total + (pair[side] * noise).sum()
        total.backward()
    for parameter in ours.net.parameters():
        parameter.data, parameter.grad = parameter.grad, None  # so that the key table names the gradients
    mine = export(ours.family, ours.net, base_only=type(theirs).__name__ == ours.family.base)
    expected = dict(theirs.named_parameters())
    assert mine.keys() == expected.keys()
    return {f"gradient of {key}": (value, expected[key].grad) for key, value in mine.items()}
