import t from 'tap'
import { once } from 'node:events'
import type { WebSocketConnection } from '../../lib/index.js'
import { startApp } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { close, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { connectSecure, gate, turns } from '../support/server-sockets.js'

// A paused socket tells of the peer's FIN all the same. What was read before, and what waits, comes first.

interface Heard {
  events: string[]
  over: Promise<unknown>
}

function listen (connection: WebSocketConnection, onMessage: (data: string) => void = () => {}): Heard {
  const events: string[] = []
  connection.on('message', data => {
    events.push(data.length > 20 ? `${data.length} bytes` : data.toString())
    onMessage(data.toString())
  })
  connection.on('close', code => events.push(`close ${code}`))
  return { events, over: once(connection, 'close') }
}

const LAST_WORDS = Buffer.concat([text('1'), text('2'), text('3'), close(4000)])

t.test('paused by a listener: the rest is delivered after resume, and the Close frame is seen', async t => {
  for (const form of ['in one write', 'behind the request']) {
    let heard: Heard | undefined
    let ended: Promise<unknown> | undefined
    const { app, port } = await startApp(t, app => {
      app.get('/', { websocket: true }, (connection, request) => {
        ended = once(request.raw.socket, 'end')
        heard = listen(connection, data => {
          if (data !== '1') return
          connection.pause()
          ended!.then(() => setImmediate(() => {
            t.same(heard!.events, ['1'], 'nothing while it is paused')
            connection.resume()
          }), t.error)
        })
      })
    })
    const client = form === 'in one write' ? await RawClient.open(port) : await RawClient.connect(port)
    if (form === 'in one write') {
      client.write(LAST_WORDS)
    } else {
      client.write(Buffer.concat([Buffer.from(upgradeRequest()), LAST_WORDS]))
      await client.head()
    }
    client.end()
    t.same(await client.closeFrame(), { code: 4000, reason: '' })
    await heard!.over
    t.same(heard!.events, ['1', '2', '3', 'close 4000'], form)
    await app.close()
  }
})

t.test('paused and left without a Close frame: the messages come, then 1006', async t => {
  let heard: Heard | undefined
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, (connection, request) => {
      heard = listen(connection, data => {
        if (data !== '1') return
        connection.pause()
        request.raw.socket.once('end', () => setImmediate(() => connection.resume()))
      })
    })
  })
  const client = await RawClient.open(port)
  client.write(Buffer.concat([text('1'), text('2'), text('3')]))
  client.end()
  await client.ended
  await heard!.over
  t.same(heard!.events, ['1', '2', '3', 'close 1006'])
})

t.test('B9: held back because nobody listens yet: nothing is lost when the client has left meanwhile', async t => {
  const MESSAGES = 500
  let heard: Heard | undefined
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, async (connection, request) => {
      await once(request.raw.socket, 'end')
      heard = listen(connection)
    })
  })
  const client = await RawClient.open(port)
  // In one chunk, and with what each of them costs more than may wait without the socket being paused.
  client.write(Buffer.concat([...Array.from({ length: MESSAGES }, () => text(Buffer.alloc(100, 'x'))), close(1000)]))
  client.end()
  t.same(await client.closeFrame(), { code: 1000, reason: '' })
  await heard!.over
  t.same(heard!.events, [...Array.from({ length: MESSAGES }, () => '100 bytes'), 'close 1000'])
})

t.test('paused for ever: app.close() ends it', async t => {
  let heard: Heard | undefined
  let ended: Promise<unknown> | undefined
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, (connection, request) => {
      ended = once(request.raw.socket, 'end')
      heard = listen(connection, () => connection.pause())
    })
  }, { closeTimeout: 200 })
  const client = await RawClient.open(port)
  client.write(LAST_WORDS)
  client.end()
  await ended
  t.same(heard!.events, ['1'])
  await app.close()
  await heard!.over
  t.match(heard!.events.at(-1), /^close /)
})

// Node ends a TLS socket by itself when the peer has ended it.
for (const [ending, code, last] of [['without a Close frame', 1006, Buffer.alloc(0)], ['with a Close frame', 4000, close(4000)]] as const) {
  for (const holding of ['paused', 'held back', 'behind a loop']) {
    t.test(`over TLS, ${holding}, and the client has left ${ending}: nothing is lost`, async t => {
      let heard: Heard | undefined
      const listening = gate()
      const { port } = await startApp(t, app => {
        app.get('/', { websocket: true }, async (connection, request) => {
          const ended = once(request.raw.socket, 'end').then(() => turns())
          if (holding === 'held back') await ended
          if (holding !== 'behind a loop') {
            heard = listen(connection, data => {
              if (holding !== 'paused' || data !== '1') return
              connection.pause()
              ended.then(() => connection.resume(), t.error)
            })
            return listening.open()
          }
          const events: string[] = []
          heard = { events, over: once(connection, 'close') }
          listening.open()
          for await (const message of connection) {
            events.push(String(message))
            await ended
          }
          events.push(`close ${String((await heard.over as [number])[0])}`)
        })
      }, {}, { https: certificate })
      const client = await connectSecure(port)
      await client.upgrade()
      client.write(Buffer.concat([text('1'), text('2'), text('3'), last]))
      client.end()
      if (code === 4000) t.same(await client.closeFrame(), { code, reason: '' })
      await Promise.all([client.ended, listening.passed])
      await heard!.over
      await turns()
      t.same(heard!.events, ['1', '2', '3', `close ${code}`])
    })
  }
}

t.test('over TLS, and the client has left right behind its Close frame, while the 101 was on its way: it is answered', async t => {
  let heard: Heard | undefined
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => { heard = listen(connection) })
  }, {}, { https: certificate })
  const client = await connectSecure(port)
  client.write(Buffer.concat([Buffer.from(upgradeRequest()), LAST_WORDS]))
  client.end()
  t.equal((await client.head()).status, 101)
  t.same(await client.closeFrame(), { code: 4000, reason: '' })
  await client.ended
  t.same(heard!.events.slice(0, 3), ['1', '2', '3'])
})
