import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import type { InjectWSError } from '../../lib/index.js'
import type { Example } from '../support/examples.js'
import { frame, RawClient, upgradeRequest } from '../support/raw-client.js'
import { Client, fileOf, load, project, replaceAll, runChecks, startProcess } from './support.js'

/** What docs/closing.md says of a SIGTERM under load: the same program, with an echo, a hook that hangs, and less time. */
async function checkDrain (t: Test, { text }: Example): Promise<void> {
  const program = replaceAll(text, {
    'closeTimeout: 5000': 'closeTimeout: 500',
    'await app.listen': `app.get('/echo', { websocket: true }, connection => {
  connection.on('message', data => connection.send(data))
  connection.on('close', code => console.log('code', code, connection.signal.aborted))
})
app.get('/hangs', { websocket: true, preHandler: () => new Promise(() => {}) }, () => {})
await app.listen`
  })
  const file = join(project, 'drain.ts')
  await writeFile(file, program)
  const { child, url, lines } = await startProcess(t, file)
  const port = Number(new URL(url).port)
  const host = '127.0.0.1'

  // Those who talk all the time, and answer a Close frame.
  const talkers = await Promise.all(Array.from({ length: 20 }, () => Client.open(t, `${url}/echo`)))
  for (const talker of talkers) {
    const say = (): void => { if (talker.socket.readyState === WebSocket.OPEN) talker.socket.send('x'.repeat(1000)) }
    for (let i = 0; i < 10; i++) say()
    talker.socket.on('message', say)
  }
  // Those who talk, and do not answer it.
  const deaf = await Promise.all(Array.from({ length: 5 }, () => RawClient.open(port, '/echo')))
  const message = frame(2, 'y'.repeat(1000))
  const babble = setInterval(() => { for (const one of deaf) one.write(message) }, 5)
  t.teardown(() => clearInterval(babble))
  // And who is still in a hook, or has not said what he wants.
  const hanging = await RawClient.connect(port, host)
  hanging.write(upgradeRequest('/hangs'))
  const late = await RawClient.connect(port, host)
  late.write(upgradeRequest('/echo').slice(0, 40))
  await Promise.all(talkers.map(talker => talker.message()))

  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  for (const talker of talkers) {
    t.equal((await talker.closed).code, 1001)
  }
  t.equal((await hanging.head()).status, 503)
  // The others are still waited for: refused, unless this machine is so slow that all is over by now.
  late.write(upgradeRequest('/echo').slice(40))
  for (const client of [late, await RawClient.connect(port, host).catch(() => null)]) {
    if (client !== late) client?.write(upgradeRequest('/echo'))
    const status = await client?.head().then(head => head.status, () => null)
    t.ok(status === 503 || status === null || status === undefined, `${status}`)
    client?.destroy()
  }
  await Promise.all(deaf.map(one => one.closed))
  t.strictSame(await exited, [0, null])
  const ends = lines.filter(line => line.startsWith('code '))
  t.equal(ends.filter(line => line === 'code 1001 true').length, 20)
  t.equal(ends.filter(line => line === 'code 1006 true').length, 5)
}

runChecks({
  // The example has its own assertions. It is over when its module has been loaded, and has closed the app.
  async testing (t, example) {
    const app = await load(t, example)
    const { statusCode } = await app.injectWS('/echo').then(() => ({ statusCode: 101 }), (error: InjectWSError) => error)
    t.equal(statusCode, 503)
  },

  async closing (t, example) {
    const { child, url } = await startProcess(t, fileOf(example))
    const client = await Client.open(t, url)
    t.equal(await client.text(), 'hello')
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    t.equal(await client.text(), 'we are back in a minute')
    t.equal((await client.closed).code, 1001)
    t.strictSame(await exited, [0, null])
    await checkDrain(t, example)
  }
})
