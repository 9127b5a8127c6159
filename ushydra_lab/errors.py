"""The one error a user is meant to read."""


class UserError(Exception):
    """Something the user can put right: the message names the file, row or key and the remedy.

    Commands print it without a traceback and exit with status 1.
    """

    @classmethod
    def listing(cls, headline: str, problems: list[str], limit: int = 50) -> "UserError":
        """All problems at once, one a line; beyond `limit` the rest are counted."""
        shown = [f"  - {problem}" for problem in problems[:limit]]
        if len(problems) > limit:
            shown.append(f"  ... and {len(problems) - limit} more")
        return cls("\n".join([headline, *shown]))
