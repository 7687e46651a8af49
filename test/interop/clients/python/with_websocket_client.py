import asyncio

import websocket
from websocket import ABNF

from cases import Refused, run_cases


class Connection:
    def __init__(self, socket):
        self.socket = socket

    async def send(self, message):
        self.socket.send(message, ABNF.OPCODE_TEXT if isinstance(message, str) else ABNF.OPCODE_BINARY)

    async def next(self):
        opcode, data = self.socket.recv_data()
        return data.decode() if opcode == ABNF.OPCODE_TEXT else data

    async def send_fragments(self, parts):
        for i, part in enumerate(parts):
            opcode = ABNF.OPCODE_TEXT if i == 0 else ABNF.OPCODE_CONT
            self.socket.send_frame(ABNF.create_frame(part.encode(), opcode, int(i == len(parts) - 1)))

    async def ping(self, data):
        self.socket.ping(data)
        opcode, data = self.socket.recv_data(control_frame=True)
        return data

    async def close(self, code, reason):
        self.socket.send_close(code, reason.encode())

    async def closed(self):
        opcode, data = self.socket.recv_data(control_frame=True)
        self.socket.close()
        return dict(code=int.from_bytes(data[:2], "big"), reason=data[2:].decode())


async def open_connection(url):
    try:
        return Connection(websocket.create_connection(url))
    except websocket.WebSocketBadStatusException as error:
        raise Refused(error.status_code)


asyncio.run(run_cases(open_connection, dict(compressed="it offers no extensions")))
