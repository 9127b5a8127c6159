"""Data from files to batches: readers, manifest, letterbox, split, one data module. Knows no task."""
