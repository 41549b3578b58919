"""``python -m tests.conformance``: how many of ONNX's own node tests compiled code passes, and why not the others."""

import sys
from collections import Counter

from tests.conformance.node_tests import left_out, outcome


def main() -> int:
    found = outcome()
    listed = left_out()
    causes = Counter(listed.get(name, "not listed") for name, why in found.faults.items() if why is not None)
    for cause, count in causes.most_common():
        print(f"{count:5}  {cause}")
    for name, why in {**found.unlisted, **found.wrong}.items():
        print(f"{name}: {why}")
    for name in found.needless:
        print(f"{name} is listed as left out, but passes")
    print(found.line)
    return 1 if found.unlisted or found.needless or found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
