"""Audits of a data set before training: flags that do not block it, with the image and row of each."""
