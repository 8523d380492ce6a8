"""``maskwright params`` and ``maskwright families`` say what the architectures are."""

import pytest

from maskwright.cli import run
from maskwright.families import FAMILIES


def said(capsys: pytest.CaptureFixture[str], *tokens: str) -> str:
    assert run(tokens) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ("bert-base-uncased", ("109,482,240", "110M in its README", "fp32 438 MB", "int8 109 MB")),
        ("roberta-base", ("124,645,632", "(P + 2)·D", "125M")),
        ("albert-xlarge-v2", ("58,724,864", "60M", "1 blocks compute 24 layers; unshared", "E·D + D")),
        ("distilbert-base-uncased", ("66,362,880", "66M")),
        ("electra-small-discriminator", ("13,483,008", "token embeddings of width E")),
        ("modernbert-base", ("149,014,272", "3·D·F", "MFLOP a token, in sequences of 512")),
        (
            "elmo-original",
            ("93,600,848", "93.6M", "2 layers × (8·D·F + 8·F, F = 4,096)", "2 layers × (2·(2048² + 2048))"),
        ),
    ],
)
def test_params_shows_counts_bytes_and_the_published_figure(
    capsys: pytest.CaptureFixture[str], size: str, told: tuple[str, ...]
) -> None:
    text = said(capsys, "params", size)
    for each in told:
        assert each in text


def test_families_lists_every_architecture_its_sizes_and_what_it_learns(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "families")
    for entry in FAMILIES:
        assert entry.name in text
        assert all(size in text for size in entry.load().presets)
    rows = {
        line.split()[0]: line.split()
        for line in text.split("\nObjectives ")[1].split("\nTasks ")[0].splitlines()
        if line.strip()
    }
    can = {name: dict(zip(rows["family"], rows[name], strict=False)) for name in ("roberta", "gpt2", "t5")}
    assert (can["roberta"]["mlm"], can["roberta"]["nsp"], can["roberta"]["causal"]) == ("yes", "-", "-")
    assert (can["gpt2"]["causal"], can["gpt2"]["spans"]) == ("yes", "-")  # it has no decoder of its own
    assert (can["t5"]["causal"], can["t5"]["spans"]) == ("-", "yes")
