"""A trained task on images of which nothing else is known: files -> frames -> answers -> a folder of results."""
