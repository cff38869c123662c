"""Settings: precedence, validation, and error lines without secrets."""

from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import SecretStr

from callreel.domain.errors import SettingsError
from callreel.settings import Settings, check, describe, env_names, load_settings

SID = "AC" + "0" * 32
KEY = "SK" + "1" * 32


def refused(environ: dict[str, str], folder: Path, toml: str | None = None) -> str:
    """The error message for these settings."""
    if toml is not None:
        (folder / "callreel.toml").write_text(toml, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(environ=environ, cwd=folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_apply_and_folders_are_absolute(tmp_path: Path) -> None:
    settings = load_settings(environ={}, cwd=tmp_path)
    assert settings.data_dir == tmp_path / "callreel-data"
    assert settings.app_database_url == f"sqlite:///{tmp_path}/callreel-data/app.db"
    assert settings.durable_database_url == f"sqlite:///{tmp_path}/callreel-data/stages.db"
    assert settings.objects_dir == settings.data_dir
    assert settings.stream_url == "wss://localhost:8000/twilio/media-stream"
    assert settings.recording_trim == "do-not-trim"
    assert {line.source for line in describe(settings)} == {"default"}


def test_command_line_beats_environment_beats_file(tmp_path: Path) -> None:
    (tmp_path / "callreel.toml").write_text('port = 1\nhost = "h1"\nagent_name = "a1"\n', encoding="utf-8")
    environ = {"CALLREEL_PORT": "2", "CALLREEL_HOST": "h2"}
    settings = load_settings({"port": 3, "host": None}, environ, tmp_path)
    assert (settings.port, settings.host, settings.agent_name, settings.technician_name) == (
        3,
        "h2",
        "a1",
        "technician",
    )
    sources = {line.name: line.source for line in describe(settings)}
    assert sources["port"] == "command line"
    assert sources["host"] == "environment"
    assert sources["agent_name"] == "callreel.toml"
    assert sources["technician_name"] == "default"


def test_default_public_address_follows_the_port(tmp_path: Path) -> None:
    assert load_settings({"port": 8077}, {}, tmp_path).public_url == "http://localhost:8077"
    assert "CALLREEL_PORT" in refused({"CALLREEL_PORT": "0"}, tmp_path)


def test_every_setting_belongs_to_one_section() -> None:
    sections = [line.section for line in describe(Settings())]
    assert sections[0] == "Storage"
    assert len(set(sections)) == len([1 for before, after in pairwise(["", *sections]) if before != after])


@pytest.mark.parametrize("variable", env_names("api_key_secret"))
def test_a_credential_has_the_carriers_name_and_ours(variable: str, tmp_path: Path) -> None:
    settings = load_settings(environ={"TWILIO_API_KEY_SID": KEY, variable: "a-secret"}, cwd=tmp_path)
    assert settings.api_key_secret == SecretStr("a-secret")


def test_carriers_name_wins_over_ours(tmp_path: Path) -> None:
    environ = {"CALLREEL_CALLER_ID": "+12025550100", "TWILIO_PHONE_NUMBER": "+12025550199"}
    assert load_settings(environ=environ, cwd=tmp_path).caller_id == "+12025550199"


def test_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert load_settings(environ={"CALLREEL_PORT": ""}, cwd=tmp_path).port == 8000


def test_lists_are_words_or_toml_lists(tmp_path: Path) -> None:
    (tmp_path / "callreel.toml").write_text('dial_prefixes = ["+1415", "+49"]\n', encoding="utf-8")
    environ = {"CALLREEL_DIAL_COUNTRIES": "us, de", "CALLREEL_RECORDING_EVENTS": "completed absent"}
    settings = load_settings(environ=environ, cwd=tmp_path)
    assert settings.dial_prefixes == ("+1415", "+49")
    assert settings.dial_countries == ("US", "DE")
    assert settings.recording_events == ("completed", "absent")


def test_shared_keys_are_pairs_or_a_toml_table(tmp_path: Path) -> None:
    pairs = load_settings(environ={"CALLREEL_SHARED_KEYS": "one=s1, two=s=2"}, cwd=tmp_path)
    (tmp_path / "callreel.toml").write_text('[shared_keys]\none = "s1"\ntwo = "s=2"\n', encoding="utf-8")
    table = load_settings(environ={}, cwd=tmp_path)
    assert pairs.shared_keys == table.shared_keys == {"one": SecretStr("s1"), "two": SecretStr("s=2")}


def test_file_accepts_field_and_variable_names(tmp_path: Path) -> None:
    for key in ("account_sid", "twilio_account_sid"):
        (tmp_path / "callreel.toml").write_text(f'{key} = "{SID}"\n', encoding="utf-8")
        assert load_settings(environ={}, cwd=tmp_path).account_sid == SID


def test_callreel_config_replaces_the_default_file(tmp_path: Path) -> None:
    (tmp_path / "callreel.toml").write_text("port = 1\n", encoding="utf-8")
    (tmp_path / "other.toml").write_text("port = 2\n", encoding="utf-8")
    settings = load_settings(environ={"CALLREEL_CONFIG": "other.toml"}, cwd=tmp_path)
    assert settings.port == 2
    assert {line.source for line in describe(settings)} == {"default", "other.toml"}


def test_unknown_variable_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    message = refused({"CALLREEL_DATADIR": "x"}, tmp_path)
    assert message == "CALLREEL_DATADIR is not a setting; did you mean CALLREEL_DATA_DIR?"


def test_unknown_variable_without_a_near_one_names_the_list(tmp_path: Path) -> None:
    message = refused({"CALLREEL_COLOR": "x"}, tmp_path)
    assert message == "CALLREEL_COLOR is not a setting; docs/settings.md lists all settings"


def test_foreign_and_test_variables_are_ignored(tmp_path: Path) -> None:
    environ = {"TWILIO_REGION": "ie1", "CALLREEL_TEST_CHROMIUM": "x", "CALLREEL_DEBUG": "1", "HOME": "/"}
    assert load_settings(environ=environ, cwd=tmp_path).port == 8000


def test_unknown_file_key_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    message = refused({}, tmp_path, "dat_dir = 'x'\n")
    assert message == "dat_dir in callreel.toml is not a setting; did you mean data_dir?"


@pytest.mark.parametrize(
    ("environ", "expected", "came"),
    [
        ({"CALLREEL_PORT": "many"}, "should be a valid integer", "'many'"),
        ({"CALLREEL_PORT": "0"}, "greater than or equal to 1", "'0'"),
        ({"CALLREEL_BLOCK_MS": "2000"}, "less than or equal to", "'2000'"),
        (
            {"CALLREEL_ENGINE": "siri"},
            "auto, faster-whisper, openai or python:your.module",
            "'siri'",
        ),
        ({"CALLREEL_RECORDING_EVENTS": "begun"}, "'in-progress', 'completed' or 'absent'", "'begun'"),
        ({"CALLREEL_TRUSTED_PROXIES": "10.0.0.5/8"}, "IP addresses or networks", "10.0.0.5/8"),
        ({"CALLREEL_PUBLIC_URL": "http://calls.example.com"}, "https://", "'http://calls.example.com'"),
        (
            {"CALLREEL_PUBLIC_URL": "calls.example.com"},
            "a web address such as https://",
            "'calls.example.com'",
        ),
        ({"CALLREEL_PUBLIC_URL": "https://calls.example.com/?a=b"}, "without user name, query", "?a=b"),
        (
            {"CALLREEL_DATABASE_URL": "mysql://db/calls"},
            "sqlite:///path/to/file.db or postgresql://",
            "mysql://",
        ),
        ({"CALLREEL_OBJECT_STORE_URL": "ftp://calls"}, "s3://bucket/prefix", "'ftp://calls'"),
        ({"CALLREEL_OBJECT_STORE_OPTIONS": "endpoint"}, "name=value pairs", "endpoint"),
        ({"TWILIO_ACCOUNT_SID": "me"}, "AC and 32 hex digits", "'me'"),
        ({"TWILIO_PHONE_NUMBER": "5551234567"}, "+15551234567", "'5551234567'"),
        ({"CALLREEL_DIAL_COUNTRIES": "USA"}, "country codes of two letters", "USA"),
        ({"CALLREEL_DIAL_PREFIXES": "0041"}, "+1415,+49", "0041"),
        ({"CALLREEL_ACCESS_TOKEN_TTL_S": "9"}, "greater than or equal to 60", "'9'"),
        (
            {"CALLREEL_SOFTPHONE_SIGNALLING_ADDRESS": "calls.example.com:1"},
            "a loopback address and a port",
            "calls.example.com",
        ),
        (
            {"CALLREEL_SOFTPHONE_SIGNALLING_ADDRESS": "127.0.0.1"},
            "a loopback address and a port",
            "'127.0.0.1'",
        ),
        (
            {"CALLREEL_SOFTPHONE_SIGNALLING_ADDRESS": "localhost:1/x"},
            "a loopback address and a port",
            "'localhost:1/x'",
        ),
        ({"CALLREEL_CALLBACK_RETRY_POLICY": "always"}, "all, or a list of", "'always'"),
    ],
)
def test_invalid_value_error_names_setting_and_expectation(
    environ: dict[str, str], expected: str, came: str, tmp_path: Path
) -> None:
    message = refused(environ, tmp_path)
    assert message.startswith(f"{next(iter(environ))} (environment) should")
    assert expected in message
    assert came in message
    assert "remove it" in message


def test_invalid_file_value_is_named_by_its_file_key(tmp_path: Path) -> None:
    assert refused({}, tmp_path, 'port = "x"\n').startswith("port (callreel.toml) should be a valid integer")


def test_errors_contain_no_secret(tmp_path: Path) -> None:
    assert "hush" not in refused({"CALLREEL_SHARED_KEYS": "hush-hush"}, tmp_path)
    assert "hush" not in refused({"CALLREEL_DATABASE_URL": "mysql://user:hush@db/calls"}, tmp_path)


def test_invalid_toml_is_reported_in_one_line(tmp_path: Path) -> None:
    assert "not valid TOML" in refused({}, tmp_path, "port = \n")


def test_missing_config_file_is_reported_in_one_line(tmp_path: Path) -> None:
    message = refused({"CALLREEL_CONFIG": "nowhere.toml"}, tmp_path)
    assert "nowhere.toml" in message
    assert "which is not a file" in message


def test_api_key_without_secret_is_refused(tmp_path: Path) -> None:
    assert "should be set together" in refused({"TWILIO_API_KEY_SID": KEY}, tmp_path)


def test_reversed_vad_thresholds_are_refused(tmp_path: Path) -> None:
    assert "CALLREEL_VAD_OFF_THRESHOLD" in refused({"CALLREEL_VAD_ON_THRESHOLD": "0.2"}, tmp_path)


def test_one_sided_dual_channel_recording_is_refused() -> None:
    check(Settings())
    check(Settings(recording_track="inbound", recording_channels="mono"))
    with pytest.raises(SettingsError, match="always mono"):
        check(Settings(recording_track="inbound"))
    check(Settings(recording_track="inbound", record=False))


def test_describe_lists_every_setting_without_secrets(tmp_path: Path) -> None:
    environ = {
        "TWILIO_AUTH_TOKEN": "hush-1",
        "TWILIO_API_KEY_SID": KEY,
        "TWILIO_API_KEY_SECRET": "hush-2",
        "OPENAI_API_KEY": "hush-3",
        "CALLREEL_SHARED_KEYS": "mine=hush-4",
        "CALLREEL_DATABASE_URL": "postgresql://me:hush-5@db/calls",
    }
    settings = load_settings(environ=environ, cwd=tmp_path)
    lines = describe(settings)
    assert [line.name for line in lines] == list(Settings.model_fields)
    assert all(line.meaning.endswith(".") for line in lines)
    shown = " ".join(line.value_shown for line in lines) + repr(
        settings.model_copy(update={"database_url": None})
    )
    assert "hush" not in shown
    assert set(settings.secrets) == {f"hush-{number}" for number in range(1, 6)}


def test_trailing_slash_of_the_public_url_is_removed() -> None:
    settings = Settings(public_url="https://calls.example.com/reel/")
    assert settings.url("/twilio/voice") == "https://calls.example.com/reel/twilio/voice"
    assert settings.stream_url == "wss://calls.example.com/reel/twilio/media-stream"


def test_file_url_sets_the_object_folder() -> None:
    assert Settings(object_store_url="file:///srv/my%20calls").objects_dir == Path("/srv/my calls")


def test_data_folder_is_the_spool_of_an_object_store() -> None:
    assert Settings(object_store_url="s3://calls/here", data_dir=Path("/srv/reel")).objects_dir == Path(
        "/srv/reel"
    )


@pytest.mark.parametrize("content", [None, "code,name\nDE,Germany\n"])
def test_unusable_table_of_jurisdictions_is_a_clear_error(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "places.csv"
    if content:
        path.write_text(content)
    settings = load_settings(environ={"CALLREEL_CONSENT_JURISDICTIONS": str(path)}, cwd=tmp_path)
    with pytest.raises(SettingsError, match="jurisdictions"):
        _ = settings.jurisdictions
    included = load_settings(environ={}, cwd=tmp_path).jurisdictions
    assert {"US-CA", "DE"} <= {place.code for place in included}


LOCAL_MODEL = {
    "CALLREEL_LANGUAGE_MODEL_URL": "http://127.0.0.1:11434/v1/",
    "CALLREEL_LANGUAGE_MODEL": "qwen3:8b",
}
REMOTE_MODEL = {**LOCAL_MODEL, "CALLREEL_LANGUAGE_MODEL_URL": "https://api.example.com/v1"}


def test_text_is_sent_to_another_machine_only_with_consent(tmp_path: Path) -> None:
    local = load_settings(environ=LOCAL_MODEL, cwd=tmp_path)
    assert local.language_model_is_here and local.language_model_url == "http://127.0.0.1:11434/v1"
    assert "ALLOW_REMOTE does not allow" in refused(REMOTE_MODEL, tmp_path)
    for host in ("10.0.0.5", "127.0.0.1.example.com", "localhost.example.com", "0.0.0.0"):
        elsewhere = {**LOCAL_MODEL, "CALLREEL_LANGUAGE_MODEL_URL": f"http://{host}/v1"}
        assert "ALLOW_REMOTE does not allow" in refused(elsewhere, tmp_path)
    consent = {**REMOTE_MODEL, "CALLREEL_LANGUAGE_MODEL_ALLOW_REMOTE": "true"}
    assert not load_settings(environ=consent, cwd=tmp_path).language_model_is_here


def test_language_model_needs_a_name_and_an_address(tmp_path: Path) -> None:
    assert load_settings(environ={}, cwd=tmp_path).language_model_url is None
    url = {"CALLREEL_LANGUAGE_MODEL_URL": "http://localhost/v1"}
    assert "CALLREEL_LANGUAGE_MODEL should be set with" in refused(url, tmp_path)
    with_password = {**LOCAL_MODEL, "CALLREEL_LANGUAGE_MODEL_URL": "http://me:secret@localhost/v1"}
    assert "without user name" in refused(with_password, tmp_path)
    key = {**LOCAL_MODEL, "CALLREEL_LANGUAGE_MODEL_KEY": "sk-hidden"}
    assert "sk-hidden" in load_settings(environ=key, cwd=tmp_path).secrets, "the log hides it"


MAIL = {
    "CALLREEL_SMTP_HOST": "smtp.example.com",
    "CALLREEL_SMTP_FROM": "callreel@example.com",
    "CALLREEL_REPORT_RECIPIENTS": "lead@example.com, chief@example.com lead@example.com",
}


def test_mail_settings_are_complete_or_absent(tmp_path: Path) -> None:
    settings = load_settings(environ=MAIL, cwd=tmp_path)
    assert settings.report_recipients == ("lead@example.com", "chief@example.com")
    assert (settings.smtp_port, settings.smtp_tls) == (587, "starttls")
    for name in MAIL:
        given = {key: value for key, value in MAIL.items() if key != name}
        assert "should be set together" in refused(given, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CALLREEL_SMTP_FROM", "Callreel <a@b.example>", "should be a mail address"),
        ("CALLREEL_SMTP_FROM", "a@b.example\r\nBcc: c@d.example", "should be a mail address"),
        ("CALLREEL_REPORT_RECIPIENTS", "lead@example.com;chief@example.com", "should be mail addresses"),
        ("CALLREEL_REPORT_RECIPIENTS", "<lead@example.com>", "should be mail addresses"),
        ("CALLREEL_SMTP_HOST", "smtp.example.com:587", "should be a host name"),
        ("CALLREEL_REPORT_ZONE", "Mars", "should be a time zone"),
        ("CALLREEL_SMTP_USER", "callreel", "CALLREEL_SMTP_USER and CALLREEL_SMTP_PASSWORD should be set together"),
    ],
)  # fmt: skip
def test_wrong_mail_settings_are_refused(name: str, value: str, expected: str, tmp_path: Path) -> None:
    assert expected in refused({**MAIL, name: value}, tmp_path)


def test_password_is_sent_to_another_machine_only_encrypted(tmp_path: Path) -> None:
    signs_in = {
        **MAIL,
        "CALLREEL_SMTP_USER": "callreel",
        "CALLREEL_SMTP_PASSWORD": "s3cret",
        "CALLREEL_SMTP_TLS": "off",
    }
    message = refused(signs_in, tmp_path)
    assert "CALLREEL_SMTP_TLS may be off only" in message and "s3cret" not in message
    here = load_settings(environ={**signs_in, "CALLREEL_SMTP_HOST": "127.0.0.1"}, cwd=tmp_path)
    assert "s3cret" in here.secrets and "s3cret" not in repr(here) + str(describe(here))
