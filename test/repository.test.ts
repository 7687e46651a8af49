import { access, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from './support/examples.js'

// What a clone costs, and on which Node it can be worked with. Each folder that has a manifest has its own lock.

const { satisfies } = createRequire(import.meta.url)('semver') as { satisfies (version: string, range: string): boolean }

const MANIFESTS = ['.', 'bench', 'examples', 'test/brokers', 'test/compat', 'test/interop', 'test/pack']
/** The oldest Node that there is support for, and the first long-term releases after it. */
const SUPPORTED = ['20.19.0', '22.13.0', '24.11.0', '26.0.0']
/** Of the root, which everybody installs who wants to change something. */
const MOST_PACKAGES = 500

interface Lock {
  packages: Record<string, { engines?: { node?: string }, optional?: boolean }>
}

for (const folder of MANIFESTS) {
  t.test(`the packages of ${folder}`, async t => {
    const text = await readFile(join(ROOT, folder, 'package-lock.json'), 'utf8')
    t.notMatch(text, /https?:\/\/[^"]*\.tgz/, 'the lock names no registry')
    t.match(await readFile(join(ROOT, folder, '.npmrc'), 'utf8'), 'omit-lockfile-registry-resolved=true')

    const { packages } = JSON.parse(text) as Lock
    const installed = Object.entries(packages).filter(([path]) => path.includes('node_modules/'))
    if (folder === '.') t.ok(installed.length <= MOST_PACKAGES, `${installed.length} packages`)
    const warned = installed.filter(([, { engines }]) => !SUPPORTED.every(version => satisfies(version, engines?.node ?? '*')))
    t.strictSame(warned.map(([path, { engines }]) => `${path} wants Node ${engines!.node}`), [])
  })
}

t.test('each example says at its top which command runs it', async t => {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'examples/package.json'), 'utf8')) as { scripts: Record<string, string> }
  for (const [name, script] of Object.entries(scripts)) {
    const file = join(ROOT, 'examples', script.split(' ').find(word => /^[\w-]+\/.*\.[jt]s$/.test(word))!)
    await access(file)
    // npm start is a name for the chat; the tests of an app stand beside the app.
    if (name === 'chat' || name === 'fastify-cli-test') continue
    t.match(await readFile(file, 'utf8'), new RegExp(`^//   npm run example ${name}( |$)`, 'm'), file)
  }
})
