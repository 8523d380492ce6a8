"""Heads as families carry them: each function makes a ``HeadKind`` from the names that its tensors have elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from maskwright.families.base import HeadKind, KeyRow, Net, Spec
from maskwright.nn.heads import DenseScores, MaskedTokens, NextToken, Pooler, Scores

__all__ = ["POOLED", "both", "dense_scores", "head_rate", "masked_tokens", "next_token", "plain", "pooler", "scores"]

Closed = dict[str, tuple[str, int]]


def both(ours: str, *theirs: str) -> tuple[KeyRow, KeyRow]:
    """A weight and its bias."""
    return tuple(KeyRow(f"{ours}.{x}", tuple(f"{t}.{x}" for t in theirs)) for x in ("weight", "bias"))  # type: ignore[return-value]


def plain(ours: str, *theirs: str) -> tuple[KeyRow, KeyRow]:
    """A weight, and its bias in architectures whose layers have them."""
    weight, bias = both(ours, *theirs)
    return weight, replace(bias, there=lambda spec: spec.stack.block.bias)


def head_rate(spec: Spec) -> float:
    """Dropout rate of the classification heads."""
    return spec.stack.block.dropout if spec.head_dropout is None else spec.head_dropout


def pooler(theirs: str) -> HeadKind:
    """tanh of a dense layer on the first token."""
    return HeadKind(
        build=lambda net, outputs: Pooler(net.spec.width),
        parameters=lambda spec, outputs: {"pooler": ("D² + D", spec.width**2 + spec.width)},
        keys=both("heads.pooler.dense", theirs),
    )


def masked_tokens(
    dense: str, norm: str, bias: str, activation: Callable[[Spec], str] = lambda spec: spec.stack.block.activation
) -> HeadKind:
    """Masked LM head whose scores are tied to the token embeddings; ``activation`` behind its dense layer."""

    def build(net: Net, outputs: int) -> MaskedTokens:
        block = net.spec.stack.block
        return MaskedTokens(
            net.embed.token, net.spec.width, activation=activation(net.spec), norm_eps=block.norm_eps, bias=block.bias
        )

    def parameters(spec: Spec, outputs: int) -> Closed:
        d, e, b = spec.width, spec.embed.table_width, spec.stack.block.bias
        square = "D²" if e == d else "D·E"
        letter = "D" if e == d else "E"
        return {
            "masked LM head: dense": (f"{square} + {letter}" if b else square, d * e + b * e),
            "masked LM head: LayerNorm": (f"{1 + b}·{letter}", (1 + b) * e),
            "masked LM head: bias (weights tied to the token embeddings)": ("V", spec.vocabulary),
        }

    keys = (*plain("heads.mlm.dense", dense), *plain("heads.mlm.norm", norm), KeyRow("heads.mlm.bias", (bias,)))
    return HeadKind(build, parameters, keys)


def next_token(bias: str | None = None) -> HeadKind:
    """Scores of the next token, tied to the token embeddings; ``bias``: what theirs is called, (1, V), if any."""
    part = "language model head: bias (weights tied to the token embeddings)"
    return HeadKind(
        build=lambda net, outputs: NextToken(net.embed.token, bias=bias is not None),
        parameters=lambda spec, outputs: {part: ("V", spec.vocabulary)} if bias else {},
        keys=(KeyRow("heads.lm.bias", (bias,), view=lambda spec, part: part[None]),) if bias else (),
    )


def _score_parameters(fixed: int | None, outputs: int, width: int) -> tuple[str, int]:
    """(closed form, count) of a linear layer to ``fixed`` scores, or to as many as there are labels."""
    count = fixed or outputs
    form = {None: f"C·D + C, C = {outputs}", 1: "D + 1", 2: "2·D + 2"}[fixed]
    return form, count * width + count


def scores(
    name: str,
    theirs: str,
    *,
    what: str,
    reads: str,
    fixed: int | None = None,
    rate: Callable[[Spec], float] = lambda spec: 0.0,
    bias: bool = True,
) -> HeadKind:
    """Dropout and a linear layer; ``fixed`` is the number of scores where labels do not decide it, ``what`` its title."""

    def build(net: Net, outputs: int) -> Scores:
        return Scores(net.spec.width, fixed or outputs, reads=reads, dropout=rate(net.spec), bias=bias)

    def parameters(spec: Spec, outputs: int) -> Closed:
        form, count = _score_parameters(fixed, outputs, spec.width)
        return {what: (form, count) if bias else (f"C·D, C = {outputs}", outputs * spec.width)}

    return HeadKind(build, parameters, both(f"heads.{name}.score", theirs)[: 1 + bias])


def _pooled(reads: str, layers: int = 1) -> HeadKind:
    """Class scores from another pooling than the family's own, under names that no other library uses."""
    name = f"classify_{reads.replace('-', '_')}"
    wide = "D" if layers == 1 else f"{layers}·D"
    return HeadKind(
        build=lambda net, outputs: Scores(layers * net.spec.width, outputs, reads=reads, dropout=head_rate(net.spec)),
        parameters=lambda spec, outputs: {
            f"classification head on {reads}": (
                f"C·{wide} + C, C = {outputs}",
                outputs * layers * spec.width + outputs,
            )
        },
        keys=both(f"heads.{name}.score", f"maskwright.{name}"),
    )


POOLED: Mapping[str, HeadKind] = {
    "classify_first": _pooled("first"),
    "classify_mean": _pooled("mean"),
    "classify_max": _pooled("max"),
    "classify_last4_mean": _pooled("last4-mean"),
    "classify_last4_concat": _pooled("last4-concat", layers=4),
}
"""Heads that every family can carry, and that no other library's class has."""


def dense_scores(
    name: str,
    dense: str,
    theirs: str,
    *,
    what: str,
    reads: Callable[[Spec], str],
    activation: Callable[[Spec], str],
    norm: str | None = None,
    fixed: int | None = None,
    rate: Callable[[Spec], float] = lambda spec: 0.0,
    bias: Callable[[Spec], bool] = lambda spec: spec.stack.block.bias,
) -> HeadKind:
    """A dense layer and its activation before the scores; ``norm`` names a LayerNorm behind the activation."""

    def build(net: Net, outputs: int) -> DenseScores:
        spec, block = net.spec, net.spec.stack.block
        return DenseScores(
            spec.width,
            fixed or outputs,
            reads=reads(spec),
            activation=activation(spec),
            dropout=rate(spec),
            norm_eps=block.norm_eps if norm else None,
            bias=bias(spec),
        )

    def parameters(spec: Spec, outputs: int) -> Closed:
        d, b = spec.width, bias(spec)
        norms = {f"{what}: LayerNorm": ("2·D" if b else "D", (1 + b) * d)} if norm else {}
        dense_part = {f"{what}: dense": ("D² + D" if b else "D²", d * d + b * d)}
        return dense_part | norms | {f"{what}: scores": _score_parameters(fixed, outputs, d)}

    rows = [*both(f"heads.{name}.dense", dense), *(both(f"heads.{name}.norm", norm) if norm else ())]
    biases = [replace(row, there=bias) if row.ours.endswith("bias") else row for row in rows]
    return HeadKind(build, parameters, (*biases, *both(f"heads.{name}.score", theirs)))
