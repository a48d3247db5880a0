"""The embedded, Slack-compatible workspace: try and test the app without an account or a network.

``Workspace`` is the server; ``Person`` plays someone who uses it. A slack_sdk or slack_bolt app talks to
it with ``base_url=workspace.api_url``; a human opens ``workspace.page_url``. It obeys and enforces
Slack's documented limits, so what works here works there. It knows nothing of the product.

- `server` wires the parts and runs them; `model` is what it holds; `limits` and `errors` are Slack's.
- The app's side: `web_api` with `params`, `chat_methods`, `file_methods`, `team_methods`, `view_methods`; `payloads`
  and `delivery`: what it is sent, and how.
- The person's side: `person_api` (the page, kept fresh by `live`), `person` (a program that plays one), `interactions`,
  `elements`, `readable`.
- Both: `posting` (messages), `views` (dialogs, Home), `tickets` (permissions for a moment), `faults` (a bad day of
  Slack's), `security`.
"""

from .errors import AppNotRespondingError, WorkspaceError
from .faults import ApiCall
from .model import Shortcut, User, UserGroup
from .person import Person
from .server import Workspace

__all__ = [
    "ApiCall",
    "AppNotRespondingError",
    "Person",
    "Shortcut",
    "User",
    "UserGroup",
    "Workspace",
    "WorkspaceError",
]
