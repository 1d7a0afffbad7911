"""The ports of the embedded stack, and the check whether something responds at one."""

import socket
from contextlib import closing
from datetime import date
from itertools import pairwise
from threading import Thread

import pytest
from deploy.local.commands.nights import world
from deploy.local.configuration import PORTS, S3_BLOCK
from deploy.local.errors import StackError
from deploy.local.services.probe import answers

FIRST_OF_OUTGOING = 32768


def test_no_default_port_can_be_taken_by_an_outgoing_connection_or_is_given_twice():
    of_s3 = [PORTS["CILAKE_PORT_S3"] + offset for offset in S3_BLOCK.values() if offset]
    ports = sorted([*PORTS.values(), *of_s3])
    assert all(first < second for first, second in pairwise(ports))
    assert 1024 <= ports[0] <= ports[-1] < FIRST_OF_OUTGOING


@pytest.fixture
def echo():
    """The address of a port that gives back one question, as a connection from a port to itself does."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(65536))

        thread = Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_an_echo_of_the_question_is_no_answer(echo):
    assert answers(f"{echo}/health") is None


def test_a_simulator_that_does_not_speak_http_is_named_in_one_line(echo):
    with pytest.raises(StackError, match="the simulator does not respond: .*make logs S=ciworld"):
        world.set_clock({"CILAKE_CIWORLD_URL": echo}, date(2026, 3, 1))
