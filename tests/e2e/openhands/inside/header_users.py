"""The user is whoever the request's header names."""

from dataclasses import dataclass

from openhands.server.user_auth.default_user_auth import DefaultUserAuth

HEADER = "X-Test-User"


@dataclass
class HeaderUsers(DefaultUserAuth):
    user_id: str | None = None

    async def get_user_id(self):
        return self.user_id

    @classmethod
    async def get_instance(cls, request):
        return cls(user_id=request.headers.get(HEADER))

    @classmethod
    async def get_for_user(cls, user_id):
        return cls(user_id=user_id)
