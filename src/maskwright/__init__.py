"""Maskwright: an encoder workshop.  Your text in, a small, fast BERT that you own out.

    import maskwright as mw

    model = mw.load("folder or org/name")
    vectors = model.encode(["a text", "another"])

``load`` opens folders of static vectors too; typed code uses ``maskwright.static.load`` for these.
Names are imported when they are first used, so that ``import maskwright`` does not wait for torch.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskwright.config import EncoderConfig, FinetuneConfig, GlueConfig, PretrainConfig, TrainConfig
    from maskwright.corpus.build import build as build_corpus
    from maskwright.corpus.store import Corpus
    from maskwright.errors import MaskwrightError
    from maskwright.evaluation.scores import evaluate, predict
    from maskwright.evaluation.sts import score_sts
    from maskwright.model import Model, load
    from maskwright.objectives.fill import fill_masks
    from maskwright.studies.probe import probe
    from maskwright.tasks.checking import check_data
    from maskwright.tasks.few_config import FewShotConfig
    from maskwright.tasks.mining import mine_negatives
    from maskwright.tasks.similar_config import SimilarityConfig
    from maskwright.tasks.zero_shot import zero_shot
    from maskwright.text.tokenizer import Tokenizer
    from maskwright.train.curve import learning_curve
    from maskwright.train.few_shot import few_shot
    from maskwright.train.finetune import finetune
    from maskwright.train.glue import run_glue as glue
    from maskwright.train.pretrain import pretrain
    from maskwright.train.similar import train_similarity as similarity
    from maskwright.writing.generate import BeamConfig, DrawConfig, GreedyConfig, generate

__all__ = [
    "BeamConfig",
    "Corpus",
    "DrawConfig",
    "EncoderConfig",
    "FewShotConfig",
    "FinetuneConfig",
    "GlueConfig",
    "GreedyConfig",
    "MaskwrightError",
    "Model",
    "PretrainConfig",
    "SimilarityConfig",
    "Tokenizer",
    "TrainConfig",
    "__version__",
    "build_corpus",
    "check_data",
    "evaluate",
    "few_shot",
    "fill_masks",
    "finetune",
    "generate",
    "glue",
    "learning_curve",
    "load",
    "mine_negatives",
    "predict",
    "pretrain",
    "probe",
    "score_sts",
    "similarity",
    "zero_shot",
]

__version__ = "0.1.0"

_WHERE = {
    "BeamConfig": "maskwright.writing.generate:BeamConfig",
    "Corpus": "maskwright.corpus.store:Corpus",
    "DrawConfig": "maskwright.writing.generate:DrawConfig",
    "EncoderConfig": "maskwright.config:EncoderConfig",
    "FewShotConfig": "maskwright.tasks.few_config:FewShotConfig",
    "FinetuneConfig": "maskwright.config:FinetuneConfig",
    "GlueConfig": "maskwright.config:GlueConfig",
    "GreedyConfig": "maskwright.writing.generate:GreedyConfig",
    "MaskwrightError": "maskwright.errors:MaskwrightError",
    "Model": "maskwright.model:Model",
    "PretrainConfig": "maskwright.config:PretrainConfig",
    "SimilarityConfig": "maskwright.tasks.similar_config:SimilarityConfig",
    "Tokenizer": "maskwright.text.tokenizer:Tokenizer",
    "TrainConfig": "maskwright.config:TrainConfig",
    "build_corpus": "maskwright.corpus.build:build",
    "check_data": "maskwright.tasks.checking:check_data",
    "evaluate": "maskwright.evaluation.scores:evaluate",
    "few_shot": "maskwright.train.few_shot:few_shot",
    "fill_masks": "maskwright.objectives.fill:fill_masks",
    "finetune": "maskwright.train.finetune:finetune",
    "generate": "maskwright.writing.generate:generate",
    "glue": "maskwright.train.glue:run_glue",
    "learning_curve": "maskwright.train.curve:learning_curve",
    "load": "maskwright.loading:load",
    "mine_negatives": "maskwright.tasks.mining:mine_negatives",
    "predict": "maskwright.evaluation.scores:predict",
    "pretrain": "maskwright.train.pretrain:pretrain",
    "probe": "maskwright.studies.probe:probe",
    "score_sts": "maskwright.evaluation.sts:score_sts",
    "similarity": "maskwright.train.similar:train_similarity",
    "zero_shot": "maskwright.tasks.zero_shot:zero_shot",
}

# How long a thread of torch's OpenMP spins before it sleeps; read when torch is imported, hence here, and a user's own choice
# stays.  Spinning for ever is fastest on an idle machine and many times slower beside any other program; sleeping at once is
# nearly twice as slow on small steps.  docs/results.md has the figures.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
    os.environ["GOMP_SPINCOUNT"] = "3000"


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'maskwright' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
