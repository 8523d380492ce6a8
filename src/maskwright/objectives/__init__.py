"""Pre-training objectives, one file each.  A newcomer adds a file and a line here."""

from maskwright.registry import Registry

__all__ = ["OBJECTIVES"]

OBJECTIVES = Registry("objective")
OBJECTIVES.add("mlm", "masked language model: which tokens were hidden?", "maskwright.objectives.mlm:Mlm")
OBJECTIVES.add("nsp", "next-sentence prediction: does B follow A?", "maskwright.objectives.nsp:Nsp")
OBJECTIVES.add("sbo", "span boundaries: what stood between two tokens?", "maskwright.objectives.sbo:Sbo")
OBJECTIVES.add("sop", "sentence-order prediction: were two neighbours swapped?", "maskwright.objectives.sop:Sop")
OBJECTIVES.add("rtd", "replaced-token detection: which tokens did a generator put in?", "maskwright.objectives.rtd:Rtd")
OBJECTIVES.add("plm", "permutation language model: what stands there, in any order?", "maskwright.objectives.plm:Plm")
OBJECTIVES.add(
    "blank", "blank infilling: what stood in each blank, said token by token?", "maskwright.objectives.blank:Blank"
)
OBJECTIVES.add("causal", "causal language model: what is the next token?", "maskwright.objectives.causal:Causal")
OBJECTIVES.add(
    "bilm", "language models both ways: which word comes next, which before?", "maskwright.objectives.bilm:Bilm"
)
OBJECTIVES.add("spans", "span corruption: what stood where the sentinels stand?", "maskwright.objectives.spans:Spans")
OBJECTIVES.add(
    "denoise", "denoising: what was the text before it was damaged?", "maskwright.objectives.denoise:Denoise"
)
