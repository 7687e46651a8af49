import asyncio
import re

from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateResponse, PerMessageDeflateResponseAccept

from cases import Refused, run_cases


class Connection(WebSocketClientProtocol):
    def __init__(self):
        super().__init__()
        self.opened = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()
        self.messages = asyncio.Queue()
        self.pongs = asyncio.Queue()
        self.next = self.messages.get

    def onOpen(self):
        self.opened.set_result(self)

    def onMessage(self, payload, is_binary):
        self.messages.put_nowait(payload if is_binary else payload.decode())

    def onPong(self, payload):
        self.pongs.put_nowait(payload)

    def onClose(self, was_clean, code, reason):
        if not self.opened.done():
            status = re.search(r"upgrade failed \[(\d+)", reason or "")
            return self.opened.set_exception(Refused(status and int(status[1])))
        self.ended.set_result(dict(code=code, reason=self.remoteCloseReason or ""))

    async def send(self, message):
        self.sendMessage(message if isinstance(message, bytes) else message.encode(), isinstance(message, bytes))

    async def send_fragments(self, parts):
        self.beginMessage()
        for part in parts:
            self.sendMessageFrame(part.encode())
        self.endMessage()

    async def ping(self, data):
        self.sendPing(data)
        return await self.pongs.get()

    async def close(self, code, reason):
        self.sendClose(code, reason or None)

    async def closed(self):
        return await self.ended


def accept(response):
    if isinstance(response, PerMessageDeflateResponse):
        return PerMessageDeflateResponseAccept(response)


async def open_connection(url):
    factory = WebSocketClientFactory(url)
    factory.protocol = Connection
    factory.setProtocolOptions(perMessageCompressionOffers=[PerMessageDeflateOffer()], perMessageCompressionAccept=accept)
    _, protocol = await asyncio.get_running_loop().create_connection(factory, factory.host, factory.port)
    return await protocol.opened


async def main():
    await run_cases(open_connection)

asyncio.run(main())
