"""Fine-tuning tasks, one file each, and the named data sets whose files they can read."""

from maskwright.registry import Registry

__all__ = ["DATASETS", "TASKS"]

TASKS = Registry("task")
TASKS.add("classify", "one class for a text, or for a pair of texts", "maskwright.tasks.classify:Classification")
TASKS.add("regress", "one number for a text, or for a pair of texts", "maskwright.tasks.regress:Regression")
TASKS.add("multilabel", "any number of labels for a text, or for a pair", "maskwright.tasks.multilabel:MultiLabel")

DATASETS = Registry("data set")
DATASETS.add("goemotions", "28 emotions of comments (F1, average precision)", "maskwright.tasks.goemotions:GOEMOTIONS")
DATASETS.add("glue/mrpc", "are two sentences paraphrases? (accuracy and F1)", "maskwright.tasks.glue:MRPC")
DATASETS.add("glue/sst2", "is a film review positive? (accuracy)", "maskwright.tasks.glue:SST2")
DATASETS.add("glue/stsb", "how similar are two sentences, 0 to 5? (Pearson and Spearman)", "maskwright.tasks.glue:STSB")
