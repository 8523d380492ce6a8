"""Fine-tuning real weights on real pairs, step by step beside a plain loop over the transformers library."""

import json
import shutil
import warnings
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from maskwright import machine
from maskwright.config import FinetuneConfig
from maskwright.data.plan import Budget
from maskwright.keys import Key
from maskwright.model import load
from maskwright.report.log import read_log
from maskwright.tasks.glue import MRPC
from maskwright.tasks.rows import Rows
from maskwright.train.finetune import finetune_rows

STEPS, EXAMPLES, LENGTH, LR = 50, 8, 128, 5e-5


@pytest.fixture
def without_dropout(minilm: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(minilm, tmp_path / "start"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def plain_loop(folder: Path, rows: Rows, order: list[list[int]], head: dict[str, torch.Tensor]) -> list[float]:
    """The loss of every step of a loop that a user of transformers would write."""
    from transformers import AutoTokenizer, BertForSequenceClassification, get_linear_schedule_with_warmup

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = BertForSequenceClassification.from_pretrained(folder, num_labels=2).train()
        tokenizer = AutoTokenizer.from_pretrained(folder)
    model.classifier.load_state_dict(head)
    spared = ("bias", "LayerNorm.weight")
    groups = [
        {"params": [p for n, p in model.named_parameters() if not n.endswith(spared)], "weight_decay": 0.01},
        {"params": [p for n, p in model.named_parameters() if n.endswith(spared)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR)
    schedule = get_linear_schedule_with_warmup(optimizer, STEPS // 10, STEPS)
    assert rows.labels is not None
    losses = []
    for numbers in order:
        texts = [rows.texts[n] for n in numbers]
        inputs = tokenizer([a for a, _ in texts], [b for _, b in texts], truncation=True, max_length=LENGTH, padding=True, return_tensors="pt")  # fmt: skip
        labels = torch.tensor([int(rows.labels[n] == "equivalent") for n in numbers])
        loss = model(**inputs, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_fifty_steps_of_mrpc_are_those_of_a_plain_transformers_loop(
    shared: Path, without_dropout: Path, tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    train, dev = (MRPC.rows(shared / "data" / "glue", split) for split in ("train", "dev"))
    few = Rows(dev.texts[:8], dev.labels[:8] if dev.labels else None, dev.lines[:8], dev.file)
    task, model = MRPC.task(), load(without_dropout)
    with machine.seeded(1):
        task.prepare(model)
    head = {name: value.clone() for name, value in model.net.heads["classify"].score.state_dict().items()}
    config = FinetuneConfig.of(
        {
            "model": str(without_dropout),
            "task": "glue/mrpc",
            "length": LENGTH,
            "out": tmp_path / "run",
            "train": {"steps": STEPS, "examples": EXAMPLES, "lr": LR, "precision": "fp32", "evaluate_every": STEPS},
        }
    )
    lengths = [1 + sum(len(model.tokenizer.encode(part)) + 1 for part in row) for row in train.texts]
    order = Key(0).stream("plan.order").order(len(train))
    bounds = Budget(examples=EXAMPLES).steps(torch.tensor(lengths).numpy()[order])
    batches = [order[a:b].tolist() for a, b in pairwise(bounds)][:STEPS]
    finetune_rows(model, task, train, few, config)
    ours = [record["loss"] for record in read_log(tmp_path / "run" / "log.jsonl") if record["kind"] == "step"]
    theirs = plain_loop(without_dropout, train, batches, head)
    assert len(ours) == len(theirs) == STEPS
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 1e-4
    assert sum(ours[-10:]) < sum(ours[:10])
