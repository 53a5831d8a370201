"""phone2sim: a phone capture becomes a metric, physical, photoreal scene and thousands of varied robot episodes."""

__version__ = "0.1.0"
