"""Readers of data sets, one file each: from the layout on disk to a `Source`."""
