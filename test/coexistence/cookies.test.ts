import { createHash, randomBytes } from 'node:crypto'
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { ACCEPT, RawClient, upgradeRequest } from '../support/raw-client.js'
import { openWs, refusal, startBeside } from './neighbours.js'

declare module 'fastify' {
  interface Session {
    visits?: number
  }
}

for (const order of ['before our plugin', 'after our plugin'] as const) {
  t.test(`A13: @fastify/cookie, registered ${order}`, async t => {
    const { port, url } = await startBeside(t, order, async app => { await app.register(cookie, { secret: 'a secret' }) }, {
      configure: app => {
        app.get('/cookies', {
          websocket: true,
          preValidation: async (request, reply) => {
            if (request.cookies.user === undefined) return reply.code(401).setCookie('why', 'no user').send('who are you?')
            reply.setCookie('seen', request.cookies.user, { path: '/', httpOnly: true })
            reply.setCookie('signed', 'value', { signed: true })
          }
        }, (connection, request) => {
          const signed = request.cookies.signed
          connection.send(JSON.stringify({ user: request.cookies.user, signed: signed === undefined ? null : request.unsignCookie(signed).valid }))
        })
      }
    })

    const client = await RawClient.connect(port)
    client.write(upgradeRequest('/cookies', { Cookie: 'user=ann; other=1' }))
    const { head, headers } = await client.head()
    t.equal(headers['sec-websocket-accept'], ACCEPT)
    const lines = head.split('\r\n').filter(line => /^set-cookie:/i.test(line))
    t.equal(lines.length, 2, 'each on a line of its own')
    t.match(lines[0], /^set-cookie: seen=ann; Path=\/; HttpOnly; SameSite=Lax$/i)
    t.match(lines[1], /^set-cookie: signed=value\./i)
    t.strictSame(JSON.parse((await client.frame()).payload.toString()), { user: 'ann', signed: null })
    client.destroy()

    const signed = /signed=([^;]+)/.exec(lines[1]!)![1]!
    const { messages } = await openWs(t, `${url}/cookies`, [], { headers: { cookie: `user=ann; signed=${signed}` } })
    t.strictSame(JSON.parse((await messages.next()).value), { user: 'ann', signed: true })

    const refused = await refusal(port, upgradeRequest('/cookies'))
    t.equal(refused.status, 401)
    t.equal(refused.headers['set-cookie'], 'why=no%20user; SameSite=Lax')
    t.equal(refused.body, 'who are you?')
  })

  t.test(`A13: @fastify/session, registered ${order}`, async t => {
    const attach = async (app: FastifyInstance): Promise<void> => {
      await app.register(cookie)
      await app.register(session, { secret: createHash('sha512').update(randomBytes(8)).digest('hex'), cookie: { secure: false } })
    }
    const { app, url, port } = await startBeside(t, order, attach, {
      configure: app => {
        app.get('/visits', {
          websocket: true,
          preValidation: async request => { request.session.visits = (request.session.visits ?? 0) + 1 }
        }, (connection, request) => {
          connection.send(String(request.session.visits))
          // What is written later has to be saved by hand: the response is long over.
          connection.on('message', async () => {
            request.session.visits = 100
            await request.session.save()
            connection.send('saved')
          })
        })
        app.get('/login', async request => {
          request.session.visits = 10
          return 'logged in'
        })
      }
    })

    const first = await openWs(t, `${url}/visits`)
    const setCookie = first.headers['set-cookie']
    t.match(setCookie, [/^sessionId=[^;]+; Path=\/; HttpOnly/])
    t.equal((await first.messages.next()).value, '1')
    const headers = { cookie: String(setCookie).split(';')[0]! }
    const second = await openWs(t, `${url}/visits`, [], { headers })
    t.equal((await second.messages.next()).value, '2', 'the session of the 101 is known to the next connection')
    second.client.send('save')
    t.equal((await second.messages.next()).value, 'saved')
    const third = await openWs(t, `${url}/visits`, [], { headers })
    t.equal((await third.messages.next()).value, '101')

    const login = await fetch(`http://127.0.0.1:${port}/login`)
    const afterLogin = await openWs(t, `${url}/visits`, [], { headers: { cookie: login.headers.get('set-cookie')!.split(';')[0]! } })
    t.equal((await afterLogin.messages.next()).value, '11', 'and that of a page')

    const injected = await app.injectWS('/visits', { headers })
    t.teardown(() => injected.terminate())
    t.equal((await injected[Symbol.asyncIterator]().next()).value, '102')
  })
}
