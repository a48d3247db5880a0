"""Arguments of a Web API call, from a query, a form or a JSON body."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from .errors import SlackError


class Params:
    """Reads arguments as the types that a method wants; form values are strings, JSON ones are not."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    @classmethod
    async def read(cls, request: Request) -> Params:
        """Gather query and body.

        Raises:
            SlackError: ``invalid_json`` when the body says it is JSON and is not.
        """
        values: dict[str, Any] = dict(request.query_params)
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind == "application/json":
            body = await request.body()
            if body.strip():
                try:
                    parsed = json.loads(body)
                except ValueError as error:
                    raise SlackError("invalid_json", [str(error)]) from error
                if not isinstance(parsed, dict):
                    raise SlackError("json_not_object")
                values |= parsed
        elif kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
            async with request.form() as form:
                values |= {name: value for name, value in form.items() if isinstance(value, str)}
        return cls(values)

    def text(self, name: str) -> str | None:
        """A string argument; None when it is absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, (dict, list)):
            raise SlackError("invalid_arguments", [f"[ERROR] {name} must be a string"])
        return str(value)

    def required(self, name: str, error: str = "invalid_arguments") -> str:
        """A string argument that must be there."""
        value = self.text(name)
        if not value:
            raise SlackError(error, [f"[ERROR] missing required field: {name}"])
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.values.get(name)
        return default if value is None else str(value).lower() in ("1", "true")

    def integer(self, name: str, default: int) -> int:
        value = self.values.get(name)
        if value is None:
            return default
        try:
            return int(value)
        except (TypeError, ValueError) as error:
            raise SlackError("invalid_arguments", [f"[ERROR] {name} must be a whole number"]) from error

    def parsed(self, name: str, error: str = "invalid_arguments") -> Any:
        """An argument that is JSON: as an object in a JSON body, as a string in a form."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError as failure:
            raise SlackError(error, [f"[ERROR] {name} is not valid JSON: {failure}"]) from failure

    def names(self, name: str) -> list[str]:
        """A comma-separated list (or a JSON list)."""
        value = self.values.get(name)
        if value is None:
            return []
        items = value if isinstance(value, list) else str(value).split(",")
        return [str(item).strip() for item in items if str(item).strip()]
