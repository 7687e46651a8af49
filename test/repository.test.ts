import { execFile } from 'node:child_process'
import { access, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { parse } from 'yaml'
import { filesIn } from '../scripts/files.js'
import { ROOT } from './support/examples.js'

// What a clone costs, and on which Node it can be worked with. Each folder that has a manifest has its own lock.

const { satisfies } = createRequire(import.meta.url)('semver') as { satisfies (version: string, range: string): boolean }

const MANIFESTS = ['.', 'bench', 'docs', 'examples', 'test/brokers', 'test/compat', 'test/interop', 'test/pack', 'test/site']
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

interface Workflow {
  on: { push: { tags: string[] } }
  permissions: Record<string, string>
  jobs: { publish: { permissions: Record<string, string>, steps: { name?: string, uses?: string, run?: string }[] } }
}

t.test('the workflow that publishes', async t => {
  const text = await readFile(join(ROOT, '.github/workflows/publish.yml'), 'utf8')
  const { on, permissions, jobs: { publish } } = parse(text) as Workflow
  t.strictSame(on, { push: { tags: ['v*'] } })

  t.test('may only read, and prove who it is', async t => {
    t.strictSame(permissions, { contents: 'read' })
    t.strictSame(publish.permissions, { contents: 'read', 'id-token': 'write' })
    t.notMatch(text, /secrets\.|TOKEN/)
  })

  t.test('runs scripts that there are, and publishes last', async t => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    for (const [, name] of text.matchAll(/npm run (?:--silent )?([\w:]+)/g)) t.ok(name! in scripts, name)
    t.equal(publish.steps.at(-1)!.run, 'npm publish --provenance --access public')
  })

  t.test('names the repository in package.json', async t => {
    const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-publish-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, 'package.json'), '{ "name": "x", "version": "1.0.0" }')
    const { run } = publish.steps.find(({ name }) => name === 'Name the repository')!
    await promisify(execFile)('bash', ['-e', '-c', run!], { cwd: folder, env: { ...process.env, NODE_OPTIONS: '', GITHUB_REPOSITORY: 'some/where' } })
    t.match(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')), {
      repository: { type: 'git', url: 'git+https://github.com/some/where.git' },
      homepage: 'https://github.com/some/where#readme',
      bugs: { url: 'https://github.com/some/where/issues' }
    })
  })
})

t.test('the files of a folder are those of the repository, whatever is installed in it', async t => {
  const root = t.testdir({ test: { 'a.ts': '', b: { 'c.ts': '' }, '.tap': { 'd.ts': '' }, node_modules: { e: { 'e.ts': '' } } } })
  await symlink(root, join(root, 'test/b/root'))
  t.strictSame(filesIn('test', root).toSorted(), ['test/a.ts', 'test/b/c.ts'])
})
