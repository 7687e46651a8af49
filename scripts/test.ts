// node --import tsx scripts/test.ts [SUITE...] [ARGUMENT OF TAP...]
//
// Runs suites of tests, one after the other; if none is named, that of the library itself. With files among the arguments,
// these are all that runs.

import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { compileTap, compileTests } from './compile-tests.js'
import { build, install, ROOT, timeOf } from './prepare.js'

const TAP = 'node_modules/tap/dist/esm/run.mjs'
const TSC = 'node_modules/typescript-7/bin/tsc'

/** Folders whose tests are not for tap: those of installed packages, and those that other test runners run in a test of ours. */
const NOT_OURS = ['node_modules', '.tap', 'programs']

interface Suite {
  about: string
  /** Folders with its tests. None: those that .taprc includes. */
  folders: string[]
  /** Folders with manifests that it needs, besides the root's. */
  manifests?: string[]
  /** Folders with a tsconfig.json of their own. */
  projects?: string[]
  /** Arguments of tap. */
  tap?: string[]
}

const SUITES: Record<string, Suite> = {
  unit: { about: 'the library itself', folders: [] },
  load: { about: 'bounds on memory and time, on a quiet machine', folders: ['test/load'], tap: ['--jobs=1', '--timeout=600'] },
  interop: {
    about: 'other clients, proxies, plugins and libraries',
    folders: ['test/interop'],
    manifests: ['examples', 'test/interop'],
    projects: ['test/interop'],
    tap: ['--jobs=3']
  },
  brokers: {
    about: 'topics through Redis and NATS, if they are installed',
    folders: ['test/brokers'],
    manifests: ['test/brokers'],
    projects: ['test/brokers'],
    tap: ['--jobs=2', '--timeout=300']
  },
  matrix: {
    about: 'clients in other languages, and more proxies, if they are installed',
    folders: ['test/matrix'],
    manifests: ['test/interop'],
    projects: ['test/matrix'],
    tap: ['--timeout=1200', '--jobs=2']
  },
  runtimes: { about: 'clients on Node and in the shape of React Native, servers and clients on Deno and Bun, if they are installed', folders: ['test/runtimes'], tap: ['--jobs=1'] },
  compat: {
    about: '@fastify/websocket, and the tests that it publishes',
    folders: ['test/compat'],
    manifests: ['test/compat'],
    projects: ['test/compat'],
    tap: ['--jobs=3']
  },
  pack: {
    about: 'the packed package in compilers, test runners and bundlers',
    folders: ['test/pack'],
    manifests: ['test/pack'],
    tap: ['--jobs=2', '--timeout=300']
  },
  examples: { about: 'the examples', folders: ['test/examples'], manifests: ['examples'], projects: ['examples'] },
  docs: { about: 'the site, and the pages of the chat, in a browser', folders: ['test/site'], manifests: ['docs', 'examples', 'test/site'], projects: ['test/site'], tap: ['--jobs=2', '--timeout=300'] }
}

const args = process.argv.slice(2)
const names = args.filter(arg => Object.hasOwn(SUITES, arg))
const tapArgs = args.filter(arg => !names.includes(arg))
const isFiltered = tapArgs.some(arg => !arg.startsWith('-'))
const suites = names.length === 0 ? ['unit'] : names

const failed: string[] = []
build()
await Promise.all([buildTap().then(compileTap), compileTests()])
for (const name of suites) await runSuite(name)
if (failed.length > 0) {
  console.error(`\nFailed: ${failed.join(', ')}`)
  process.exitCode = 1
}
if (names.length === 0 && !isFiltered) {
  const left = Object.keys(SUITES).filter(name => !suites.includes(name))
  console.log(`\nNot run: ${left.map(name => `${SUITES[name]!.about} (npm run test:${name})`).join('; ')}. All of them: npm run test:all`)
}

async function runSuite (name: string): Promise<void> {
  const { about, folders, manifests = [], projects = [], tap = [] } = SUITES[name]!
  console.log(`\n# ${name}: ${about}`)
  for (const folder of manifests) install(folder)
  const checks = projects.map(project => () => run(process.execPath, TSC, '--noEmit', '--singleThreaded', '-p', project))
  if (name === 'unit') checks.push(lint, () => run('npm', 'run', '--silent', 'typecheck'))
  const files = isFiltered ? [] : folders.flatMap(testsIn)
  const tests = run(process.execPath, '--import=./scripts/spawn-compiled.js', TAP, '--disable-coverage', ...tap, ...tapArgs, ...files)
  // Beside the tests, one after the other.
  if (!isFiltered) for (const check of checks) await check()
  await tests
}

/** Lints what has changed since it was linted, which takes a tenth of the time. A change of the rules forgets the rest. */
async function lint (): Promise<void> {
  const cache = join(ROOT, '.tap/eslint.json')
  const rules = ['eslint.config.js', ...readdirSync(join(ROOT, 'scripts')).filter(name => name.endsWith('.js')).map(name => join('scripts', name))]
  if (rules.some(path => timeOf(path) > timeOf('.tap/eslint.json'))) rmSync(cache, { force: true })
  await run('npm', 'run', '--silent', 'lint', '--', '--cache', '--cache-strategy=content', `--cache-location=${cache}`)
}

/**
 * Puts tap together with the plugins of .taprc, which it does by itself only behind its first run. That one would load each
 * test with another compiler, which takes twice the time. `npm ci` takes the result away.
 */
async function buildTap (): Promise<void> {
  const built = join(ROOT, 'node_modules/.tap-built')
  const config = readFileSync(join(ROOT, '.taprc'), 'utf8')
  if (existsSync(built) && readFileSync(built, 'utf8') === config) return
  await run('tap', 'build')
  if (failed.length === 0) writeFileSync(built, config)
}

/** Returns the tests below a folder. */
function testsIn (folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return NOT_OURS.includes(entry.name) ? [] : testsIn(path)
    return entry.name.endsWith('.test.ts') ? [path] : []
  })
}

/** Runs a command of node_modules/.bin or PATH to its end. */
async function run (command: string, ...args: string[]): Promise<void> {
  const env = { ...process.env, PATH: join(ROOT, 'node_modules/.bin') + delimiter + process.env.PATH }
  const child = spawn(command, args, { cwd: ROOT, env, stdio: 'inherit' })
  const code = await new Promise(resolve => child.on('exit', resolve))
  if (code !== 0) failed.push([command, ...args].join(' ').slice(0, 100))
}
