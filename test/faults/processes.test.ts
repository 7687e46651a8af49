import { once } from 'node:events'
import t from 'tap'
import { startProgram, stopProgram } from '../support/child-process.js'
import { RawClient, text } from '../support/raw-client.js'
import { needs } from '../support/system-packages.js'
import { IS_THOROUGH, many, ONLY_THOROUGH } from '../support/thorough.js'
import { startNginx } from '../interop/proxies.js'
import { startAsking, startFaultServer } from './support.js'

/** What a server is blocked for, in milliseconds. */
const BLOCKED = many(1200, 5000)

const HEARTBEAT = { interval: 200, timeout: 300 }

t.test('the process of the clients is killed: all end with 1006, and the server goes on', async t => {
  const server = await startFaultServer(t)
  const honest = await RawClient.open(server.port)
  t.teardown(() => honest.destroy())
  const clients = startAsking(t, 'client.ts', { port: server.port, count: 50 })
  t.equal(await clients.ask('echo'), 50)
  await stopProgram(clients.process, 'SIGKILL')
  await server.clients(1)
  t.strictSame(await server.ask('codes'), Array(50).fill(1006))
  honest.write(text('still there'))
  t.equal((await honest.frame()).payload.toString(), 'still there')
})

t.test('the process of the clients hangs, and so does the server for a while: only those who are dead are given up', async t => {
  const server = await startFaultServer(t, { websocket: { heartbeat: HEARTBEAT } })
  const living = startAsking(t, 'client.ts', { port: server.port, count: 20 })
  const dead = startAsking(t, 'client.ts', { port: server.port, count: 5 })
  t.equal(await living.ask('echo'), 20)
  t.equal(await dead.ask('echo'), 5)
  // Longer than any of them has to answer.
  await server.ask(`block ${BLOCKED}`)
  t.equal(await dead.ask('echo'), 5)
  t.equal(await living.ask('echo'), 20)
  t.strictSame(await server.ask('codes'), [])

  dead.process.kill('SIGSTOP')
  await server.ask(`block ${BLOCKED}`)
  await server.clients(20)
  t.strictSame(await server.ask('codes'), Array(5).fill(1006))
  t.equal(await living.ask('echo'), 20)
  t.strictSame(await living.ask('codes'), [])
})

t.test('B8: SIGTERM during load: 1001 to all, nobody new, and an end', async t => {
  const server = await startFaultServer(t, { websocket: { closeTimeout: 1000 } })
  const clients = startAsking(t, 'client.ts', { port: server.port, count: 30 })
  t.equal(await clients.ask('echo'), 30)
  // One does not answer.
  const silent = await RawClient.open(server.port)
  const flooding = await RawClient.open(server.port)
  const flood = setInterval(() => flooding.write(text('x'.repeat(1000))), 1)
  t.teardown(() => {
    clearInterval(flood)
    flooding.destroy()
    silent.destroy()
  })
  const exited = once(server.process, 'exit')
  await stopProgram(server.process, 'SIGTERM')
  t.strictSame(await exited, [0, null])
  t.strictSame(await silent.closeFrame(), { code: 1001, reason: '' })
  for (;;) {
    const { opcode, payload } = await flooding.frame()
    if (opcode !== 0x8) continue
    t.equal(payload.readUInt16BE(0), 1001, 'behind all echoes')
    break
  }
  while ((await clients.ask<number[]>('codes')).length < 30);
  t.strictSame(await clients.ask('codes'), Array(30).fill(1001))
  await t.rejects(RawClient.connect(server.port), { code: 'ECONNREFUSED' })
})

// That it dies is part of the tests of interoperability too.
t.test('the proxy is killed and started again', IS_THOROUGH ? needs('nginx') : ONLY_THOROUGH, async t => {
  const server = await startFaultServer(t)
  const proxy = await startNginx(t, { target: server.port })
  const clients = startAsking(t, 'client.ts', { port: proxy.port, count: 10 })
  t.equal(await clients.ask('echo'), 10)
  await stopProgram(proxy.process, 'SIGKILL')
  await server.clients(0)
  t.strictSame(await server.ask('codes'), Array(10).fill(1006))
  const [nginx, ...args] = proxy.process.spawnargs
  const again = startProgram(t, nginx!, args)
  await once(again.stderr!, 'data')
  const next = startAsking(t, 'client.ts', { port: proxy.port, count: 10 })
  t.equal(await next.ask('echo'), 10, 'who comes back is served')
})
