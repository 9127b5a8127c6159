"""An audit of results tables: numbers that contradict each other, and wins that chance explains."""
