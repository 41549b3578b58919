"""Loop level to LLVM IR text: `emit_kernel` writes one function, `emit_main` the calls of a model."""
