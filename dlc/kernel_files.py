"""Where the operator library lies: `kernels/` of a source tree, or its copy inside an installed wheel."""

from pathlib import Path

from dlc.errors import InternalError

PACKAGE = Path(__file__).resolve().parent
PLACES = (PACKAGE / "_kernels", PACKAGE.parent / "kernels")  # wheel (see pyproject.toml), source tree


def kernel_root() -> Path:
    """The folder of kernel files; raises when the installation lacks it."""
    found = next((place for place in PLACES if place.is_dir()), None)
    if found is None:
        raise InternalError("this installation of dlc has no kernel files")
    return found
