"""The problem of one image of an export."""


class ExportProblem(Exception):
    """Why a part of an export cannot be used, for the listing of all problems."""
