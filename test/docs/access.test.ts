import cookie from '@fastify/cookie'
import { Client, refusal, runChecks, start } from './support.js'

runChecks({
  async authentication (t, example) {
    const { app, url } = await start(t, example)
    t.match(await refusal(`${url}/private`), { status: 401, body: '{"error":"log in first"}' })
    t.match(await refusal(`${url}/private`, { headers: { cookie: 'user=ada' } }), { status: 401 }, 'anybody can write that')
    const signed = encodeURIComponent(app.signCookie('ada'))
    const client = await Client.open(t, `${url}/private`, [], { headers: { cookie: `user=${signed}` } })
    t.equal(await client.text(), 'welcome, ada')
    t.match(client.headers, { 'set-cookie': [`user=${signed}; Max-Age=604800; HttpOnly; SameSite=Lax`] })
    t.equal(typeof cookie, 'function')
  },

  async origins (t, example) {
    const { url } = await start(t, example)
    t.equal(await (await Client.open(t, `${url}/public`, [], { origin: 'https://evil.example' })).text(), 'hello, world')
    for (const origin of [url.replace('ws:', 'http:'), 'https://app.example.com', 'https://team.example.org', undefined]) {
      const client = await Client.open(t, `${url}/partners`, [], origin === undefined ? {} : { origin })
      t.equal(await client.text(), 'hello, partner', origin ?? 'no page')
    }
    for (const origin of ['https://evil.example', 'http://127.0.0.1:1', 'http://team.example.org', 'https://team.example.org.evil.example', 'null']) {
      t.equal((await refusal(`${url}/partners`, { origin })).status, 403, origin)
    }
  },

  async developmentOrigin (t, example) {
    const { url } = await start(t, example)
    t.equal(await (await Client.open(t, `${url}/feed`, [], { origin: 'http://localhost:5173' })).text(), 'hello, page')
    const origin = 'http://localhost:5174'
    const { host } = new URL(url)
    t.match(await refusal(`${url}/feed`, { origin }), { status: 403, body: `Origin '${origin}' is not allowed by option 'origin': 'same-origin' means the host of the request, '${host}'` })
  }
})
