import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startApp } from './support/app.js'
import { ROOT } from './support/examples.js'
import { RawClient } from './support/raw-client.js'

const text = await readFile(join(ROOT, 'docs/security.md'), 'utf8')

/** The tests that the tables name: a file, and the name of a test in it. */
const NAMED = [...text.matchAll(/^\|.*\| `(test\/\S+\.ts)`: (.*) \|$/gm)].map(([, file, name]) => ({ file: file!, name: name! }))

t.test('every advisory has a test, and every test that is named is there', async t => {
  const rows = text.split('\n').filter(line => line.startsWith('| ') && /CVE-|GHSA-|CWE-|found by a |^\| a (?:flood|fault)/.test(line))
  for (const row of rows) t.match(row, / \| `test\/\S+\.ts`: .* \|$/, row.slice(0, 60))
  t.ok(NAMED.length > 20)
  for (const { file, name } of NAMED) {
    await access(join(ROOT, file))
    const source = await readFile(join(ROOT, file), 'utf8')
    t.ok(source.includes(`t.test('${name.replaceAll("'", "\\'")}'`), `${file}: ${name}`)
  }
})

t.test('no advisory is named twice, and those of ws are all there', async t => {
  const numbers = [...text.matchAll(/^\| \S+ \(?.*?((?:CVE|GHSA)-[\w-]+)/gm)].map(([, number]) => number)
  t.equal(new Set(numbers).size, numbers.length)
  for (const number of [
    'CVE-2016-10518', 'CVE-2016-10542', 'GHSA-5v72-xg48-5rpm', 'CVE-2021-32640', 'CVE-2024-37890', 'CVE-2026-45736', 'CVE-2026-48779', 'CVE-2026-62389'
  ]) t.ok(text.includes(`\`ws\` ${number}`), number)
})

t.test('C4: a reason that is neither text nor a Buffer is a TypeError, and nothing is sent', async t => {
  const { app, port } = await startApp(t, app => app.get('/', { websocket: true }, () => {}))
  const client = await RawClient.open(port)
  t.teardown(() => client.destroy())
  const [connection] = app.websocketServer.clients
  // CVE-2026-45736: the length in elements was taken for that in bytes. CVE-2016-10518: a number for a length.
  for (const reason of [new Float32Array(20), new Uint16Array(3), new DataView(new ArrayBuffer(8)), new ArrayBuffer(8), 20, [1, 2], { length: 20 }, null, true]) {
    t.throws(() => connection!.close(1000, reason as unknown as string), { name: 'TypeError' })
  }
  t.equal(connection!.readyState, connection!.OPEN)
  connection!.close(1000, Buffer.from('a Buffer'))
  t.strictSame(await client.closeFrame(), { code: 1000, reason: 'a Buffer' })
  t.equal(client.received.length, 0)
})

t.test('the table of limits says what the options\' own documentation does', async t => {
  const types = await readFile(join(ROOT, 'types/options.ts'), 'utf8')
  const options = [...text.matchAll(/^\|[^|]*\| (● )?`(\w+)` \| ([^|]+) \|/gm)].map(([, perRoute, name, value]) => ({ perRoute: perRoute !== undefined, name: name!, value: value! }))
  t.ok(options.length >= 8)
  const [routeOptions] = /interface WebSocketRouteOptions<.*> \{[^]*?\n\}/.exec(types)!
  for (const { perRoute, name } of options) {
    t.match(types, new RegExp(`^  ${name}\\?:`, 'm'), name)
    t.equal(new RegExp(`^  ${name}\\?:`, 'm').test(routeOptions), perRoute, `${name} per route`)
  }
})
