"""SeaweedFS as both stacks start it: its keys decide, and its own parts refuse who comes past them."""

from __future__ import annotations

import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from deploy.local import configuration, layout
from deploy.local.services.table import BY_NAME
from pyarrow.fs import FileType, S3FileSystem
from tests.support import temporary_stack

S3 = BY_NAME["s3"]
KEY = "lake/warehouse/core/a.parquet"

pytestmark = pytest.mark.skipif(
    not layout.current().bin("jobs", "weed").exists(), reason="no SeaweedFS: make setup brings it"
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """The settings of a running server with one object in it."""
    here = layout.Layout(tmp_path_factory.mktemp("home"), layout.current().shared)
    here.make()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CILAKE_PORT_S3", str(temporary_stack._free_block(20)))
        settings = configuration.prepare(here)
    for path, text in S3.files(here, settings).items():
        configuration.write_private(path, text)
    environment = S3.whole_environment(here, settings)
    with (here.log / "s3.log").open("wb") as log:
        process = subprocess.Popen(
            S3.command(here, settings), env=environment, cwd=here.run, stdout=log, stderr=log
        )
    try:
        pause = threading.Event()
        # The server makes the bucket a moment after it responds.
        while not (S3.healthy(here, settings) and is_there(settings)):
            assert process.poll() is None, (here.log / "s3.log").read_text()[-2000:]
            pause.wait(0.2)
        with store(settings, "CILAKE_S3").open_output_stream(KEY) as target:
            target.write(b"rows" * 3_000_000)  # more than one chunk of the filer's
        yield settings
    finally:
        process.terminate()
        process.wait(timeout=30)


def store(settings, prefix):
    return S3FileSystem(
        access_key=settings[f"{prefix}_ACCESS_KEY"],
        secret_key=settings[f"{prefix}_SECRET_KEY"],
        endpoint_override=settings["CILAKE_S3_ENDPOINT"],
        region=settings["CILAKE_S3_REGION"],
    )


def is_there(settings):
    try:
        return store(settings, "CILAKE_S3").get_file_info("lake").type == FileType.Directory
    except OSError:
        return False


def answer(settings, part, method, path):
    """The status with which a part of the server refuses somebody without a key."""
    port = int(settings["CILAKE_PORT_S3"]) + configuration.S3_BLOCK[f"{part}.port"]
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhostile\r\n--x--\r\n'
    body = form if method == "POST" else None
    headers = {"Content-Type": "multipart/form-data; boundary=x"} if body else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as found:
            return found.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_reader_reads_and_does_not_write(storage):
    reader = store(storage, "CILAKE_S3_READER")
    with reader.open_input_file(KEY) as source:
        assert source.size() == 12_000_000
        source.seek(8_000_000)
        assert source.read(8) == b"rowsrows"
    with pytest.raises(OSError, match=r"ACCESS_DENIED|AccessDenied|Access Denied"):
        reader.open_output_stream("lake/warehouse/core/b.parquet").close()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_nobody_comes_past_the_keys_through_the_filer(storage, method):
    assert answer(storage, "filer", method, f"/buckets/{KEY}") == 401
    with store(storage, "CILAKE_S3_READER").open_input_file(KEY) as source:
        assert source.read(4) == b"rows"


def test_the_writer_writes_and_deletes(storage):
    writer = store(storage, "CILAKE_S3")
    with writer.open_output_stream("lake/warehouse/core/c.parquet") as target:
        target.write(b"new")
    writer.delete_file("lake/warehouse/core/c.parquet")
