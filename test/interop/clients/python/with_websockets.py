import asyncio

import websockets

from cases import Refused, run_cases


class Connection:
    def __init__(self, socket):
        self.socket = socket
        self.send = socket.send
        self.next = socket.recv
        self.close = socket.close

    async def send_fragments(self, parts):
        await self.socket.send(parts)

    async def ping(self, data):
        await (await self.socket.ping(data))
        return data

    async def closed(self):
        await self.socket.wait_closed()
        return dict(code=self.socket.close_code, reason=self.socket.close_reason)


async def open_connection(url):
    try:
        return Connection(await websockets.connect(url, max_size=None))
    except websockets.exceptions.InvalidStatusCode as error:
        raise Refused(error.status_code)


asyncio.run(run_cases(open_connection))
