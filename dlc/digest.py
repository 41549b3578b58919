"""BLAKE2, by which contents are told apart.

Python's `hashlib` brings OpenSSL in, which takes longer to load than a tenth of our own modules; the function is in a
module of its own.
"""

try:
    from _blake2 import blake2b
except ImportError:  # a Python that is built otherwise
    from hashlib import blake2b

__all__ = ["blake2b"]
