"""Commands that are done by a job server print, end and are killed as if they ran by themselves."""

import json
import os
import signal
import socket as sockets
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.waiting import is_alive, wait_until

from cilake.job_server.protocol import send
from cilake.job_server.server import GRACE_SECONDS

REPO = Path(__file__).resolve().parents[2]
START_SECONDS = 300
FORKED_THREAD = "jemalloc_bg_thd"
"""The thread of Arrow's allocator, which knows of forks (pthread_atfork)."""
PLAYED = """
import os, signal, sys, time
from cilake.job_server import server
server.PRELOADED, server.GRACE_SECONDS = (), 1
server.preload = lambda: 0
import cilake.cli
def main(argv):
    verb = argv[0]
    if verb == "print":
        print(json.dumps({"cwd": os.getcwd(), "home": os.environ.get("MINE"), "argv": argv}))
        sys.stderr.write("progress\\n")
        return 0
    if verb == "raise":
        raise RuntimeError("a fault of the program")
    if verb == "exit":
        raise SystemExit(int(argv[1]))
    if verb == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif verb == "polite":
        signal.signal(signal.SIGTERM, lambda *_: (sys.stderr.write("interrupted\\n"), sys.exit(143)))
    open(argv[1], "w").write(str(os.getpid()))
    while True:
        time.sleep(0.1)
import json
cilake.cli.main = main
from pathlib import Path
server.serve(Path(sys.argv[1]))
"""
"""A server whose commands are made up: what a test is about is how they end."""
CLIENT = """
import sys
from cilake.job_server.client import run_at_server
code = run_at_server(sys.argv[1:])
sys.exit(99 if code is None else code)
"""


def environment(**more):
    paths = os.pathsep.join([str(REPO / "jobs")])
    return {**os.environ, "PYTHONPATH": paths, **more}


@pytest.fixture
def server(tmp_path):
    """The socket of a server of made-up commands, and its process."""
    socket = tmp_path / "jobs.sock"
    process = subprocess.Popen(
        [sys.executable, "-c", PLAYED, str(socket)], env=environment(), stderr=subprocess.PIPE, text=True
    )
    wait_until(socket.exists)
    yield socket, process
    process.terminate()
    process.communicate(timeout=30)


def client(socket, *args, **options):
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, *args],
        env=environment(CILAKE_JOB_SERVER=str(socket), MINE="own"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def status(made):
    """What a command ends with; what it printed is read, so that no pipe is left."""
    made.communicate(timeout=60)
    return made.returncode


def started(file):
    wait_until(lambda: file.exists() and file.read_text())
    return int(file.read_text())


def test_the_work_has_the_arguments_environment_folder_and_output_of_its_command(server, tmp_path):
    socket, _ = server
    out, err = client(socket, "print", "--start", "2026-03-01", cwd=tmp_path).communicate(timeout=60)
    output = json.loads(out)
    assert output == {"cwd": str(tmp_path), "home": "own", "argv": ["print", "--start", "2026-03-01"]}
    assert err == "progress\n"


@pytest.mark.parametrize(("args", "code"), [(("exit", "0"), 0), (("exit", "2"), 2), (("raise",), 1)])
def test_it_ends_with_the_code_of_the_work_and_its_traceback(server, args, code):
    made = client(server[0], *args)
    _, err = made.communicate(timeout=60)
    assert made.returncode == code
    assert ("RuntimeError: a fault of the program" in err) is (args[0] == "raise")


def test_a_signal_reaches_the_work(server, tmp_path):
    made = client(server[0], "polite", str(tmp_path / "pid"))
    started(tmp_path / "pid")
    made.send_signal(signal.SIGTERM)
    _, err = made.communicate(timeout=60)
    assert (made.returncode, err) == (143, "interrupted\n")


@pytest.mark.parametrize("verb", ["polite", "stubborn", "wait"])
def test_work_dies_with_its_command(server, tmp_path, verb):
    made = client(server[0], verb, str(tmp_path / "pid"))
    pid = started(tmp_path / "pid")
    made.kill()
    status(made)
    wait_until(lambda: not is_alive(pid), seconds=30)
    assert status(client(server[0], "exit", "0")) == 0, "the server goes on"


def test_a_command_that_ended_before_it_was_taken_harms_no_other(server, tmp_path):
    socket, process = server
    other = client(socket, "polite", str(tmp_path / "other"))
    started(tmp_path / "other")
    process.send_signal(signal.SIGSTOP)
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as connection:
        connection.connect(str(socket))
        given = {"arguments": ["wait", str(tmp_path / "pid")], "environment": environment(), "folder": "/"}
        send(connection, given, (0, 1, 2))
    process.send_signal(signal.SIGCONT)
    assert status(client(socket, "exit", "0")) == 0, "the server goes on"
    wait_until(lambda: len(children(process.pid)) == 1, seconds=30)
    assert other.poll() is None
    other.send_signal(signal.SIGTERM)
    assert status(other) == 143


def children(pid):
    """The processes that a process has forked and not waited for."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_work_that_is_killed_is_told_as_the_shell_tells_it(server, tmp_path):
    made = client(server[0], "wait", str(tmp_path / "pid"))
    os.kill(started(tmp_path / "pid"), signal.SIGKILL)
    assert status(made) == 137


def test_many_commands_at_once_have_their_own_output(server):
    made = [client(server[0], "print", str(number)) for number in range(8)]
    output = [json.loads(one.communicate(timeout=60)[0])["argv"][1] for one in made]
    assert output == [str(number) for number in range(8)]


def test_work_ends_with_the_server(server, tmp_path):
    socket, process = server
    made = client(socket, "polite", str(tmp_path / "pid"))
    pid = started(tmp_path / "pid")
    process.kill()
    _, err = made.communicate(timeout=60)
    assert made.returncode == 1 and "cilake: the job server ended during the command: run it again\n" in err
    wait_until(lambda: not is_alive(pid), seconds=30)


def test_without_a_server_the_command_does_the_work_and_says_so_in_one_line(tmp_path):
    made = client(tmp_path / "none.sock", "print")
    _, err = made.communicate(timeout=60)
    assert made.returncode == 99, "not handed over"
    assert err.startswith("job server: ") and err.count("\n") == 1


def test_who_speaks_otherwise_is_not_served_and_stops_nothing(server):
    for sent in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\x00\x00\x00\x02[]"):
        with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as connection:
            connection.connect(str(server[0]))
            connection.sendall(sent)
    assert status(client(server[0], "exit", "0")) == 0


def test_a_second_server_at_a_socket_is_refused(server):
    done = subprocess.run(
        [sys.executable, "-m", "cilake.cli", "serve", str(server[0])],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"cilake: another job server waits at {server[0]}"
    assert oct(server[0].stat().st_mode & 0o777) == "0o600", "only its user may hand work over"


def test_a_real_server_does_a_command_and_begins_anew_when_the_code_changes(tmp_path):
    """All modules are imported, without a thread that a fork would not have; then one file is touched."""
    package = tmp_path / "jobs"
    subprocess.run(["cp", "-r", str(REPO / "jobs"), str(package)], check=True)
    given = environment(PYTHONPATH=os.pathsep.join([str(package), str(REPO)]))
    socket, log = tmp_path / "jobs.sock", tmp_path / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "cilake.cli", "serve", str(socket)], env=given, stderr=stream
        )
    try:
        wait_until(lambda: "waits at" in log.read_text())
        threads = [path.read_text().strip() for path in Path(f"/proc/{process.pid}/task").glob("*/comm")]
        assert len([name for name in threads if name != FORKED_THREAD]) == 1, threads

        def land(**more):
            done = subprocess.run(
                [sys.executable, "-m", "cilake.cli", "land", "example_ci", "--start", "2026-03-01"],
                env={**given, "CILAKE_JOB_SERVER": str(socket), **more},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            return done.returncode, done.stderr

        alone = land(CILAKE_JOB_SERVER="")
        assert alone[0] == 2 and "missing settings" in alone[1]
        assert land() == alone
        (package / "cilake" / "log.py").touch()
        code, output = land()
        assert code == 2 and output.startswith(
            "job server: it restarts, as the code has changed: this command"
        )
        wait_until(lambda: log.read_text().count("waits at") == 2)
        assert land() == alone
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0
    assert not socket.exists() and GRACE_SECONDS > 1
