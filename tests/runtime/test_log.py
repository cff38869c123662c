"""The log: one line per event, without secrets and complete phone numbers."""

import io
import json
import logging
import sys

from callreel.runtime.log import JsonLines, Masking, TextLines, add_leg_to_log_lines, mask_numbers


def logged(formatter: logging.Formatter, message: str, *args: object, **extra: object) -> str:
    """What a handler with `formatter` writes for one record."""
    stream = io.StringIO()
    logger = logging.Logger("callreel.test")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.warning(message, *args, extra=extra)
    return stream.getvalue()


def test_a_json_line_is_one_object_with_its_extra_fields() -> None:
    text = logged(JsonLines(), "stream %s\nended", "one", call_id="abc", leg_sid="CA1")
    assert text.count("\n") == 1
    line = json.loads(text)
    assert line["message"] == "stream one\nended"
    assert (line["level"], line["logger"]) == ("warning", "callreel.test")
    assert (line["call_id"], line["leg_sid"]) == ("abc", "CA1")
    assert line["time"].endswith("+00:00")


def test_a_text_line_carries_its_extra_fields() -> None:
    assert logged(TextLines(), "ended", call_id="abc").endswith(" warning callreel.test: ended call_id=abc\n")


def test_phone_numbers_lose_all_but_their_last_two_digits() -> None:
    assert mask_numbers("from +15551234567 to %2B4930123456") == "from +*********67 to %2B********56"
    assert mask_numbers("+1234567 and 15551234567") == "+1234567 and 15551234567"


def test_numbers_and_secrets_are_masked_everywhere() -> None:
    formatter = Masking(JsonLines(), ["very-secret"])
    try:
        raise ValueError("very-secret of +15551234567")
    except ValueError:
        text = logged(formatter, "%s %s", "very-secret", "+15551234567", number="+15551234567")
        record = logging.LogRecord("a", logging.ERROR, "", 0, "failed", None, sys.exc_info())
        text += formatter.format(record)
    assert "very-secret" not in text
    assert "5551234" not in text
    assert "ValueError: ********" in text


def test_a_short_secret_does_not_blot_out_ordinary_text() -> None:
    assert "callreel.test" in logged(Masking(TextLines(), ["call"]), "hello")


def test_every_line_of_a_call_names_its_leg() -> None:
    add_leg_to_log_lines("abc1", "CA77")
    assert json.loads(logged(JsonLines(), "ended", call_id="abc1"))["leg_sid"] == "CA77"
    assert logged(TextLines(), "ended", call_id="abc1").endswith(" call_id=abc1 leg_sid=CA77\n")
    assert json.loads(logged(JsonLines(), "ended", call_id="abc1", leg_sid="CA78"))["leg_sid"] == "CA78"
    assert "leg_sid" not in json.loads(logged(JsonLines(), "ended", call_id="abc2"))
    for number in range(10_000):
        add_leg_to_log_lines(f"x{number}", "CA1")
    assert "leg_sid" not in json.loads(logged(JsonLines(), "ended", call_id="abc1")), "bounded"
