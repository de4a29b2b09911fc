"""The class of all errors that picograd raises on purpose."""

from __future__ import annotations


class PicogradError(Exception):
    """Base of all errors that picograd raises on purpose.

    `code`, such as PG103, names the situation: `picograd explain PG103` and docs/errors.md tell
    more about it. `message` is one sentence; `expected`, `found` and `hint` (what to do) are
    phrases; `where` names the op, pass or source line. Absent parts are empty strings, the code
    too: passes of the user's own may raise errors that the catalogue does not know.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        expected: object = "",
        found: object = "",
        hint: str = "",
        where: object = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.expected = str(expected)
        self.found = str(found)
        self.hint = hint
        self.where = "" if where is None else str(where)

    def __str__(self) -> str:
        parts = [
            ("expected", self.expected),
            ("found", self.found),
            ("help", self.hint),
            ("at", self.where),
        ]
        lines = [f"  {name + ':':<10}{text}" for name, text in parts if text]
        return "\n".join([f"[{self.code}] {self.message}" if self.code else self.message, *lines])
