import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createProject, typeCheck, type Example } from '../support/examples.js'
import { close, RawClient, text } from '../support/raw-client.js'
import { byName, Client, fileOf, prepareExamples, refusal, replaceAll, runChecks, start, startProcess, testCoverage, writeExample, type Running } from '../docs/support.js'

// The examples of docs/authentication.md, which need @fastify/jwt.

const project = await createProject(t, import.meta.dirname)
const examples = await prepareExamples(['docs/authentication.md'], project)

interface Jwt { sign: (payload: object, options?: object) => string }

function jwtOf (app: FastifyInstance): Jwt {
  return (app as FastifyInstance & { jwt: Jwt }).jwt
}

/** Wrong tokens: nothing, anything, one with another signature, and one that has expired. */
function wrongTokens (app: FastifyInstance): string[] {
  const [head, payload] = jwtOf(app).sign({ sub: 'ada' }).split('.')
  return ['x', `${head}.${payload}.AAAA`, jwtOf(app).sign({ sub: 'ada', exp: 1 })]
}

/** Runs the part of an example that is for a page, against a server. Returns its socket. */
async function runPage (t: Test, { text }: Example, { url }: Running, token: string): Promise<WebSocket> {
  const script = text.replaceAll('wss://example.com', url).replaceAll('https://example.com', url.replace('ws:', 'http:'))
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor
  const socket = await AsyncFunction('WebSocket', 'token', `${script}\nreturn socket`)(WebSocket, token) as WebSocket
  t.teardown(() => socket.terminate())
  return socket
}

/** Starts the server of an example, runs the page of it, and returns the first message that the page gets. */
async function pageGets (t: Test, page: Example): Promise<{ running: Running, socket: WebSocket, message: string }> {
  const running = await start(t, byName.get(page.name.replace(', page', ''))!)
  const socket = await runPage(t, page, running, jwtOf(running.app).sign({ sub: 'ada' }, { expiresIn: '1m' }))
  const message = await new Promise<string>(resolve => socket.once('message', data => resolve(String(data))))
  return { running, socket, message }
}

/** The same example, with other values in it. */
async function variant (example: Example, name: string, replacements: Record<string, string>): Promise<Example> {
  const changed = { ...example, name: `${example.name} ${name}`, text: replaceAll(example.text, replacements) }
  await writeExample(changed, project)
  return changed
}

runChecks({
  async 'token in a cookie' (t, example) {
    const { app, url } = await start(t, example)
    const { headers } = await app.inject({ method: 'POST', url: '/login' })
    const [, token] = /^token=([\w.-]+); Max-Age=900; Path=\/; HttpOnly; Secure; SameSite=Strict$/.exec(String(headers['set-cookie']))!
    const client = await Client.open(t, `${url}/feed`, [], { headers: { cookie: `token=${token}` } })
    t.equal(await client.text(), 'welcome, ada')
    for (const wrong of wrongTokens(app)) t.equal((await refusal(`${url}/feed`, { headers: { cookie: `token=${wrong}` } })).status, 401)
    t.equal((await refusal(`${url}/feed`)).status, 401)
    const page = { headers: { cookie: `token=${token}` }, origin: 'https://evil.example' }
    t.equal((await refusal(`${url}/feed`, page)).status, 403, 'a page of another site has the cookie too, if the browser sends it')
  },

  async 'token in the subprotocol' (t, example) {
    const { app, url } = await start(t, example)
    const token = jwtOf(app).sign({ sub: 'ada' }, { expiresIn: '1m' })
    for (const protocols of [['chat.v1', `bearer.${token}`], [`bearer.${token}`, 'chat.v1']]) {
      const client = await Client.open(t, `${url}/chat`, protocols)
      t.equal(await client.text(), 'welcome to chat.v1, ada')
      t.notMatch(JSON.stringify(client.headers), token, 'it is not sent back')
    }
    const offer = (protocols: string): Promise<{ status: number }> => refusal(`${url}/chat`, { headers: { 'sec-websocket-protocol': protocols } })
    t.equal((await offer('chat.v1')).status, 400)
    for (const wrong of wrongTokens(app)) t.equal((await offer(`chat.v1, bearer.${wrong}`)).status, 401)
  },

  async 'token in the subprotocol, page' (t, example) {
    const { socket, message } = await pageGets(t, example)
    t.equal(message, 'welcome to chat.v1, ada')
    t.equal(socket.protocol, 'chat.v1')
  },

  async 'token in the first message' (t, example) {
    const { app, url } = await start(t, example)
    const client = await RawClient.open(Number(new URL(url).port), '/chat')
    t.teardown(() => client.destroy())
    const token = jwtOf(app).sign({ sub: 'ada' }, { expiresIn: '1m' })
    client.write(Buffer.concat([text(token), text('one'), text('two')]))
    for (const expected of ['welcome, ada', 'ada says one', 'ada says two']) t.equal((await client.frame()).payload.toString(), expected)
    client.destroy()

    for (const wrong of wrongTokens(app)) {
      const client = await Client.open(t, `${url}/chat`)
      client.socket.send(wrong)
      client.socket.send('is anybody there?')
      t.strictSame(await client.closed, { code: 4401, reason: 'log in first' })
    }

    const hasty = await start(t, await variant(example, 'hasty', { '5_000': '50' }))
    const late = await Client.open(t, `${hasty.url}/chat`)
    t.strictSame(await late.closed, { code: 4401, reason: 'no token in time' })
    const gone = await Client.open(t, `${hasty.url}/chat`)
    gone.socket.terminate()
  },

  async 'token in the first message, page' (t, example) {
    const { message } = await pageGets(t, example)
    t.equal(message, 'welcome, ada')
  },

  async 'token in the query' (t, example) {
    // It has a log of its own, which is what this is about.
    const { url, lines } = await startProcess(t, fileOf(await variant(example, 'logged', {
      'await app.listen': "console.log('token', app.jwt.sign({ sub: 'ada' }, { expiresIn: '1m' }))\nawait app.listen"
    })))
    const [, token] = lines.find(line => line.startsWith('token '))!.split(' ')
    const logged = (): string[] => lines.filter(line => line.startsWith('{'))
    const client = await Client.open(t, `${url}/feed?token=${token}`)
    t.equal(await client.text(), 'welcome, ada')
    client.socket.close()
    await client.closed
    t.equal((await refusal(`${url}/feed?token=${token}x`)).status, 401)
    t.equal((await refusal(`${url}/feed?tok%65n=${token}&token=x`)).status, 401)
    t.equal((await refusal(`${url}/nowhere?token=${token}`)).status, 404)
    t.equal((await refusal(`${url}/feed`)).status, 400)
    // The line of the last answer may come after it.
    while (logged().filter(line => line.includes('"req-5"')).length < 2) await new Promise(resolve => setImmediate(resolve))
    t.equal(logged().filter(line => line.includes('"url":"/feed"')).length, 4)
    t.notOk(logged().some(line => line.includes(token!) || line.includes('token=')))
  },

  async ticket (t, example) {
    const { app, url } = await start(t, example)
    const authorization = `Bearer ${jwtOf(app).sign({ sub: 'ada' }, { expiresIn: '1m' })}`
    t.equal((await app.inject({ method: 'POST', url: '/ticket' })).statusCode, 401)
    const { ticket } = (await app.inject({ method: 'POST', url: '/ticket', headers: { authorization } })).json()
    t.match(ticket, /^[\w-]{22}$/)
    t.equal(await (await Client.open(t, `${url}/feed?ticket=${ticket}`)).text(), 'welcome, ada')
    for (const wrong of [ticket, '', 'x']) t.equal((await refusal(`${url}/feed?ticket=${wrong}`)).status, 401)
    t.equal((await refusal(`${url}/feed`)).status, 400)

    const hasty = await start(t, await variant(example, 'hasty', { '10_000': '1' }))
    const answer = await hasty.app.inject({ method: 'POST', url: '/ticket', headers: { authorization } })
    await new Promise(resolve => setTimeout(resolve, 2))
    t.equal((await refusal(`${hasty.url}/feed?ticket=${answer.json().ticket}`)).status, 401)
  },

  async 'ticket, page' (t, example) {
    const { message } = await pageGets(t, example)
    t.equal(message, 'welcome, ada')
  },

  async expiry (t, example) {
    // A hundred times faster than it is printed, so that no token is too old when it arrives.
    const { app, url } = await start(t, await variant(example, 'fast', { 'exp * 1000 - Date.now()': '(exp * 1000 - Date.now()) / 100' }))
    const inSeconds = (seconds: number): number => Math.ceil(Date.now() / 1000) + seconds
    const [minute, hours, years] = [60, 24 * 3600, 20 * 365 * 24 * 3600]
    const open = (sub: string, left: number): Promise<Client> => {
      return Client.open(t, `${url}/live`, [], { headers: { authorization: `Bearer ${jwtOf(app).sign({ sub, exp: inSeconds(left) })}` } })
    }
    const [lasting, another, renewed, expiring, stranger] = await Promise.all([
      open('ada', years), open('ada', hours), open('ada', hours), open('ada', minute), open('grace', hours)
    ])
    renewed.socket.send(JSON.stringify({ token: jwtOf(app).sign({ sub: 'ada', exp: inSeconds(minute) }) }))
    for (const client of [expiring, renewed]) t.strictSame(await client.closed, { code: 4401, reason: 'the token has expired' })
    for (const client of [lasting, another, stranger]) {
      client.socket.send('{"text":"hello"}')
      t.equal(await client.text(), '{"said":"hello"}')
    }

    for (const token of [jwtOf(app).sign({ sub: 'grace', exp: inSeconds(hours) }), ...wrongTokens(app), 1]) {
      const client = await open('ada', hours)
      client.socket.send(JSON.stringify({ token }))
      t.strictSame(await client.closed, { code: 4401, reason: 'log in again' })
    }

    const authorization = `Bearer ${jwtOf(app).sign({ sub: 'ada', exp: inSeconds(hours) })}`
    const deaf = await RawClient.open(Number(new URL(url).port), '/live', { Authorization: authorization })
    t.teardown(() => deaf.destroy())
    t.equal((await app.inject({ method: 'POST', url: '/logout', headers: { authorization } })).statusCode, 204)
    for (const client of [lasting, another]) t.strictSame(await client.closed, { code: 4401, reason: 'logged out' })
    t.equal((await deaf.closeFrame()).code, 4401)
    deaf.socket.on('end', () => deaf.end())
    deaf.write(Buffer.concat([text('{"text":"am I still here?"}'), close(4401)]))
    await deaf.closed
    t.equal(deaf.received.length, 0, 'a connection that closes handles no messages')
    stranger.socket.send('{"text":"still here"}')
    t.equal(await stranger.text(), '{"said":"still here"}')
    t.equal(app.websocketServer.clients.size, 1)
  }
})

t.test('every example has a check, and is typed', async t => {
  await testCoverage(t, examples, [import.meta.filename])
  await typeCheck(project)
})
