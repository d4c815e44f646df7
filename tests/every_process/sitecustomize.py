"""Python imports this at start, in every process of the test run: what would leave this machine is refused, and garbage is collected
less often, which takes a quarter of the time that the libraries need to load."""
import gc
import ipaddress
import socket
import sys


def is_local(host) -> bool:
    if host in (None, "", b"", "localhost", b"localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


def refuse(event: str, arguments: tuple):
    if event == "socket.connect" and isinstance(arguments[1], tuple) and not is_local(arguments[1][0]):
        raise ConnectionRefusedError(f"the tests must not reach {arguments[1][0]}")
    if event == "socket.getaddrinfo" and not is_local(arguments[0]):
        raise socket.gaierror(f"the tests must not look up {arguments[0]}")


sys.addaudithook(refuse)
gc.set_threshold(100_000, 50)  # instead of 700, 10: they make half a million objects while they load
