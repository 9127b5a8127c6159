"""Audits before training: suspicious things flagged with image and row; none stops the training."""
