"""Probes of the frozen encoder of a finished run: site, out-of-distribution detection and image quality from codes.

Everything is fitted on the training images' codes alone (paper 1, sections 2.5 and 3.4, appendix C.2).
"""

JSON, CSV = "probes.json", "probes.csv"
"""What the command leaves in a run's directory."""
