"""`make env`: every secret generated, nothing replaced, nothing readable by others."""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import stat

import pytest
from deploy.local.commands import env
from deploy.local.errors import StackError
from deploy.local.services.trino import LOGINS

from cilake.settings import find_settings
from cilake.variables import read_variables

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def settings_in(folder):
    return read_variables((folder / ".env").read_text())


@needs_openssl
def test_everything_is_made_once_and_only_for_its_owner(tmp_path):
    written = env.write(tmp_path, {"CILAKE_HOST": "lake.example.org"})
    private = tmp_path / "deploy" / "private"
    of_trino = [f"trino/{name}" for name in ("passwords", "groups", "server.pem")]
    names = [*of_trino[:2], "sources.env", "reader.env", of_trino[2], "trino.crt"]
    assert written == [tmp_path / ".env", *(private / name for name in names)]
    assert {mode(tmp_path / ".env"), *(mode(private / name) for name in names[:-1])} == {0o600}
    assert mode(private) == 0o700
    found = [str(path.relative_to(private)) for path in private.rglob("*") if path.is_file()]
    assert sorted(found) == sorted(names)
    found = settings_in(tmp_path)
    assert set(found) == set(read_variables(env.example()))
    assert all(found.values())
    before = (tmp_path / ".env").read_bytes()
    with pytest.raises(StackError, match="exist and are kept"):
        env.write(tmp_path, {})
    assert (tmp_path / ".env").read_bytes() == before
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(private / "trino" / "server.pem")
    certificate = ssl._ssl._test_decode_cert(str(private / "trino.crt"))
    assert ("DNS", "lake.example.org") in certificate["subjectAltName"]
    assert ("DNS", "trino") in certificate["subjectAltName"]


def test_settings_of_sources_are_those_given_else_those_of_the_example():
    given = {"CILAKE_EXAMPLE_CI_URL": "https://ci.example", "CILAKE_HOST": "x", "CILAKE_TESTGRID_URL": ""}
    found = read_variables(env.sources_text(given))
    assert found["CILAKE_EXAMPLE_CI_URL"] == "https://ci.example"
    assert found["CILAKE_TESTGRID_URL"] == "https://testgrid.k8s.io", "an empty variable says nothing"
    assert "CILAKE_HOST" not in found


@needs_openssl
def test_private_files_that_are_missing_are_made_from_the_settings(tmp_path):
    env.write(tmp_path, {})
    before = (tmp_path / ".env").read_bytes()
    passwords = tmp_path / "deploy" / "private" / "trino" / "passwords"
    passwords.unlink()
    assert env.write(tmp_path, {}) == [passwords]
    assert (tmp_path / ".env").read_bytes() == before


@needs_openssl
def test_variables_of_a_newer_version_are_added_and_nothing_else_changes(tmp_path):
    env.write(tmp_path, {})
    before = settings_in(tmp_path)
    older = {name: value for name, value in before.items() if "VIEWER" not in name} | {"CILAKE_HOST": "own"}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in older.items()))
    assert env.write(tmp_path, {}) == [tmp_path / ".env"]
    after = settings_in(tmp_path)
    assert mode(tmp_path / ".env") == 0o600
    assert set(after) == set(before) and after.items() >= older.items()
    assert len(after["CILAKE_AIRFLOW_VIEWER_PASSWORD"]) == 40


@needs_openssl
def test_readers_are_told_where_the_lake_is_and_no_login_that_writes(tmp_path):
    env.write(tmp_path, {"CILAKE_HOST": "lake.example.org", "CILAKE_PORT_TRINO": "9443"})
    settings = settings_in(tmp_path)
    given = read_variables((tmp_path / "deploy/private/reader.env").read_text())
    secret = {name: value for name, value in settings.items() if len(value) == 40}
    assert {name for name, value in secret.items() if value in given.values()} == {
        "CILAKE_CATALOG_READER_PASSWORD",
        "CILAKE_S3_READER_ACCESS_KEY",
        "CILAKE_S3_READER_SECRET_KEY",
        "CILAKE_TRINO_ANALYST_PASSWORD",
    }
    assert given["CILAKE_CATALOG_URI"] == "postgresql://lake.example.org:5432/iceberg"
    assert given["CILAKE_S3_ENDPOINT"] == "http://lake.example.org:8333"
    assert given["CILAKE_TRINO_URL"] == "https://lake.example.org:9443"
    found = find_settings(tmp_path / "deploy/private/reader.env")
    assert (found.catalog_user, found.trino_user) == ("iceberg_reader", "analyst")
    assert found.trino_password == settings["CILAKE_TRINO_ANALYST_PASSWORD"]
    elsewhere = env.reader_text(settings | {"CILAKE_S3_ENDPOINT": "https://s3.example.org"})
    assert "CILAKE_S3_ENDPOINT=https://s3.example.org\n" in elsewhere


def test_secrets_differ_and_given_values_are_taken():
    text = "A=\nB_FERNET_KEY=\nC=kept\nD=default\n"
    one, two = (read_variables(env.fill(text, {"D": "given"}, {})) for _ in range(2))
    assert one["A"] != two["A"] and len(one["A"]) == 40
    assert len(one["B_FERNET_KEY"]) == 44
    assert (one["C"], one["D"]) == ("kept", "given")


@pytest.mark.parametrize("value", ["a\nb", "a'b", "a$b", " a", "a#b"])
def test_values_that_compose_would_read_otherwise_are_refused(value):
    with pytest.raises(StackError, match="A must be one line"):
        env.fill("A=\n", {"A": value}, {})


def test_the_containers_never_run_as_root():
    assert int(env.identity()["CILAKE_UID"]) > 0
    if os.getuid():
        assert env.identity()["CILAKE_UID"] == str(os.getuid())


def test_trino_can_check_the_passwords():
    settings = {name: f"word-{user}" for user, (_, name) in LOGINS.items()}
    for line in env.password_file(settings).splitlines():
        user, iterations, salt, digest = line.split(":")
        assert int(iterations) >= 1000, "Trino refuses fewer"
        expected = hashlib.pbkdf2_hmac(
            "sha1", f"word-{user}".encode(), bytes.fromhex(salt), int(iterations), len(digest) // 2
        )
        assert expected.hex() == digest
    assert env.group_file() == "analysts:analyst,superset\noperators:operator\n"
