"""Exports of annotation tools -> one form (`form`) -> a folder with a manifest and masks (`write`)."""
