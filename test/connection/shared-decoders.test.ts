import t from 'tap'
import { sessionOf, type Connection } from '../../lib/connection/connection.js'
import type { WebSocketConnection } from '../../lib/index.js'
import { echo, startApp } from '../support/app.js'
import { binary, continuation, frame, ping, RawClient, text } from '../support/raw-client.js'

// Between messages connections have no decoder of their own: they use the same one in turn.

const MESSAGES: readonly Buffer[] = [
  text('one'), Buffer.concat([frame(0x1, 'two, ', { fin: false }), ping('!'), continuation('in parts')]), binary(Buffer.alloc(300, 7)), text('é€😀')
]

function decoderOf (connection: WebSocketConnection): unknown {
  return Reflect.get(sessionOf(connection as Connection), 'lent')
}

t.test('what clients send in pieces is not mixed up, wherever their messages are cut', async t => {
  const { port } = await startApp(t, echo)
  const clients = await Promise.all(Array.from({ length: 4 }, () => RawClient.open(port)))
  t.teardown(() => clients.forEach(client => client.destroy()))
  for (const [index, bytes] of MESSAGES.entries()) {
    for (let cut = 1; cut < bytes.length; cut += bytes.length > 100 ? 61 : 1) {
      // The first half of all, the others' whole messages in between, then the second half.
      const [first, second, third, fourth] = clients as [RawClient, RawClient, RawClient, RawClient]
      first.write(bytes.subarray(0, cut))
      second.write(bytes.subarray(0, bytes.length - cut))
      third.write(text(`${index} ${cut}`))
      t.equal((await third.frame()).payload.toString(), `${index} ${cut}`)
      fourth.write(ping('there?'))
      t.equal((await fourth.frame()).payload.toString(), 'there?')
      second.write(bytes.subarray(bytes.length - cut))
      first.write(bytes.subarray(cut))
      for (const client of [first, second]) {
        const frames = [await client.frame()]
        if (index === 1) frames.push(await client.frame())
        const expected = ['one', 'two, in parts', Buffer.alloc(300, 7).toString(), 'é€😀'][index]
        t.equal(frames.at(-1)!.payload.toString(), expected, `message ${index}, cut at ${cut}`)
      }
    }
  }
})

t.test('a connection has a decoder while one of its messages is incomplete, or it is paused', async t => {
  const connections: WebSocketConnection[] = []
  const { port } = await startApp(t, app => app.get('/', { websocket: true }, connection => {
    connections.push(connection)
    connection.on('message', data => connection.send(data))
  }))
  const client = await RawClient.open(port)
  const [connection] = connections as [WebSocketConnection]
  t.equal(decoderOf(connection), null, 'before the first message')
  client.write(Buffer.concat([text('a'), ping('b'), frame(0x1, 'c', { fin: false }), ping('d')]))
  for (let i = 0; i < 3; i++) await client.frame()
  t.not(decoderOf(connection), null, 'within a message')
  client.write(continuation('e'))
  t.equal((await client.frame()).payload.toString(), 'ce')
  t.equal(decoderOf(connection), null, 'behind it')
  connection.pause()
  t.not(decoderOf(connection), null, 'paused')
  connection.resume()
  client.write(text('f'))
  t.equal((await client.frame()).payload.toString(), 'f')
  t.equal(decoderOf(connection), null, 'resumed')
  client.destroy()
})

t.test('a listener that ends one connection from within the chunk of another leaves both as they are', async t => {
  const connections: WebSocketConnection[] = []
  const { port } = await startApp(t, app => app.get('/', { websocket: true }, connection => {
    connections.push(connection)
    connection.on('message', data => {
      connections.find(other => other !== connection)?.terminate()
      connection.send(data)
    })
  }))
  const [first, second] = [await RawClient.open(port), await RawClient.open(port)]
  first.write(Buffer.concat([text('1'), text('2')]))
  t.equal((await first.frame()).payload.toString(), '1')
  t.equal((await first.frame()).payload.toString(), '2')
  await second.ended
  first.write(text('3'))
  t.equal((await first.frame()).payload.toString(), '3')
  first.destroy()
})
