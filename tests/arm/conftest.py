"""The tests of this folder run code for AArch64 under qemu, or say why not."""

import pytest

from tests.support.qemu_runner import emulator


@pytest.fixture(scope="session")
def qemu() -> str:
    """The emulator; skips with what is missing."""
    return emulator("aarch64")
