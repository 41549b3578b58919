"""How a kernel says that it computes with denormals; the others flush them to zero (dlc/passes/lower/denormals.py)."""

KEEPS_DENORMALS = "keeps_denormals"  # an attribute of its function
