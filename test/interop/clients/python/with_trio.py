import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, open_websocket_url

from cases import Refused, run_cases


class Connection:
    def __init__(self, context, socket):
        self.context = context
        self.socket = socket
        self.send = socket.send_message
        self.next = socket.get_message
        self.close = socket.aclose

    async def ping(self, data):
        await self.socket.ping(data)
        return data

    async def closed(self):
        try:
            await self.socket.get_message()
        except ConnectionClosed as error:
            await self.context.__aexit__(None, None, None)
            return dict(code=error.reason.code, reason=error.reason.reason or "")


async def open_connection(url):
    context = open_websocket_url(url)
    try:
        return Connection(context, await context.__aenter__())
    except ConnectionRejected as error:
        raise Refused(error.status_code, error.body and error.body.decode())


trio.run(run_cases, open_connection, dict(
    fragments="it sends whole messages",
    compressed="it offers no extensions",
))
