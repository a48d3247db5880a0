"""Web API: who is who (``auth.test``, ``users.*``, ``usergroups.*``, ``team.info``, ``bots.info``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .errors import SlackError
from .model import APP_ID, BOT_ID, BOT_USER_ID, TEAM_ID, Json, State, User, UserGroup
from .params import Params
from .payloads import Payloads

Handler = Callable[[Params], Json]


class TeamMethods:
    """The people, the groups and the bot."""

    def __init__(self, state: State, payloads: Payloads) -> None:
        self._state = state
        self._payloads = payloads

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "api.test": lambda params: {"args": params.values},
            "auth.test": self.auth_test,
            "users.info": self.user_info,
            "users.list": self.users_list,
            "usergroups.list": self.groups_list,
            "usergroups.users.list": self.group_users,
            "team.info": self.team_info,
            "bots.info": self.bot_info,
        }

    def auth_test(self, params: Params) -> Json:
        return {
            "url": self._payloads.addresses.origin + "/",
            "team": self._state.name,
            "user": self._state.bot_name.lower(),
            "team_id": TEAM_ID,
            "user_id": BOT_USER_ID,
            "bot_id": BOT_ID,
            "is_enterprise_install": False,
        }

    def user_info(self, params: Params) -> Json:
        user_id = params.required("user", "user_not_found")
        return {"user": self._bot() if user_id == BOT_USER_ID else _person(self._state.user(user_id))}

    def users_list(self, params: Params) -> Json:
        people = [_person(user) for user in self._state.users.values()]
        return {"members": [*people, self._bot()], "response_metadata": {"next_cursor": ""}}

    def groups_list(self, params: Params) -> Json:
        include_users = params.flag("include_users")
        return {"usergroups": [_group(group, include_users) for group in self._state.groups.values()]}

    def group_users(self, params: Params) -> Json:
        group = self._state.groups.get(params.required("usergroup"))
        if group is None:
            raise SlackError("no_such_subteam")
        return {"users": list(group.users)}

    def team_info(self, params: Params) -> Json:
        url = self._payloads.addresses.origin + "/"
        return {"team": {"id": TEAM_ID, "name": self._state.name, "domain": "embedded", "url": url}}

    def bot_info(self, params: Params) -> Json:
        if params.text("bot") not in (None, BOT_ID):
            raise SlackError("bot_not_found")
        name = self._state.bot_name
        return {
            "bot": {
                "id": BOT_ID,
                "deleted": False,
                "name": name,
                "updated": 0,
                "app_id": APP_ID,
                "user_id": BOT_USER_ID,
                "icons": {},
            }
        }

    def _bot(self) -> Json:
        bot = User(BOT_USER_ID, self._state.bot_name.lower(), self._state.bot_name)
        return _person(bot, is_bot=True)


def _person(user: User, is_bot: bool = False) -> Json:
    return {
        "id": user.id,
        "team_id": TEAM_ID,
        "name": user.name,
        "real_name": user.real_name,
        "deleted": False,
        "tz": user.tz,
        "tz_offset": 0,
        "is_bot": is_bot,
        "is_app_user": False,
        "is_admin": False,
        "profile": {
            "real_name": user.real_name,
            "display_name": user.name,
            "title": user.title,
        },
    }


def _group(group: UserGroup, include_users: bool) -> Json:
    shown: Json = {
        "id": group.id,
        "team_id": TEAM_ID,
        "is_usergroup": True,
        "name": group.name,
        "handle": group.handle,
        "user_count": len(group.users),
    }
    return {**shown, "users": list(group.users)} if include_users else shown
