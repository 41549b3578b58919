"""ELF shared libraries without a toolchain: read LLVM's objects, link them, append the weights, write the file."""
