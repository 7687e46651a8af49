import t from 'tap'
import { drain } from '../../lib/server/drain.js'
import { CloseCode } from '../../lib/index.js'
import { echo, startApp } from '../support/app.js'
import { RawClient, upgradeRequest } from '../support/raw-client.js'

// `drainTime`: clients of a server that closes come back one after the other.

interface Scripted {
  maySend: boolean
  closedAt: number
  close (code: number, reason: string): void
}

function scripted (count: number): { sessions: Scripted[], order: number[] } {
  const order: number[] = []
  const sessions = Array.from({ length: count }, (_, i): Scripted => ({
    maySend: true,
    closedAt: -1,
    close (code, reason) {
      t.same([code, reason], [CloseCode.SERVICE_RESTART, 'retry=0'])
      this.maySend = false
      this.closedAt = performance.now()
      order.push(i)
    }
  }))
  return { sessions, order }
}

t.test('evenly, in random order, each once', async t => {
  const { sessions, order } = scripted(500)
  const began = performance.now()
  await drain(sessions, 300)
  t.equal(order.length, 500)
  t.same(order.toSorted((a, b) => a - b), sessions.map((_, i) => i))
  t.ok(order.filter((one, i) => i > 0 && one > order[i - 1]!).length < 400, 'not in the order in which they came')
  // A machine that stands still closes more of them at a time, and never too early.
  for (const [i, at] of sessions.map(({ closedAt }) => closedAt - began).toSorted((a, b) => a - b).entries()) {
    t.ok(at >= 300 * i / 500 - 2, `connection ${i} after ${at} ms`)
  }
})

t.test('connections that leave by themselves do not prolong it', async t => {
  const { sessions, order } = scripted(3)
  const draining = drain(sessions, 2 ** 30)
  for (const session of sessions) session.maySend = false
  await draining
  t.same(order, [])
})

t.test('none', async () => await drain([], 1000))

for (const http2 of [false, true]) {
  t.test(`app.close(): connections get 1012 and new ones 503${http2 ? ', over HTTP/2' : ''}`, async t => {
    const { app, port } = await startApp(t, echo, { drainTime: 500 }, { http2 })
    const clients = await Promise.all(Array.from({ length: 20 }, () => app.injectWS('/')))
    const late = http2 ? null : await RawClient.connect(port)
    const closing = app.close()
    if (late !== null) {
      late.write(upgradeRequest('/'))
      t.equal((await late.head()).status, 503)
      late.destroy()
    }
    for (const closed of await Promise.all(clients.map(client => client.closed))) t.same(closed, { code: 1012, reason: 'retry=0' })
    await closing
  })
}

t.test('it ends in time for the pluginTimeout of Fastify, with a warning beforehand', async t => {
  const lines: string[] = []
  const { app } = await startApp(t, echo, { drainTime: 60_000 }, {
    pluginTimeout: 2_000,
    logger: { level: 'warn', stream: { write: (line: string) => lines.push(line) } }
  })
  t.match(lines.join(), /'drainTime' \(60000 ms\) does not fit into Fastify's pluginTimeout \(2000 ms\)/)
  const clients = await Promise.all(Array.from({ length: 5 }, () => app.injectWS('/')))
  await app.close()
  for (const client of clients) t.equal((await client.closed).code, 1012)
})
