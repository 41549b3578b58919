"""The meaning of the IR: a readable NumPy evaluator, the oracle of every differential test."""
