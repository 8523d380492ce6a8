"""Fine-tuning tasks, one file each, and the named data sets whose files they can read."""

from maskwright.errors import ConfigError, did_you_mean
from maskwright.registry import Entry, Registry

__all__ = ["DATASETS", "TASKS", "task_named"]

TASKS = Registry("task")
TASKS.add("classify", "one class for a text, or for a pair of texts", "maskwright.tasks.classify:Classification")
TASKS.add("regress", "one number for a text, or for a pair of texts", "maskwright.tasks.regress:Regression")
TASKS.add("bins", "one number, learnt as one of five classes of values", "maskwright.tasks.bins:Bins")
TASKS.add("multilabel", "any number of labels for a text, or for a pair", "maskwright.tasks.multilabel:MultiLabel")

DATASETS = Registry("data set")
DATASETS.add("goemotions", "28 emotions of comments (F1, average precision)", "maskwright.tasks.goemotions:GOEMOTIONS")
DATASETS.add("glue/cola", "is a sentence good English? (Matthews)", "maskwright.tasks.glue:COLA")
DATASETS.add("glue/sst2", "is a film review positive? (accuracy)", "maskwright.tasks.glue:SST2")
DATASETS.add("glue/mrpc", "are two sentences paraphrases? (accuracy and F1)", "maskwright.tasks.glue:MRPC")
DATASETS.add("glue/stsb", "how similar are two sentences, 0 to 5? (Pearson and Spearman)", "maskwright.tasks.glue:STSB")
DATASETS.add(
    "glue/stsb-classes", "the same, learnt as five classes of similarity", "maskwright.tasks.glue:STSB_CLASSES"
)
DATASETS.add("glue/qqp", "do two questions ask the same? (accuracy and F1)", "maskwright.tasks.glue:QQP")
DATASETS.add("glue/mnli", "does a premise entail a hypothesis? (accuracy)", "maskwright.tasks.glue:MNLI")
DATASETS.add("glue/qnli", "does a sentence answer a question? (accuracy)", "maskwright.tasks.glue:QNLI")
DATASETS.add("glue/rte", "does one text entail another? (accuracy)", "maskwright.tasks.glue:RTE")
DATASETS.add("glue/wnli", "what does a pronoun stand for? (accuracy)", "maskwright.tasks.glue:WNLI")
DATASETS.add("glue/ax", "GLUE's diagnostic set, for models of MNLI (Matthews)", "maskwright.tasks.glue:AX")
DATASETS.add("snli", "does a caption entail another? Auxiliary training data for MNLI", "maskwright.tasks.glue:SNLI")


def task_named(name: str) -> Entry:
    """Return a task that is no data set; ConfigError names both kinds, for a user may have meant either."""
    if name not in TASKS:
        known = [entry.name for entry in (*TASKS, *DATASETS)]
        raise ConfigError(f"no task {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
    return TASKS[name]
