"""The kernel language: grammar, syntax tree and the library of kernel files. What a kernel means is in passes/lower."""
