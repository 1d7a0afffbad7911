"""The ports of the embedded stack, and the check whether something responds at one."""

import socket
from contextlib import closing
from datetime import date
from itertools import pairwise
from threading import Thread

import pytest
from deploy.local.commands import up
from deploy.local.commands.nights import world
from deploy.local.configuration import PORTS, S3_BLOCK
from deploy.local.errors import StackError
from deploy.local.layout import Layout
from deploy.local.services import ciworld
from deploy.local.services.probe import answers
from deploy.local.services.table import BY_NAME
from deploy.local.supervise import starting

FIRST_OF_OUTGOING = 32768


def test_no_default_port_can_be_taken_by_an_outgoing_connection_or_is_given_twice():
    of_s3 = [PORTS["CILAKE_PORT_S3"] + offset for offset in S3_BLOCK.values() if offset]
    ports = sorted([*PORTS.values(), *of_s3])
    assert all(first < second for first, second in pairwise(ports))
    assert 1024 <= ports[0] <= ports[-1] < FIRST_OF_OUTGOING


def test_all_ports_that_are_taken_are_named_at_once():
    names = ("CILAKE_PORT_POSTGRES", "CILAKE_PORT_TRINO")
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as one,
        closing(socket.create_server(("127.0.0.1", 0))) as two,
    ):
        settings = {
            name: str(server.getsockname()[1]) for name, server in zip(names, (one, two), strict=True)
        }
        with pytest.raises(StackError) as refused:
            starting.check_ports(settings, [BY_NAME["postgres"], BY_NAME["trino"]])
    assert all(f"({name}={port})" in str(refused.value) for name, port in settings.items())


def test_the_simulator_belongs_to_a_stack_whose_source_it_is(tmp_path):
    layout, address = Layout(tmp_path, tmp_path), "http://127.0.0.1:18900"
    settings = {"CILAKE_CIWORLD_URL": address, "CILAKE_TESTGRID_URL": address}
    assert "ciworld" not in up._of_all(layout, settings), "it was never started"
    layout.data.mkdir(parents=True)
    ciworld.arguments_file(layout).write_text("[]")
    assert "ciworld" in up._of_all(layout, settings)
    assert "ciworld" not in up._of_all(layout, settings | {"CILAKE_TESTGRID_URL": "https://testgrid.k8s.io"})


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
