import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../support/examples.js'
import { Client, runChecks, start } from './support.js'

t.test('docs/integrations.md names the versions that are tested', async t => {
  const locks = await Promise.all(['.', 'test/interop', 'test/compat', 'examples'].map(async folder =>
    JSON.parse(await readFile(join(ROOT, folder, 'package-lock.json'), 'utf8')).packages as Record<string, { name?: string, version: string }>))
  const tested = new Set(locks.flatMap(packages =>
    Object.entries(packages).map(([path, { name, version }]) => `${name ?? path.split('node_modules/').pop()} ${version}`)))
  const text = await readFile(join(ROOT, 'docs/integrations.md'), 'utf8')
  const named = [...text.matchAll(/`((?:@[\w-]+\/)?[\w.-]+)` (\d+\.\d+\.\d+)/g)].map(([, name, version]) => `${name} ${version}`)
  t.ok(named.length > 20, `${named.length} versions`)
  // examples/yjs has the server's part of that version
  t.strictSame(named.filter(entry => !tested.has(entry) && entry !== 'y-websocket 2.1.0'), [])
})

runChecks({
  async session (t, example) {
    const { url } = await start(t, example)
    const first = await Client.open(t, `${url}/visits`)
    t.equal(await first.text(), 'visit 1')
    const [cookie] = String(first.headers['set-cookie']).split(';')
    const second = await Client.open(t, `${url}/visits`, [], { headers: { cookie: cookie! } })
    t.equal(await second.text(), 'visit 2')
  },

  // test/interop/coexistence/vite.test.ts runs it.
  async 'vite config' (t, { text }) {
    const { default: config } = await import(`data:text/javascript,${encodeURIComponent(text)}`)
    t.strictSame(config, { server: { proxy: { '/ws': { target: 'http://localhost:3000', ws: true } } } })
  }
})
