"""The configuration: composed by Hydra, validated, and from there on an `Experiment`."""
