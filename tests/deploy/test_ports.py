"""The ports of the embedded stack, and the question whether somebody answers at one."""

import socket
from contextlib import closing
from itertools import pairwise
from threading import Thread

from deploy.local.configuration import PORTS, S3_BLOCK
from deploy.local.probe import answers

FIRST_OF_OUTGOING = 32768


def test_no_default_port_can_be_taken_by_an_outgoing_connection_or_is_given_twice():
    of_s3 = [PORTS["CILAKE_PORT_S3"] + place for place in S3_BLOCK.values() if place]
    ports = sorted([*PORTS.values(), *of_s3])
    assert all(first < second for first, second in pairwise(ports))
    assert 1024 <= ports[0] <= ports[-1] < FIRST_OF_OUTGOING


def test_an_echo_of_the_question_is_no_answer():
    """What a connection from a port to that port itself gives, and a program that does not speak HTTP."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def echo() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(65536))

        thread = Thread(target=echo)
        thread.start()
        assert answers(f"http://127.0.0.1:{server.getsockname()[1]}/health") is None
        thread.join()
