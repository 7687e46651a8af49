import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Teardown } from './app.js'
import { isBuilt } from '../../scripts/prepare.js'
import { runCompiler } from './compiler.js'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** A code block of the documentation, or a table that is marked as one. */
export interface Example {
  /** The name in the comment above it: `<!-- test: name -->`. Empty if there is no comment. */
  readonly name: string
  /** `table` for a table. */
  readonly language: string
  readonly text: string
  /** File and line, for messages. */
  readonly place: string
}

/** All code blocks of a Markdown file, and the tables that are marked. */
export async function examplesOf (file: string): Promise<Example[]> {
  const lines = (await readFile(join(ROOT, file), 'utf8')).split('\n')
  const examples: Example[] = []
  let name = ''
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!
    const comment = /^<!-- test: (.+) -->$/.exec(line)
    const place = `${file}:${i + 1}`
    if (comment !== null) {
      name = comment[1]!
    } else if (/^\s*(```|~~~)/.test(line)) {
      const end = lines.indexOf(line.replace(/\w+$/, ''), i + 1)
      if (end === -1) throw new Error(`${place}: the block has no end`)
      examples.push({ name, language: line.replace(/^\W+/, ''), text: lines.slice(i + 1, end).join('\n') + '\n', place })
      i = end
      name = ''
    } else if (name !== '') {
      let end = i
      while (lines[end]?.startsWith('|') === true) end++
      if (end === i) throw new Error(`${place}: ${name} is neither a block nor a table`)
      examples.push({ name, language: 'table', text: lines.slice(i, end).join('\n'), place })
      i = end
      name = ''
    }
  }
  return examples
}

/** The example of this name. What else names one of a document is not seen by `testCoverage`. */
export async function exampleNamed (file: string, name: string): Promise<Example> {
  const example = (await examplesOf(file)).find(example => example.name === name)
  if (example === undefined) throw new Error(`${file} has no example with the name '${name}'`)
  return example
}

/** The cells of a table, without its head, and without the marks of code. */
export function cellsOf (table: string): string[][] {
  return table.split('\n').slice(2).map(row => row.slice(1, -1).split(/(?<!\\)\|/).map(cell => cell.trim()))
}

/** The code around examples that show only a part of an app, each line added unless the example has its own. */
const FRAME = [
  ["import Fastify from 'fastify'", /^import Fastify from/m],
  ["import websocket from 'fastify-ws-routes'", /^import websocket\b/m],
  ["import { logger } from './logger.js'", /^import \{ logger \}/m],
  ['const app = Fastify({ logger })', /^const app = /m],
  ['await app.register(websocket)', /app\.register\(websocket\b/]
] as const

/** The text of an example as a program: as it is printed, with what it takes for granted before it. */
export function toProgram (text: string): string {
  if (/^import Fastify from/m.test(text)) return text
  const frame = FRAME.filter(([, isThere]) => !isThere.test(text)).map(([line]) => line)
  // A part that makes its app is silent; it cannot have our logger.
  return frame.filter(line => !line.startsWith('import { logger }') || frame.includes(FRAME[3][0])).join('\n') + '\n' + text
}

const LOGGER = `
/** The warnings and errors that apps have logged. */
export const logged: string[] = []
export const logger = { level: 'warn', stream: { write: (line: string) => { logged.push(line) } } }
`

/**
 * An empty project with the package as users get it, built from the sources as they are now, in `node_modules`.
 *
 * @param owner the folder whose packages the project finds too
 */
export async function createProject (t: Teardown, owner = ROOT): Promise<string> {
  await mkdir(join(owner, '.tap'), { recursive: true })
  const project = await mkdtemp(join(owner, '.tap', 'examples-'))
  t.teardown(() => rm(project, { recursive: true, force: true }))
  const installed = join(project, 'node_modules', 'fastify-ws-routes')
  await mkdir(installed, { recursive: true })
  await Promise.all([
    writeFile(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' })),
    writeFile(join(project, 'logger.ts'), LOGGER),
    cp(join(ROOT, 'package.json'), join(installed, 'package.json')),
    isBuilt() ? cp(join(ROOT, 'dist'), join(installed, 'dist'), { recursive: true }) : buildPackage(join(installed, 'dist'))
  ])
  return project
}

/**
 * Type-checks what is in the project.
 *
 * @param options of the compiler, for pages
 * @throws {Error} with what the compiler says
 */
export async function typeCheck (project: string, options: object = {}): Promise<void> {
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({
    extends: '../../tsconfig.json',
    compilerOptions: { rootDir: '.', noUnusedLocals: false, noUnusedParameters: false, ...options },
    include: ['*.ts', '*.tsx'],
    exclude: []
  }))
  await runTsc('-p', project)
}

/** Builds the package, in a process of its own: few tests need the compilers. */
export async function buildPackage (folder: string): Promise<void> {
  // tap hands its loader down in NODE_OPTIONS
  await promisify(execFile)('env', ['-u', 'NODE_OPTIONS', process.execPath, '--import', 'tsx', 'scripts/build.ts', folder], { cwd: ROOT })
}

async function runTsc (...args: string[]): Promise<void> {
  const { succeeded, output } = await runCompiler(args)
  if (!succeeded) throw new Error(`tsc ${args.join(' ')} failed\n${output}`)
}
