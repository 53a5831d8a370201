"""Phone capture → cameras, metric scale and gravity, Gaussian splat."""
