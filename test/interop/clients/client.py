"""The client of Python's `websockets`, driven by JSON lines: commands on stdin, events on stdout."""
import asyncio
import base64
import json
import ssl
import sys

import websockets

connections = {}


def tell(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


async def connect(id, url, protocols=None, headers=None, ca=None, socketPath=None):
    options = dict(subprotocols=protocols or None, extra_headers=headers or {}, max_size=None, max_queue=None)
    if ca is not None:
        options["ssl"] = ssl.create_default_context(cafile=ca)
    try:
        if socketPath is not None:
            connection = await websockets.unix_connect(socketPath, url, **options)
        else:
            connection = await websockets.connect(url, **options)
    except websockets.exceptions.InvalidStatusCode as error:
        return tell(id=id, event="refused", status=error.status_code)
    except Exception as error:
        return tell(id=id, event="failed", message=repr(error))
    connections[id] = connection
    tell(id=id, event="open", protocol=connection.subprotocol or "")
    try:
        async for message in connection:
            if isinstance(message, str):
                tell(id=id, event="text", data=message)
            else:
                tell(id=id, event="binary", data=base64.b64encode(message).decode())
    except websockets.exceptions.ConnectionClosedError:
        pass
    tell(id=id, event="closed", code=connection.close_code, reason=connection.close_reason)


async def ping(id, data):
    await (await connections[id].ping(data))
    tell(id=id, event="pong", data=data)


async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    while line := await reader.readline():
        command = json.loads(line)
        id = command["id"]
        if command["do"] == "open":
            tasks.add(asyncio.create_task(connect(id, **command["options"])))
        elif command["do"] == "text":
            await connections[id].send(command["data"])
        elif command["do"] == "binary":
            await connections[id].send(base64.b64decode(command["data"]))
        elif command["do"] == "ping":
            tasks.add(asyncio.create_task(ping(id, command["data"])))
        elif command["do"] == "close":
            tasks.add(asyncio.create_task(connections[id].close(command["code"], command["reason"])))


asyncio.run(main())
