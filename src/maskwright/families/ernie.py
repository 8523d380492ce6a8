"""ERNIE: BERT, pre-trained by hiding whole phrases and entities; from 2.0 on with an embedding of the task.

Papers: Sun et al. 2019, https://arxiv.org/abs/1904.09223; ERNIE 2.0, section 4.2, https://arxiv.org/abs/1907.12412.
Differs from BERT: the task-type embedding, where there is one.  Layouts: ragged and grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor, nn

from maskwright.families.base import Family, KeyRow, Spec
from maskwright.families.bert import bert_architectures, bert_heads, bert_keys
from maskwright.families.config import BERT_FIELDS, Fields, check, encoder_spec
from maskwright.nn.embed import Embed, EmbedSpec

__all__ = ["ERNIE", "TaskEmbed", "TaskEmbedSpec", "ernie_spec"]


@dataclass(frozen=True, kw_only=True)
class TaskEmbedSpec(EmbedSpec):
    """BERT's tables and one of tasks."""

    tasks: int
    """Rows of the task table."""

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count)."""
        count, d = self.tasks, self.width
        return super().parameters() | {"task embeddings": (f"{count}·D = {count}·{d:,}", count * d)}

    def build(self) -> TaskEmbed:
        """Return the module that this describes."""
        return TaskEmbed(self)


class TaskEmbed(Embed):
    """LayerNorm(token + position + segment + task), then dropout.

    Attributes:
        which: the task that the tokens are embedded for; 0 as in Hugging Face's default.
    """

    def __init__(self, spec: TaskEmbedSpec) -> None:
        super().__init__(spec)
        self.task = nn.Embedding(spec.tasks, spec.width)
        self.which = 0

    def summed(self, ids_T: Tensor, positions_T: Tensor, segments_T: Tensor) -> Tensor:
        """Three (T,) int64 tensors -> (T, D)."""
        return super().summed(ids_T, positions_T, segments_T) + self.task.weight[self.which]


def ernie_spec(*, tasks: int = 0, **sizes: Any) -> Spec:
    """Return the spec of an ERNIE: BERT's arguments, and the number of tasks that have an embedding (0: none)."""
    spec = encoder_spec("ernie", **sizes)
    if not tasks:
        return spec
    given = {each.name: getattr(spec.embed, each.name) for each in fields(EmbedSpec)}
    return replace(spec, embed=TaskEmbedSpec(tasks=tasks, **given))


_FIELDS = Fields(
    title="ERNIE",
    names=BERT_FIELDS,
    defaults={
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
    fixed={"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False},
)


def _read(config: Mapping[str, Any]) -> Spec:
    tasks = config.get("task_type_vocab_size", 3)
    check("task_type_vocab_size", tasks, "tasks")
    return ernie_spec(tasks=tasks if config.get("use_task_id", False) else 0, **_FIELDS.read(config))


def _write(spec: Spec) -> dict[str, Any]:
    if isinstance(spec.embed, TaskEmbedSpec):
        return _FIELDS.write(spec) | {"use_task_id": True, "task_type_vocab_size": spec.embed.tasks}
    return _FIELDS.write(spec) | {"use_task_id": False}


_BASE: dict[str, Any] = {"width": 768, "layers": 12, "heads": 12, "activation": "relu"}
_PREFIX = "ernie"

ERNIE = Family(
    name="ernie",
    model_type="ernie",
    paper="https://arxiv.org/abs/1904.09223",
    read_config=_read,
    write_config=_write,
    new_spec=ernie_spec,
    presets={
        "ernie-1.0-base-zh": ernie_spec(vocabulary=18000, positions=513, **_BASE),
        "ernie-3.0-base-zh": ernie_spec(
            vocabulary=40000, positions=2048, segments=4, tasks=3, **(_BASE | {"activation": "gelu"})
        ),
    },
    published={},
    keys=(
        *bert_keys(_PREFIX),
        KeyRow(
            "embed.task.weight",
            (f"{_PREFIX}.embeddings.task_type_embeddings.weight",),
            there=lambda spec: isinstance(spec.embed, TaskEmbedSpec),
        ),
    ),
    heads=bert_heads(_PREFIX),
    architectures=bert_architectures("Ernie"),
    base="ErnieModel",
    prefix=f"{_PREFIX}.",
    tied={
        "cls.predictions.decoder.weight": f"{_PREFIX}.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    ignorable=(f"{_PREFIX}.embeddings.position_ids",),
    renames={".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"},
    known=frozenset({"position_embedding_type", "task_type_vocab_size"}),
)
