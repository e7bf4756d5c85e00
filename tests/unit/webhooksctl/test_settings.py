"""
Profiles and references to secrets.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from webhooksctl.settings.profiles import Profile, ProfileInvalidError, read_profile
from webhooksctl.settings.references import ReferenceInvalidError, is_reference, resolved

FILE = """
default: production
profiles:
  production:
    config_address: config.internal:50051
    dispatch_address: dispatch.internal:50052
    ca_file: ca.pem
    certificate_file: operator.pem
    key_file: operator.key
  test: {owner: accounts/7}
"""


def environment(folder: Path, content: str = FILE, **more: str) -> dict[str, str]:
    """
    Return an environment with a file of profiles.
    """
    path = folder / "profiles.yaml"
    path.write_text(content)
    return {"WEBHOOKSCTL_FILE": str(path), **more}


def test_without_settings_the_services_are_on_this_machine(tmp_path: Path) -> None:
    """
    Then there is no TLS.
    """
    found = read_profile({"XDG_CONFIG_HOME": str(tmp_path)}, {})

    assert found == Profile()
    assert not found.uses_tls


def test_flags_count_more_than_the_environment_and_that_more_than_the_file(tmp_path: Path) -> None:
    """
    Paths in the file are relative to it.
    """
    given = environment(tmp_path, WEBHOOKSCTL_OWNER="accounts/8", WEBHOOKSCTL_KEY_FILE="/k")
    found = read_profile(given, {"key_file": "mine.key", "profile": ""})

    assert found.config_address == "config.internal:50051"
    assert found.ca_file == str(tmp_path / "ca.pem")
    assert found.owner == "accounts/8"
    assert found.key_file == "mine.key"
    assert found.uses_tls


def test_a_profile_is_chosen_by_name(tmp_path: Path) -> None:
    """
    By the flag, else the environment.
    """
    chosen = environment(tmp_path, WEBHOOKSCTL_PROFILE="test")

    assert read_profile(chosen, {}).owner == "accounts/7"
    assert read_profile(chosen, {"profile": "production"}).owner == ""


@pytest.mark.parametrize(
    ("content", "more", "flags", "message"),
    [
        (FILE, {}, {"profile": "prod"}, "no profile 'prod'; there are: production, test"),
        (FILE, {"WEBHOOKSCTL_OWNERS": "1"}, {}, "WEBHOOKSCTL_OWNERS is no setting"),
        ("profiles: {a: {port: '1'}}\ndefault: a", {}, {}, "port is no setting; allowed are"),
        ("profiles: {a: {token: x}}\ndefault: a", {}, {}, "token is no setting"),
        ("profiles: {a: {owner: 7}}\ndefault: a", {}, {}, "owner must be a text"),
        ("profile: {}", {}, {}, "allowed are default and profiles"),
        ("- a", {}, {}, "must be a mapping"),
        ("a: [", {}, {}, "is no YAML"),
        (FILE, {}, {"config_address": "host"}, "config_address must be host:port"),
        (FILE, {"WEBHOOKSCTL_PROFILE": "test"}, {"key_file": "k"}, "belong together"),
    ],
)
def test_wrong_settings_are_named(
    tmp_path: Path, content: str, more: dict[str, str], flags: dict[str, str], message: str
) -> None:
    """
    The message says which setting, and what is allowed.
    """
    with pytest.raises(ProfileInvalidError, match=message):
        read_profile(environment(tmp_path, content, **more), flags)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    """
    Other than the usual one.
    """
    with pytest.raises(ProfileInvalidError, match="No such file"):
        read_profile({"WEBHOOKSCTL_FILE": str(tmp_path / "none.yaml")}, {})


@pytest.mark.parametrize(
    ("profile", "uses_tls"),
    [
        (Profile(config_address="localhost:1", dispatch_address="[::1]:2"), False),
        (Profile(config_address="config.internal:1"), True),
        (Profile(dispatch_address="10.0.0.1:1"), True),
        (Profile(token="shwt_x"), True),
        (Profile(ca_file="ca.pem"), True),
    ],
)
def test_nothing_goes_over_a_network_without_tls(profile: Profile, *, uses_tls: bool) -> None:
    """
    A token never goes without it, even on this machine.
    """
    assert profile.uses_tls is uses_tls


def test_tokens_come_from_a_file(tmp_path: Path) -> None:
    """
    Without the end of its line; a file that is not there is named.
    """
    (tmp_path / "token").write_text("shwt_x\n")

    assert Profile(token_file=str(tmp_path / "token")).bearer_token() == "shwt_x"
    with pytest.raises(ProfileInvalidError, match=r"token_file: .*none"):
        Profile(token_file=str(tmp_path / "none")).bearer_token()


def test_references_are_resolved(tmp_path: Path) -> None:
    """
    From the environment and from files; other texts are themselves.
    """
    (tmp_path / "secret").write_text("from a file\n")
    given = {"A": "from the environment"}

    assert resolved("env:A", given, tmp_path) == "from the environment"
    assert resolved("file:secret", given, tmp_path) == "from a file"
    assert resolved("plain:text", given, tmp_path) == "plain:text"
    assert is_reference("env:A")
    assert not is_reference("plain:text")
    for missing in ("env:B", "file:none"):
        with pytest.raises(ReferenceInvalidError, match=missing):
            resolved(missing, given, tmp_path)
