"""Web API: ``files.*``, in the three steps of Slack's external upload."""

from __future__ import annotations

import mimetypes
import secrets
import time
from collections.abc import Callable, Mapping

from .errors import SlackError
from .model import BOT_USER_ID, Channel, File, Json, State
from .params import Params
from .payloads import Payloads
from .posting import Draft, Posting

Handler = Callable[[Params], Json]
MAX_FILE_BYTES = 100_000_000


class FileMethods:
    """Uploads: announce a file, send its bytes to the upload URL, then complete and share it."""

    def __init__(self, state: State, payloads: Payloads, posting: Posting) -> None:
        self._state = state
        self._payloads = payloads
        self._posting = posting

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "files.getUploadURLExternal": self.upload_url,
            "files.completeUploadExternal": self.complete,
            "files.info": self.info,
            "files.delete": self.delete,
        }

    def upload_url(self, params: Params) -> Json:
        length = params.integer("length", 0)
        if not 0 < length <= MAX_FILE_BYTES:
            raise SlackError("invalid_arguments", [f"[ERROR] length must be 1 to {MAX_FILE_BYTES} bytes"])
        file = self.create(params.required("filename"), BOT_USER_ID, params.text("alt_txt") or "")
        return {
            "upload_url": f"{self._payloads.addresses.origin}/upload/v1/{file.upload_token}",
            "file_id": file.id,
        }

    def create(self, name: str, user: str, alt_text: str = "") -> File:
        """Make room for a file whose bytes are still to come."""
        safe_name = name.replace("/", "_").replace("\\", "_")
        file = File(
            id=self._state.new_id("F"),
            name=safe_name,
            title=safe_name,
            mimetype=mimetypes.guess_type(safe_name)[0] or "application/octet-stream",
            user=user,
            created=int(time.time()),
            alt_text=alt_text,
            upload_token=secrets.token_urlsafe(24),
        )
        self._state.files[file.id] = file
        return file

    def receive(self, token: str, content: bytes) -> File:
        """Take the bytes that were sent to an upload URL."""
        for file in self._state.files.values():
            if secrets.compare_digest(file.upload_token.encode(), token.encode()) and file.content is None:
                file.content = content
                return file
        raise SlackError("file_not_found")

    def complete(self, params: Params) -> Json:
        wanted = params.parsed("files")
        if not isinstance(wanted, list) or not wanted:
            raise SlackError("invalid_arguments", ["[ERROR] files must be a list of {id, title}"])
        files = [self._uploaded(item) for item in wanted]
        destinations = [params.text("channel_id") or "", *params.names("channels")]
        channels = [self._shareable(name) for name in dict.fromkeys(destinations) if name]
        for file, item in zip(files, wanted, strict=True):
            file.title = item.get("title") or file.name
        for channel in channels:
            draft = Draft(
                text=params.text("initial_comment") or "",
                thread_ts=params.text("thread_ts") or None,
                files=tuple(file.id for file in files),
            )
            self._posting.post(BOT_USER_ID, channel, draft)
        for file in files:
            file.completed = True
            file.channels += [channel.id for channel in channels]
        return {"files": [self._payloads.file(file) for file in files]}

    def info(self, params: Params) -> Json:
        return {"file": self._payloads.file(self.completed(params.required("file")))}

    def delete(self, params: Params) -> Json:
        file = self.completed(params.required("file"))
        if file.user != BOT_USER_ID:
            raise SlackError("cant_delete_file")
        del self._state.files[file.id]
        for channel in self._state.channels.values():
            for message in channel.messages.values():
                if file.id in message.files:
                    message.files.remove(file.id)
        self._state.on_change()
        return {}

    def completed(self, file_id: str) -> File:
        file = self._state.files.get(file_id)
        if file is None or not file.completed:
            raise SlackError("file_not_found")
        return file

    def _uploaded(self, item: object) -> File:
        file = self._state.files.get(str(item.get("id"))) if isinstance(item, dict) else None
        if file is None or file.content is None or file.completed:
            raise SlackError("file_not_found")
        return file

    def _shareable(self, reference: str) -> Channel:
        if reference not in self._state.channels:
            raise SlackError("channel_not_found")  # an upload takes channel ids only, no names
        channel = self._state.channels[reference]
        if BOT_USER_ID not in channel.members:
            raise SlackError("not_in_channel")
        return channel
