"""The surface of a trained splat: depth of every view fused into one mesh of the whole scene."""
