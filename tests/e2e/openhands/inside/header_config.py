"""An OPENHANDS_CONFIG_CLS: whoever a header names is the user."""

from openhands.server.config.server_config import ServerConfig


class HeaderConfig(ServerConfig):
    # A name, because OpenHands' authentication imports what this module is imported by.
    user_auth_class = "header_users.HeaderUsers"

    def verify_config(self):
        """The one of OpenHands refuses every configuration but its own."""
