"""The one parity function: a model of ours and one of the transformers library on the same inputs."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maskwright.checkpoint.keys import export
from maskwright.model import Model, Output, load
from maskwright.nn.layout import Ragged
from maskwright.text.tokenizer import Tokenizer
from small import rectangle

LENGTHS = (9, 1, 17, 4)
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
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def ours_of(theirs: Any, tokenizer: Tokenizer, folder: Path) -> Model:
    """The same model, read from the folder that the transformers library writes."""
    theirs.save_pretrained(folder)
    tokenizer.save(folder)
    return load(folder)


def compared(ours: Model, theirs: nn.Module) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Run both with padding and yield (what, ours, theirs): all hidden states on every layout, all outputs, all gradients.

    Padding is on the right, and on the left where a head reads the last token: theirs reads the last place.
    """
    ids, mask, types = rectangle(LENGTHS, ours.tokenizer.vocab_size)
    real, net = mask.bool(), ours.net
    if net.spec.embed.segments < 2:
        types = torch.zeros_like(types)
    elif net.spec.embed.segments > 2:  # the last token has one of its own, as XLNet's <cls>
        types[torch.arange(len(LENGTHS)), torch.tensor(LENGTHS) - 1] = 2
    if any(head.reads == "last" for head in net.heads.values()):
        ids, types, mask = (each.flip(1) for each in (ids, types, mask))
        real = mask.bool()
    known = inspect.signature(theirs.forward).parameters
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    if "choice" in net.heads:  # two sequences of two choices
        given = {name: value.view(2, 2, -1) for name, value in given.items()}
    expected = theirs(
        **{name: value for name, value in given.items() if name in known}, output_hidden_states=True, return_dict=True
    )
    found: Output = ours(*given.values())
    flat = [each[real] for each in (ids, torch.arange(ids.shape[1]).expand_as(ids), types)]
    pairs: Pairs = {}
    on = {"grid": found.hidden_states}
    if "ragged" in ours.family.layouts:
        on = {"ragged": net(*flat, Ragged.of(list(LENGTHS)))} | on
    for layout, states in on.items():
        for number, (a, b) in enumerate(zip(states, expected.hidden_states, strict=True)):
            pairs[f"hidden state {number}, {layout}"] = (a if layout == "ragged" else a[real], b[real])
    for output in OUTPUTS:
        if (b := getattr(expected, output, None)) is not None:
            a = getattr(found, output)
            pairs[output] = (a[real], b[real]) if b.shape[:2] == mask.shape else (a, b)
    yield from ((what, a, b) for what, (a, b) in pairs.items())
    yield from ((what, a, b) for what, (a, b) in _gradients(ours, theirs, pairs).items())


def assert_parity(ours: Model, theirs: nn.Module, tolerance: float = 1e-5) -> None:
    """Hold everything together.  Differences are relative to the largest value of each tensor, or to 1 where that is larger."""
    for what, a, b in compared(ours, theirs):
        assert a.shape == b.shape, what
        apart = float((a - b).detach().abs().max() / b.detach().abs().max().clamp(min=1.0))
        assert apart <= tolerance, f"{what} is {apart:.1e} apart"


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
    mine = export(ours.family, ours.net, base_only=type(theirs).__name__ == ours.family.base)
    for parameter, value in values.items():
        parameter.data, parameter.grad = value, None
    expected = {key: torch.zeros_like(p) if p.grad is None else p.grad for key, p in theirs.named_parameters()}
    assert mine.keys() == expected.keys()
    return {f"gradient of {key}": (value, expected[key]) for key, value in mine.items()}
