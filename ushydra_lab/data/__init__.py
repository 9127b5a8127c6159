"""From files to batches: manifest, letterbox, split, one datamodule. Knows no task."""
