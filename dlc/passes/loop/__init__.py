"""Schedule transforms: loop level to loop level, each a small rewrite with a test against the evaluator.

`loops.py` finds loops by name; the other files hold one transform each. A kernel's schedule (kernels/) is a list of
calls of these.
"""
