import asyncio

import aiohttp

from cases import Refused, run_cases


class Connection:
    def __init__(self, socket):
        self.socket = socket

    async def send(self, message):
        await (self.socket.send_str if isinstance(message, str) else self.socket.send_bytes)(message)

    async def next(self):
        """Without autoping, which would keep Pongs to itself."""
        while True:
            message = await self.socket.receive()
            if message.type != aiohttp.WSMsgType.PING:
                return message.data
            await self.socket.pong(message.data)

    async def ping(self, data):
        await self.socket.ping(data)
        return await self.next()

    async def close(self, code, reason):
        await self.socket.close(code=code, message=reason.encode())

    async def closed(self):
        if self.socket.closed:
            return dict(code=self.socket.close_code)
        message = await self.socket.receive()
        return dict(code=message.data, reason=message.extra)


async def main():
    async with aiohttp.ClientSession() as session:
        async def open_connection(url):
            try:
                return Connection(await session.ws_connect(url, compress=15, autoping=False))
            except aiohttp.WSServerHandshakeError as error:
                raise Refused(error.status)

        await run_cases(open_connection, dict(fragments="it sends whole messages"))


asyncio.run(main())
