"""Triage: whether the answer to an image is accepted, reviewed by a person, or refused, and why.

Rules on raw pixels need no training and refuse. All others compare a score with a threshold from validation images of
the training sites, fixed at the end of training and stored with the run, and send to review.
"""

from typing import Literal

Covariance = Literal["ledoit_wolf", "empirical"]
"""The estimate of the codes' covariance that Mahalanobis distances use."""
