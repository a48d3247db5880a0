"""Web API: ``views.*``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .errors import SlackError
from .limits import check_view
from .model import Json, View
from .params import Params
from .payloads import Payloads
from .tickets import Triggers
from .views import Views

Handler = Callable[[Params], Json]


class ViewMethods:
    """Modals need a fresh trigger id; the Home tab does not."""

    def __init__(
        self, views: Views, triggers: Triggers, payloads: Payloads, find: Callable[[str], View | None]
    ) -> None:
        self._views = views
        self._triggers = triggers
        self._payloads = payloads
        self._find = find

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "views.open": self.open,
            "views.push": self.push,
            "views.update": self.update,
            "views.publish": self.publish,
        }

    def open(self, params: Params) -> Json:
        definition = check_view(params.parsed("view"), "modal")
        user = self._triggers.exchange(params.required("trigger_id", "invalid_trigger_id"))
        return self._shown(self._views.open(user, definition))

    def push(self, params: Params) -> Json:
        definition = check_view(params.parsed("view"), "modal")
        user = self._triggers.exchange(params.required("trigger_id", "invalid_trigger_id"))
        return self._shown(self._views.push(user, definition))

    def update(self, params: Params) -> Json:
        reference = params.text("view_id") or params.required("external_id")
        view = self._find(reference)
        if view is None:
            raise SlackError("not_found")
        return self._shown(self._views.update(view, params.parsed("view"), params.text("hash")))

    def publish(self, params: Params) -> Json:
        user = params.required("user_id")
        return self._shown(self._views.publish(user, params.parsed("view"), params.text("hash")))

    def _shown(self, view: View) -> Json:
        return {"view": self._payloads.view(view)}
