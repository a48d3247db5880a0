"""The embedded, Slack-compatible workspace: try and test the app without an account or a network.

``Workspace`` is the server; ``Person`` plays someone who uses it. A slack_sdk or slack_bolt app talks to
it with ``base_url=workspace.api_url``; a human opens ``workspace.page_url``. It obeys and enforces
Slack's documented limits, so what works here works there.
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
