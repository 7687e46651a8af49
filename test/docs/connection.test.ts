import { once } from 'node:events'
import { gzipSync } from 'node:zlib'
import { Client, runChecks, start } from './support.js'

runChecks({
  async connection (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/upper`)
    client.socket.send('hello')
    t.equal(await client.text(), 'HELLO')
    client.socket.close(4000, 'bye')
    t.strictSame(await client.closed, { code: 4000, reason: 'bye' })
  },

  async 'for await' (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/sum`)
    for (const number of ['1', '20', '300']) client.socket.send(number)
    t.strictSame([await client.text(), await client.text(), await client.text()], ['1', '21', '321'])
    client.socket.close(1000)
    await client.closed
  },

  async backpressure (t, example) {
    let mostBuffered = 0
    const { app, url } = await start(t, example, app => {
      app.websocketServer.on('connection', connection => {
        const { send } = connection
        connection.send = (...args: unknown[]) => {
          const mayGoOn: boolean = Reflect.apply(send, connection, args)
          mostBuffered = Math.max(mostBuffered, connection.bufferedAmount)
          return mayGoOn
        }
      })
    })
    const client = await Client.open(t, `${url}/numbers`)
    for (let number = 1; number <= 30_000; number++) {
      const text = await client.text()
      if (text !== `${number}`) throw new Error(`${text} instead of ${number}`)
    }
    t.equal((await client.closed).code, 1000)
    t.ok(mostBuffered > 0 && mostBuffered < 100_000, `${mostBuffered} bytes were buffered of some 200000`)

    const leaver = await Client.open(t, `${url}/numbers`)
    const [connection] = app.websocketServer.clients
    leaver.socket.terminate()
    await once(connection!, 'close')
  },

  async signal (t, example) {
    const { app, url } = await start(t, example)
    const client = await Client.open(t, `${url}/clock`)
    t.match(await client.text(), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    const [connection] = app.websocketServer.clients
    client.socket.terminate()
    await once(connection!, 'close')
    t.ok(connection!.signal.aborted)
  },

  async stream (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/gunzip`)
    const plain = 'as long as it is broad, '.repeat(5000)
    const packed = gzipSync(plain)
    client.socket.send(packed.subarray(0, 100))
    client.socket.send(packed.subarray(100))
    let unpacked = ''
    while (unpacked.length < plain.length) {
      const { data, isBinary } = await client.message()
      t.ok(isBinary)
      unpacked += data.toString()
    }
    t.ok(unpacked === plain)
  },

  async browser (t, example) {
    const { app, url } = await start(t, example)
    const log = t.capture(console, 'log')
    const client = await Client.open(t, `${url}/shout`)
    client.socket.send('hello')
    t.equal(await client.text(), 'HELLO')
    const [connection] = app.websocketServer.clients
    const closed = once(connection!, 'close')
    client.socket.close(1000)
    await closed
    t.strictSame(log().map(({ args }) => args), [[1000, true]])
  },

  async 'async context' (t, example) {
    const { url } = await start(t, example)
    const clients = [await Client.open(t, `${url}/whoami`), await Client.open(t, `${url}/whoami`)]
    for (const client of clients) client.socket.send('?')
    const answers = await Promise.all(clients.map(client => client.text()))
    t.match(answers, [/^you came with req-\d+$/, /^you came with req-\d+$/])
    t.not(answers[0], answers[1])
  }
})
