"""What the benchmarks of scene understanding (NYUv2, Cityscapes) have in common: all but the sets themselves."""
