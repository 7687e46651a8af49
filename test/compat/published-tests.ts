import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findPort } from '../interop/proxies.js'
import { ROOT } from '../support/examples.js'
import type { TestResult } from './json-reporter.js'

/** Where npm has put the package whose tests these are, in the version of this folder's package-lock.json. */
export const PUBLISHED = fileURLToPath(new URL('node_modules/@fastify/websocket', import.meta.url))

/** A test, by the file that it is in. */
export interface FileResult extends TestResult {
  file: string
}

/** Against hanging, for all of them. */
const TIMEOUT = 300_000

/**
 * Runs the tests that `@fastify/websocket` publishes with another package in its place.
 *
 * @param project a folder where `subject` and what the tests require are found
 * @param subject the package that the tests get for `require('..')`
 * @param hanging names of tests that are known to wait for what never comes
 */
export async function runPublishedTests (project: string, subject: string, hanging: readonly string[]): Promise<FileResult[]> {
  const folder = join(project, subject.replaceAll('/', '-'))
  await mkdir(join(folder, 'test'), { recursive: true })
  await writeFile(join(folder, 'package.json'), '{ "type": "commonjs" }')
  await writeFile(join(folder, 'index.js'), `module.exports = require(${JSON.stringify(subject)})\n`)
  const names = (await readdir(join(PUBLISHED, 'test'))).filter(name => name.endsWith('.test.js')).sort()
  if (names.length === 0) throw new Error(`${PUBLISHED} has no tests`)

  let declared = 0
  for (const name of names) {
    const source = await readFile(join(PUBLISHED, 'test', name), 'utf8')
    declared += source.match(/^test\(/gm)?.length ?? 0
    await writeFile(join(folder, 'test', name), await withFreePort(source))
  }
  // All in one process, one test after the other, since each start takes its time.
  const main = join(folder, 'all.js')
  await writeFile(main, names.map(name => `process.env.TEST_FILE = '${name.replace(/\.test\.js$/, '')}'\nrequire('./test/${name}')\n`).join(''))
  const results = await runFile(main, hanging)
  if (results.length !== declared) throw new Error(`there are ${declared} tests, of which ${results.length} have ended`)
  return results.map(({ name, ...result }) => {
    const [file, ...rest] = name.split(': ')
    return { file: file!, name: rest.join(': '), ...result }
  })
}

/**
 * One test listens on port 3000, which may be taken. It does not wait until it listens, which is at once for an address alone:
 * a name is looked up first, and its client may be faster.
 */
async function withFreePort (source: string): Promise<string> {
  if (!source.includes('3000')) return source
  const declaration = 'externalServerPort = 3000'
  const listening = ".listen(externalServerPort, 'localhost')"
  if (source.split('3000').length !== 2 || !source.includes(declaration) || !source.includes(listening)) throw new Error('port 3000 is used in another way than before')
  return source.replace(declaration, `externalServerPort = ${await findPort()}`).replace(listening, ".listen(externalServerPort, '127.0.0.1')")
}

async function runFile (path: string, hanging: readonly string[]): Promise<TestResult[]> {
  const moduleOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
  const args = [
    // tap hands its loader down in NODE_OPTIONS; Node's runner has its own ideas where it finds itself inside another
    '-u', 'NODE_OPTIONS', '-u', 'NODE_TEST_CONTEXT', `HANGING_TESTS=${JSON.stringify(hanging)}`,
    process.execPath, '--import', 'tsx', '--import', moduleOf('harness.ts'),
    '--test-reporter', moduleOf('json-reporter.ts'), '--test-reporter-destination', 'stdout', path
  ]
  return new Promise((resolve, reject) => {
    execFile('env', args, { cwd: ROOT, timeout: TIMEOUT }, (error, stdout, stderr) => {
      // Failed tests make it end with 1, which is for the caller to judge.
      if (error !== null && error.code !== 1) reject(new Error(`${path}: ${error.message}\n${stderr}`, { cause: error }))
      else resolve(stdout.split('\n').filter(line => line.startsWith('{')).map(line => JSON.parse(line) as TestResult))
    })
  })
}
