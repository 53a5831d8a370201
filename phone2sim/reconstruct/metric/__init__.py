"""Metric scale and gravity of a reconstruction, each with an interval and the evidence that voted for it."""

from phone2sim.reconstruct.metric.estimate import Metric, MetricConfig, decide, estimate_metric

__all__ = ["Metric", "MetricConfig", "decide", "estimate_metric"]
