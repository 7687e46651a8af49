"""The cases that every client program goes through, for clients in Python, whatever loop they run in."""
import json
import sys

TEXT = "Grüße, 你好, 👋"
PARTS = ["Grüße, ", "你好, ", "👋"]
BYTES = bytes(range(256))
LARGE = bytes((i * 7 + (i >> 8)) & 255 for i in range(300_000))
DIGITS = "0123456789" * 30_000
REASON = "bye, 世界"


class Refused(Exception):
    """What a client tells of a refusal; None: it does not."""

    def __init__(self, status=None, body=None):
        self.seen = {k: v for k, v in dict(status=status, body=body).items() if v is not None}


def tell(name, **outcome):
    print(json.dumps(dict(case=name, **outcome)), flush=True)


async def run_cases(open_connection, cannot={}):
    """A connection has send, next, close and closed, and where the client can, send_fragments and ping."""
    url = sys.argv[1]

    async def attempt(name, run):
        if name in cannot:
            return tell(name, cannot=cannot[name])
        try:
            tell(name, **(await run(f"{url}/{name}") or {}))
        except Exception as error:
            tell(name, error=repr(error))

    async def expect(connection, message):
        answer = await connection.next()
        assert type(answer) is type(message) and answer == message, f"another answer: {answer[:40]!r}"

    async def end(connection):
        await connection.close(1000, "")
        await connection.closed()

    def echo(*messages):
        async def run(url):
            connection = await open_connection(url)
            for message in messages:
                await connection.send(message)
                await expect(connection, message)
            await end(connection)
        return run

    async def fragments(url):
        connection = await open_connection(url)
        await connection.send_fragments(PARTS)
        await expect(connection, TEXT)
        await end(connection)

    async def fragmented(url):
        connection = await open_connection(url)
        message = await connection.next()
        await connection.send(message)
        assert message == TEXT, f"another message: {message!r}"
        await end(connection)

    async def ping(url):
        connection = await open_connection(url)
        assert await connection.ping(b"ping") == b"ping"
        await end(connection)

    async def pong(url):
        connection = await open_connection(url)
        await expect(connection, "ponged are you there?")
        await end(connection)

    async def close(url):
        connection = await open_connection(url)
        await connection.close(4001, REASON)
        return await connection.closed()

    async def closed(url):
        connection = await open_connection(url)
        return await connection.closed()

    async def refused(url):
        try:
            await open_connection(url)
        except Refused as refusal:
            return refusal.seen
        raise AssertionError("it was not refused")

    await attempt("text", echo(TEXT))
    await attempt("binary", echo(BYTES))
    await attempt("empty", echo("", b""))
    await attempt("large", echo(LARGE))
    await attempt("fragments", fragments)
    await attempt("fragmented", fragmented)
    await attempt("cut", fragmented)
    await attempt("compressed", echo(DIGITS, LARGE, DIGITS))
    if "compressing" in cannot:
        tell("compressing", cannot=cannot["compressing"])
    await attempt("ping", ping)
    await attempt("pong", pong)
    await attempt("close", close)
    await attempt("closed", closed)
    for status in (401, 403, 503):
        await attempt(f"refused/{status}", refused)
