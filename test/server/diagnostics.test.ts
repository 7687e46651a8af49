import t from 'tap'
import diagnosticsChannel from 'node:diagnostics_channel'
import { text } from 'node:stream/consumers'
import Fastify from 'fastify'
import websocket from '../../lib/index.js'
import { startProgram } from '../support/child-process.js'
import { compiledProgram } from '../support/programs.js'

t.test('what a subscriber throws is uncaught, as Node has it, and disturbs nobody else', async t => {
  const { file, loader } = compiledProgram(new URL('throwing-subscribers.ts', import.meta.url))
  const child = startProgram({ teardown: t.teardown.bind(t), fail: () => {} } as never, process.execPath, [...loader, file], {
    env: { ...process.env, NODE_OPTIONS: '' }
  })
  t.strictSame(JSON.parse(await text(child.stdout!)), {
    answer: 'hello',
    code: 1011,
    refused: 404,
    heard: ['close', 'error', 'open', 'refused'],
    uncaught: ['close threw', 'error threw', 'open threw', 'refused threw']
  })
})

t.test('whatever is published on fastify.initialization, our subscriber does not throw', async t => {
  const thrown: unknown[] = []
  const onUncaught = (error: unknown): void => { thrown.push(error) }
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', onUncaught)
  t.teardown(() => {
    process.off('uncaughtException', onUncaught)
    for (const listener of before) process.on('uncaughtException', listener)
  })
  const channel = diagnosticsChannel.channel('fastify.initialization')
  const app = Fastify()
  t.teardown(() => app.close())
  for (const message of [undefined, null, {}, { fastify: null }, { fastify: {} }, { fastify: { server: {}, addHook () { throw new Error('no') } } }]) channel.publish(message)
  await app.ready()
  // Too late for a hook.
  channel.publish({ fastify: app })
  await new Promise(resolve => setImmediate(resolve))
  t.strictSame(thrown, [])

  const other = Fastify()
  t.teardown(() => other.close())
  await other.register(websocket)
  other.get('/', { websocket: true }, connection => connection.send('hello'))
  const client = await other.injectWS('/')
  const [data] = await new Promise<[Buffer]>(resolve => client.once('message', (...args) => resolve(args as unknown as [Buffer])))
  t.equal(data.toString(), 'hello')
  client.terminate()
})
