import { once } from 'node:events'
import type { Socket } from 'node:net'
import t from 'tap'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { RawClient } from '../support/raw-client.js'

/** A connection that is open, the server's socket of it, and what resets it. */
async function open (t: Tap): Promise<{ socket: Socket, connection: WebSocketConnection, reset: () => void }> {
  let opened!: (value: [WebSocketConnection, Socket]) => void
  const whenOpened = new Promise<[WebSocketConnection, Socket]>(resolve => { opened = resolve })
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, (connection, request) => opened([connection, request.socket as Socket]))
  })
  const client = await RawClient.open(port)
  const [connection, socket] = await whenOpened
  return { socket, connection, reset: () => (client.socket as Socket).resetAndDestroy() }
}

type Tap = Parameters<typeof startApp>[0]

t.test('a reset that nobody listens for makes no error', async t => {
  const { socket, connection, reset } = await open(t)
  const closed = once(connection, 'close')
  reset()
  t.equal((await closed)[0], 1006)
  t.equal(socket.errored, null)
  t.ok(socket.destroyed)
})

t.test('the socket has its error where the app listens', async t => {
  await t.test('to error', async t => {
    const { socket, connection, reset } = await open(t)
    const failed = new Promise<Error>(resolve => socket.on('error', resolve))
    const closed = once(connection, 'close')
    reset()
    t.match(await failed, { code: 'ECONNRESET', syscall: 'read' })
    t.match(socket.errored, { code: 'ECONNRESET' })
    t.equal((await closed)[0], 1006)
  })
  await t.test('to close', async t => {
    const { socket, reset } = await open(t)
    const closed = new Promise<boolean>(resolve => socket.on('close', resolve))
    reset()
    t.equal(await closed, true, 'hadError')
  })
})

t.test('errors of the app are left alone', async t => {
  const { socket, connection } = await open(t)
  const error = new Error('of the app')
  const closed = once(connection, 'close')
  socket.destroy(error)
  await closed
  t.equal(socket.errored, error)
})
