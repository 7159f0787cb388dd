"""What stands in a Secret, and what can be wrong with it. No message holds any of it."""

from collections.abc import Mapping

from idp.objects.verdicts import NOT_FOUND, BadSecret, GoodSecret, SecretNeed, SecretReading
from idp.settings.fields import trimmed


def found_in(entries: Mapping[str, bytes], need: SecretNeed) -> SecretReading:
    """Return what an object needs of a Secret that was read."""
    value = entries.get(need.key)
    if need.is_generated and entries.get("clientID") != need.client_id.encode():
        return BadSecret(
            "SecretOfAnother",
            f"The Secret `{need.name}` was made for another client id. Delete it, and a new one is"
            " made; or name a Secret of your own in spec.secretRef.",
        )
    if not value:
        remedy = "Delete it, and a new one is made." if need.is_generated else "Add it."
        state = "has no entry" if value is None else "has nothing in the entry"
        text = f"The Secret `{need.name}` {state} `{need.key}`. {remedy}"
        return BadSecret("SecretIncomplete", text)
    where = f"The entry `{need.key}` of the Secret `{need.name}`"
    return GoodSecret(value, where, entries.get(need.previous_key) or None)


def not_found(need: SecretNeed) -> BadSecret:
    """Return what to say of a Secret that is not there."""
    if need.is_generated:
        return BadSecret(
            NOT_FOUND,
            f"The Secret `{need.name}` is about to be made; if it does not come, the events of this"
            " object say why.",
        )
    return BadSecret(
        NOT_FOUND,
        f"There is no Secret `{need.name}` in this namespace. Create it with the entry"
        f" `{need.key}`, or correct {need.field}.",
    )


def forbidden(need: SecretNeed, explanation: str) -> BadSecret:
    """Return what to say of a Secret that the server may not read; it is told which rule lacks."""
    text = f"The Secret `{need.name}` cannot be read. {explanation.rstrip('.')}."
    return BadSecret("SecretForbidden", text)


def no_answer(need: SecretNeed, explanation: str) -> BadSecret:
    """Return what to say of a Secret that the store does not give, though it is not away."""
    text = f"The Secret `{need.name}` cannot be read just now. {explanation.rstrip('.')}."
    return BadSecret("SecretUnavailable", text)


def text_of(secret: SecretReading) -> str | BadSecret:
    """Return a secret as the text that people type."""
    if isinstance(secret, BadSecret):
        return secret
    try:
        return trimmed(secret.value.decode())
    except UnicodeDecodeError:
        return unusable(secret, "is not text in UTF-8; write it as text")
    except ValueError as error:
        return unusable(secret, f"{error} (`printf %s` writes no line break, where `echo` does)")


def previous_text_of(secret: GoodSecret, need: SecretNeed) -> str | BadSecret | None:
    """Return the secret that counts too while the other replaces it, None where there is none."""
    if secret.previous is None:
        return None
    where = f"The entry `{need.previous_key}` of the Secret `{need.name}`"
    return text_of(GoodSecret(secret.previous, where))


def unusable(secret: GoodSecret, problem: str) -> BadSecret:
    """Return what to say of a value that cannot be used; `problem` continues a sentence."""
    return BadSecret("SecretUnusable", f"{secret.where} {problem}.")
