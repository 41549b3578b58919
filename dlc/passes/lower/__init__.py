"""Graph level to loop level: kernels are elaborated from the kernel language, scheduled, and called from `main`."""
