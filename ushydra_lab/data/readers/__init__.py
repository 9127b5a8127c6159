"""One file per data set: its layout on disk -> a Source."""
