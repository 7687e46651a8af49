import { access } from 'node:fs/promises'
import t from 'tap'
import Fastify, { type FastifyInstance } from 'fastify'
import websocket from '../../lib/index.js'
import { close, RawClient, text } from '../support/raw-client.js'
import { startFaultServer } from './support.js'

const hasFull = await access('/dev/full').then(() => true, () => false)

t.test('the disk is full for the log: connections are served, and end, as always', hasFull ? {} : { skip: 'there is no /dev/full' }, async t => {
  const server = await startFaultServer(t, { logFile: '/dev/full' })
  for (let i = 0; i < 20; i++) {
    const client = await RawClient.open(server.port)
    client.write(text('hello'))
    t.equal((await client.frame()).payload.toString(), 'hello')
    client.write(i % 2 === 0 ? close(1000) : text('x', { mask: null }))
    t.equal((await client.closeFrame()).code, i % 2 === 0 ? 1000 : 1002)
    await client.ended
    client.destroy()
  }
  const thrown = await RawClient.open(server.port, '/throws')
  t.equal((await thrown.closeFrame()).code, 1011)
  thrown.end()
  await server.clients(0)
  t.equal((await server.ask<number[]>('codes')).length, 20, 'close is emitted for each')
  t.ok(await server.ask<number>('log-errors') > 0)
})

t.test('a log that throws: the connection is forgotten, close is emitted, and the process lives', async t => {
  const thrown: Error[] = []
  let isFull = false
  const stream = {
    write (): void {
      if (isFull) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    }
  }
  const app = Fastify({ logger: { level: 'info', stream } }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket)
  const codes: number[] = []
  app.get('/', { websocket: true }, connection => {
    connection.on('message', data => {
      if (data.toString() === 'throw') throw new Error('thrown by a listener')
      connection.send(data)
    })
    connection.on('close', code => codes.push(code))
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as { port: number }
  const onUncaught = (error: Error): void => { thrown.push(error) }
  process.on('uncaughtException', onUncaught)
  t.teardown(() => process.off('uncaughtException', onUncaught))

  for (const [bytes, code] of [[close(1000), 1000], [text('x', { mask: null }), 1002], [text('throw'), 1011]] as const) {
    const client = await RawClient.open(port)
    const [connection] = app.websocketServer.clients
    isFull = true
    const closed = new Promise(resolve => connection!.on('close', resolve))
    client.write(bytes)
    t.equal((await client.closeFrame()).code, code)
    client.write(close(code))
    client.end()
    await closed
    await client.closed
    isFull = false
    t.equal(app.websocketServer.clients.size, 0)
  }
  t.strictSame(codes.length, 3)
  t.strictSame(thrown, [])
})
