import t, { type Test } from 'tap'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { RawClient, type ReceivedFrame } from '../support/raw-client.js'
import { turns } from '../support/server-sockets.js'

// Long texts are encoded into memory that is used again: no receiver may get bytes of a later one.

const UNITS = ['plain ascii ', 'Grüße ', 'äöü€漢字', '😀 ', 'a\ud83db']

/** A text that differs from all others, in one of the forms in which V8 stores it. */
function longText (number: number, length: number): string {
  const unit = `${number}${UNITS[number % UNITS.length]!}`
  return unit.repeat(Math.ceil(length / unit.length))
}

/** The largest form of a header, and the sizes at which it and the way of encoding change. */
const LENGTHS = [5_461, 5_462, 16_383, 16_384, 21_845, 21_846, 32_768, 65_535, 65_536, 100_000, 349_524, 349_526, 400_000]
const TEXTS = LENGTHS.flatMap(length => UNITS.map((_, number) => longText(number, length)))

async function open (t: Test, clients: number): Promise<{ connections: WebSocketConnection[], raws: RawClient[] }> {
  const connections: WebSocketConnection[] = []
  const { port } = await startApp(t, app => app.get('/', { websocket: true }, connection => { connections.push(connection) }), {
    maxBufferedAmount: 1024 ** 3
  })
  const raws: RawClient[] = []
  while (raws.length < clients) {
    const raw = await RawClient.open(port)
    t.teardown(() => { raw.destroy() })
    raws.push(raw)
  }
  return { connections, raws }
}

/** Whether the frame is this text; a mismatch is not printed. */
function isText ({ fin, opcode, payload }: ReceivedFrame, text: string): boolean {
  return fin && opcode === 1 && payload.equals(Buffer.from(text))
}

t.test('one after the other', async t => {
  const { connections, raws } = await open(t, 1)
  for (const text of TEXTS) {
    connections[0]!.send(text)
    t.ok(isText(await raws[0]!.frame(), text), `${text.length} of ${text.slice(0, 8)}`)
  }
})

t.test('several in one batch, with short frames between them', async t => {
  const { connections, raws } = await open(t, 1)
  for (const text of TEXTS) {
    connections[0]!.send('before')
    connections[0]!.send(text)
    connections[0]!.send(`${text.length}`)
  }
  for (const text of TEXTS) {
    const frames = [await raws[0]!.frame(), await raws[0]!.frame(), await raws[0]!.frame()]
    t.ok(isText(frames[0]!, 'before') && isText(frames[1]!, text) && isText(frames[2]!, `${text.length}`), `${text.length} of ${text.slice(0, 8)}`)
  }
})

t.test('a slow client gets what was sent, whatever others get meanwhile', async t => {
  const { connections, raws } = await open(t, 2)
  const [slow, fast] = connections as [WebSocketConnection, WebSocketConnection]
  raws[0]!.socket.pause()
  const sent: string[] = []
  // The kernel takes a part of the first that does not fit. ASCII is encoded in the same way on every version of Node.
  for (let number = 0; slow.bufferedAmount === 0; number++) {
    const text = longText(number * UNITS.length, 30_000 + number)
    sent.push(text)
    slow.send(text)
    await turns(1)
  }
  // Those that could be in the same memory come first.
  for (const text of [...UNITS.map((_, number) => longText(number, 29_000)), ...TEXTS]) {
    fast.send(text)
    t.ok(isText(await raws[1]!.frame(), text))
    sent.push(text)
    slow.send(text)
  }
  raws[0]!.socket.resume()
  for (const text of sent) {
    if (!isText(await raws[0]!.frame(), text)) t.fail(`${text.length} of ${text.slice(0, 8)}`)
  }
})
