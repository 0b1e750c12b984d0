"""Calls of Slack's Web API, whose refusals are errors that the outbox understands."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backbeat.errors import InvalidData, NotFound, Overloaded, Refused, UnmetNeed, Unreachable
from backbeat.notify.channel import Credentials, needed
from backbeat.notify.settings import SlackPlan

if TYPE_CHECKING:
    from slack_sdk import WebClient

__all__ = ["asked", "web_client"]

_SECONDS = 10
_THIS_MACHINE = {"127.0.0.1", "::1", "localhost"}
_LONGEST_WAIT = 3600.0
_STRANGERS = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
              "missing_scope", "no_permission", "not_allowed_token_type", "access_denied",
              "restricted_action", "ekm_access_denied"}  # fmt: skip
_NOWHERE = {"channel_not_found", "not_in_channel", "is_archived", "user_not_found",
            "message_not_found", "cant_update_message", "cannot_dm_bot"}  # fmt: skip
_PASSING = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable",
            "request_timeout", "team_added_to_org"}  # fmt: skip


def web_client(plan: SlackPlan, credentials: Credentials) -> WebClient:
    """Slack's client with the bot's token, read anew.

    Raises:
        UnmetNeed: slack-sdk is not installed, or there is no token.
        InvalidData: The API's address would show the token to the network.
    """
    if find_spec("slack_sdk") is None:
        raise UnmetNeed("this channel needs Slack's SDK", hint='pip install "backbeat[slack]"')
    from slack_sdk import WebClient

    parts = urlsplit(plan.api)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _THIS_MACHINE):
        raise InvalidData(
            "the Slack API's address would show the token to the network",
            hint="leave `api` out, or write https://slack-gov.com/api/",
        )
    name = plan.credentials
    token = needed(credentials(name), "bot_token", name=name)
    return WebClient(token=token, base_url=plan.api, timeout=_SECONDS)


def asked(call: Any, **arguments: Any) -> Mapping[str, Any]:
    """Call one method of the API.

    Raises:
        Overloaded: Too many calls (429), with what Retry-After says.
        Unreachable: No answer, or Slack has a problem of its own.
        Refused: The token is not, or no longer, good for this.
        NotFound: There is no such conversation, person or message.
        InvalidData: Slack does not take this at all.
    """
    from slack_sdk.errors import SlackApiError, SlackClientError

    try:
        answer: Mapping[str, Any] = call(**arguments).data
    except SlackApiError as error:
        raise _error(error) from None
    except (SlackClientError, OSError, ValueError) as error:
        # urllib's own, and a body that is no JSON; their words may hold the address with its token
        raise Unreachable(
            f"Slack did not answer ({type(error).__name__})",
            hint="check that this host may reach Slack",
        ) from None
    return answer


def _error(error: Any) -> Exception:
    answer = error.response
    status = int(getattr(answer, "status_code", 0) or 0)
    data = answer.data if isinstance(getattr(answer, "data", None), dict) else {}
    code = str(data.get("error") or "")
    code = code if code.replace("_", "").isalnum() and code.isascii() else f"status {status}"
    said = f"Slack answers {code}"
    if status == 429 or code in {"ratelimited", "rate_limited"}:  # noqa: PLR2004 - Too Many Requests
        return Overloaded(said, hint="wait", retry_after=_pause(answer))
    if status >= 500 or code in _PASSING:  # noqa: PLR2004 - HTTP's ranges
        return Unreachable(said, hint="see status.slack.com")
    if code in _STRANGERS:
        return Refused(said, hint="check the app's tokens and scopes: chat:write, im:write")
    if code in _NOWHERE:
        return NotFound(said, hint="invite the bot into the channel; give its id, not its name")
    return InvalidData(said, hint="see docs.slack.dev for what it means")


def _pause(answer: Any) -> float:
    headers = {name.lower(): value for name, value in (answer.headers or {}).items()}
    found = str(headers.get("retry-after", ""))
    return min(float(found), _LONGEST_WAIT) if found.isascii() and found.isdigit() else 1.0
