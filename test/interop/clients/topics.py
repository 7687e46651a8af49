"""A client of topics.v1, written from docs/topics-protocol.md alone, on Python's `websockets`.

Run as a program it takes one JSON object, its orders, and prints a line for each message, and what it has seen at the end:
    {"urls": [...], "topic": "...", "publish": 20, "until": 100, "client": "..."}
It connects to one URL after the other, publishes, and goes on until it has received as many messages.
"""
import asyncio
import json
import random
import sys
import uuid

import websockets

# In which order to look for the member that says what a message is.
KINDS = ("hello", "subscribed", "unsubscribed", "published", "refused", "gap", "lost", "joined", "left", "presence", "topic", "message")
FINAL = (1002, 1003, 1007, 1008, 1009)


def kind_of(message):
    return next((kind for kind in KINDS if kind in message), None)


class TopicsClient:
    def __init__(self, next_url, secret):
        self.next_url = next_url
        self.secret = secret
        self.positions = {}  # by topic, of what was processed last
        self.outbox = {}  # by id, in the order in which they were published
        self.socket = None
        self.connections = 0
        self.resumed = []
        self.members = {}
        self.on_message = lambda topic, message, id: None
        self.refused = []

    def subscribe(self, topic):
        self.positions[topic] = None

    async def publish(self, topic, message):
        id = str(uuid.uuid4())
        request = {"publish": topic, "message": message, "id": id}
        self.outbox[id] = request
        if self.socket is not None:
            try:
                await self.socket.send(json.dumps(request))
            except websockets.exceptions.ConnectionClosed:
                pass  # it is in the outbox
        return id

    async def greet(self, socket):
        await socket.send(json.dumps({"subscribe": self.positions, "client": self.secret}))
        sent = set()
        # New messages come behind those that are not acknowledged, and some may be published meanwhile.
        while waiting := [id for id in self.outbox if id not in sent]:
            for id in waiting:
                await socket.send(json.dumps(self.outbox[id]))
                sent.add(id)
        self.socket = socket

    async def run(self):
        limit = 0.25
        while True:
            try:
                async with websockets.connect(self.next_url(), subprotocols=["topics.v1"]) as socket:
                    assert socket.subprotocol == "topics.v1"
                    self.connections += 1
                    beat = None
                    while True:
                        message = json.loads(await asyncio.wait_for(socket.recv(), beat))
                        if kind_of(message) == "hello":
                            beat = message["hello"]["beat"] * 2.5 / 1000
                            limit = 0.25
                            await self.greet(socket)
                        else:
                            self.take(message)
            except websockets.exceptions.ConnectionClosed as error:
                if error.code in FINAL or 4400 <= error.code < 4500:
                    raise
            except (OSError, asyncio.TimeoutError, websockets.exceptions.InvalidStatusCode):
                pass
            self.socket = None
            await asyncio.sleep(random.random() * limit)
            limit = min(30, limit * 2)

    def take(self, message):
        kind = kind_of(message)
        if kind == "subscribed":
            topic = message["subscribed"]
            self.resumed.append(message["recovered"])
            self.positions[topic] = message["at"]
            if "members" in message:
                self.members[topic] = {member["id"]: member["info"] for member in message["members"]}
        elif kind == "topic":
            self.on_message(message["topic"], message["message"], message["id"])
            if message["at"] is not None:
                self.positions[message["topic"]] = message["at"]
        elif kind == "published":
            self.outbox.pop(message["published"], None)
        elif kind == "refused":
            self.refused.append(message["code"])
            if message["refused"] == "publish" and not message["retry"]:
                self.outbox.pop(message.get("id"), None)
        elif kind == "lost":
            self.positions[message["lost"]] = message["at"]
            self.resumed.append(False)
        elif kind == "joined":
            self.members.setdefault(message["joined"], {})[message["member"]["id"]] = message["member"]["info"]
        elif kind == "left":
            self.members.get(message["left"], {}).pop(message["member"]["id"], None)
        elif kind == "presence" and "members" in message:
            self.members[message["presence"]] = {member["id"]: member["info"] for member in message["members"]}
        # All others are ignored.


async def main(orders):
    urls = orders["urls"]
    turn = iter(range(1_000_000))
    client = TopicsClient(lambda: urls[next(turn) % len(urls)], orders["client"])
    received = []
    done = asyncio.get_running_loop().create_future()

    def on_message(topic, message, id):
        received.append(message)
        print(json.dumps({"received": len(received)}), flush=True)
        if len(received) >= orders["until"] and not done.done():
            done.set_result(None)

    client.on_message = on_message
    client.subscribe(orders["topic"])
    running = asyncio.create_task(client.run())
    for i in range(orders["publish"]):
        await client.publish(orders["topic"], {"from": "python", "n": i})
        await asyncio.sleep(0.002)
    await asyncio.wait({done, running}, return_when=asyncio.FIRST_COMPLETED)
    while client.outbox and not running.done():
        await asyncio.sleep(0.01)
    if running.done():
        running.result()
    running.cancel()
    print(json.dumps({
        "messages": received, "connections": client.connections, "resumed": client.resumed, "outbox": len(client.outbox), "refused": client.refused
    }), flush=True)
    # The test ends it.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(json.loads(sys.argv[1])))
