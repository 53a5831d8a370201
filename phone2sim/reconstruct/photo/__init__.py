"""A single photo → a metric 2.5D scene: its depth, its support plane, and a splat of what it shows."""
