import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyPluginCallback } from 'fastify'
import t from 'tap'
import websocket from '../../lib/index.js'
import { echoOver, startBeside } from '../coexistence/neighbours.js'

// Its declarations clash with ours.
const fastifyWebsocket = createRequire(import.meta.url)('@fastify/websocket') as FastifyPluginCallback

t.test('our plugin on an app that has @fastify/websocket is a clear error', async t => {
  const first = Fastify()
  t.teardown(() => first.close())
  await first.register(fastifyWebsocket)
  await t.rejects(async () => { await first.register(websocket) }, /already registered.*@fastify\/websocket/)
})

t.test('@fastify/websocket on another app of the same process', async t => {
  const theirs = Fastify() as FastifyInstance
  t.teardown(() => theirs.close())
  await theirs.register(fastifyWebsocket)
  theirs.get('/ws', { websocket: true }, connection => {
    connection.on('message', data => connection.send(`theirs: ${String(data)}`))
  })
  await theirs.listen({ port: 0, host: '127.0.0.1' })
  const { url } = await startBeside(t, 'before our plugin', () => {})
  t.equal(await echoOver(t, `ws://127.0.0.1:${(theirs.server.address() as AddressInfo).port}/ws`, 'hello'), 'theirs: hello')
  t.equal(await echoOver(t, `${url}/ws`, 'hello'), 'hello')
})
