"""The same folders and models as for the tests of the command."""

from tests.cli.conftest import conv, folder, relu, relu_library

__all__ = ["conv", "folder", "relu", "relu_library"]
