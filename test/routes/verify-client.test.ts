import t from 'tap'
import type { InjectWSError, VerifyClient, VerifyClientInfo, WebSocketPluginOptions } from '../../lib/index.js'
import { echo, startApp, type TestApp, type Teardown } from '../support/app.js'

// `options.verifyClient`, for those who come from `ws`: one parameter, two, async, and failing in each way.

type Verified = Omit<InjectWSError, keyof Error>

async function start (t: Teardown, verifyClient: VerifyClient, options: WebSocketPluginOptions = {}): Promise<TestApp> {
  return startApp(t, echo, { ...options, options: { verifyClient } })
}

/** What the upgrade is answered with: `null` is 101. */
async function upgrade ({ app }: TestApp, headers: Record<string, string> = {}): Promise<Verified | null> {
  try {
    const client = await app.injectWS('/', { headers })
    client.terminate()
    return null
  } catch (error) {
    return error as Verified
  }
}

t.test('of one parameter: what it returns decides, the refusal is 401', async t => {
  const seen: VerifyClientInfo[] = []
  const testApp = await start(t, info => {
    seen.push(info)
    return info.req.headers['x-token'] === 'right'
  }, { origin: '*' })
  t.equal(await upgrade(testApp, { 'x-token': 'right', origin: 'https://example.com' }), null)
  t.match(await upgrade(testApp, { 'x-token': 'wrong' }), { statusCode: 401, headers: { connection: 'close' } })
  t.match(seen, [{ origin: 'https://example.com', secure: false }, { origin: undefined, secure: false }])
})

t.test('async, of one parameter: no promise is taken for a yes', async t => {
  const verifyClient = (async (info: VerifyClientInfo) => info.req.headers['x-token'] === 'right') as unknown as VerifyClient
  const testApp = await start(t, verifyClient)
  t.equal(await upgrade(testApp, { 'x-token': 'right' }), null)
  t.match(await upgrade(testApp, { 'x-token': 'wrong' }), { statusCode: 401 })
})

t.test('of two parameters: the callback decides, with status, reason and header fields', async t => {
  const testApp = await start(t, (info, answer) => {
    if (info.req.headers['x-token'] === 'right') setImmediate(answer, true)
    else if (info.req.headers['x-token'] === 'bare') answer(false)
    else answer(false, 429, 'Not now', { 'Retry-After': '7' })
  })
  t.equal(await upgrade(testApp, { 'x-token': 'right' }), null)
  t.match(await upgrade(testApp, { 'x-token': 'bare' }), { statusCode: 401 })
  t.match(await upgrade(testApp), { statusCode: 429, headers: { 'retry-after': '7' }, body: /Not now/ })
})

t.test('async with a callback: what it tells counts, not that it returned', async t => {
  const testApp = await start(t, async (info, answer) => {
    await new Promise(resolve => setImmediate(resolve))
    answer(info.req.headers['x-token'] === 'right', 403)
  })
  t.equal(await upgrade(testApp, { 'x-token': 'right' }), null)
  t.match(await upgrade(testApp), { statusCode: 403 })
})

t.test('one that throws or rejects refuses with 500, and the process lives', async t => {
  const failing: Record<string, VerifyClient> = {
    'of one parameter, throwing': info => { throw new Error(`boom ${info.secure}`) },
    'of two parameters, throwing': (info, answer) => { throw new Error(`boom ${info.secure} ${typeof answer}`) },
    'async, rejecting before it has told': async (info, answer) => {
      await new Promise(resolve => setImmediate(resolve))
      throw new Error(`boom ${info.secure} ${typeof answer}`)
    }
  }
  for (const [name, verifyClient] of Object.entries(failing)) {
    t.match(await upgrade(await start(t, verifyClient)), { statusCode: 500, body: /boom false/ }, name)
  }
})

t.test('it is not asked about what the origin policy refuses', async t => {
  let asked = 0
  const testApp = await start(t, () => {
    asked++
    return true
  })
  t.match(await upgrade(testApp, { origin: 'https://evil.example' }), { statusCode: 403 })
  t.equal(asked, 0)
  t.equal(await upgrade(testApp, { origin: 'http://localhost:80' }), null)
  t.equal(asked, 1)
})
