"""Splat training on other machinery than the C++ kernels: gsplat on CUDA, nerfstudio in its own environment."""
