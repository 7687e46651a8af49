import asyncio

from tornado.httpclient import HTTPError
from tornado.websocket import websocket_connect

from cases import Refused, run_cases


class Connection:
    def __init__(self, socket):
        self.socket = socket
        self.next = socket.read_message

    async def send(self, message):
        await self.socket.write_message(message, binary=isinstance(message, bytes))

    async def ping(self, data):
        pong = asyncio.get_running_loop().create_future()
        self.socket.on_pong = pong.set_result
        self.socket.ping(data)
        return await pong

    async def close(self, code, reason):
        self.socket.close(code, reason)

    async def closed(self):
        assert await self.socket.read_message() is None
        return dict(code=self.socket.close_code, reason=self.socket.close_reason or "")


async def open_connection(url):
    try:
        return Connection(await websocket_connect(url, compression_options={}))
    except HTTPError as error:
        raise Refused(error.code)


asyncio.run(run_cases(open_connection, dict(fragments="it sends whole messages")))
