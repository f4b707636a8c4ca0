"""Exit 0 when the DNS server at ADDRESS has an A record for NAME: `python3 ask.py ADDRESS NAME`."""

import socket
import struct
import sys


def build_query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def has_answer(address: str, name: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(1)
        server.sendto(build_query(name), (address, 53))
        _id, flags, _questions, answers = struct.unpack(">4H", server.recv(512)[:8])
    return bool(flags & 0xF == 0 and answers > 0)


if __name__ == "__main__":
    sys.exit(not has_answer(sys.argv[1], sys.argv[2]))
