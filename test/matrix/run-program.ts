import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Outcome } from './cases.js'
import { judge } from './judge.js'
import type { Program } from './programs.js'
import { startMatrixServer } from './server.js'
import type { Row } from './table.js'
import { commandVersion, debianVersion, npmVersion } from './versions.js'
import { startWire } from './wire.js'

const CLIENTS = fileURLToPath(new URL('../interop/clients/', import.meta.url))

/** For a build on a machine that does much else, and for all cases of a client. */
const BUILD_TIMEOUT = 600_000
const RUN_TIMEOUT = 120_000

interface Exit {
  /** `null`: it did not start, or took too long. */
  code: number | null
  stdout: string
  stderr: string
}

/** Calls `run` with a folder that is gone afterwards. */
export async function withFolder (run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-clients-'))
  try {
    await run(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function runCommand (command: string[], env: Record<string, string>, timeout: number): Promise<Exit> {
  const [program, ...args] = command as [string, ...string[]]
  // NODE_OPTIONS is how tap loads itself into programs of Node.
  const { NODE_OPTIONS, ...inherited } = process.env
  const child = spawn(program, args, {
    // Sources and output are UTF-8, whatever the locale is here.
    cwd: CLIENTS, env: { ...inherited, LC_ALL: 'C.UTF-8', ...env }, timeout, killSignal: 'SIGKILL', stdio: ['ignore', 'pipe', 'pipe']
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr = (stderr + text).slice(-4096) })
  try {
    const [code] = await once(child, 'close') as [number | null]
    return { code, stdout, stderr }
  } catch (error) {
    return { code: null, stdout, stderr: (error as Error).message }
  }
}

/** What has to be installed before the program can run. */
export const missingPackages = ({ packages, npm, command }: Program): string[] => [
  ...packages.filter(name => debianVersion(name) === null),
  ...(npm !== undefined && npmVersion(npm) === null ? [`${npm} of npm`] : []),
  ...(command !== undefined && commandVersion(command) === null ? [command] : [])
]

function versionOf ({ packages, npm, command, version = text => text }: Program): string {
  const found = npm !== undefined ? npmVersion(npm) : command !== undefined ? commandVersion(command) : debianVersion(packages[0]!)
  return version(found!)
}

/**
 * Builds a client program in `folder`, and runs it against a server of its own.
 *
 * @throws {Error} with what the compiler said
 */
export async function runProgram (program: Program, folder: string): Promise<Row> {
  const { name, language, build, run, env = {} } = program
  for (const command of build?.(folder) ?? []) {
    const { code, stderr, stdout } = await runCommand(command, env, BUILD_TIMEOUT)
    if (code !== 0) throw new Error(`${command.join(' ')}: ${stdout}${stderr}`)
  }
  const server = await startMatrixServer()
  const wire = await startWire(server.port)
  const { code, stdout, stderr } = await runCommand([...run(folder), `ws://127.0.0.1:${wire.port}`], env, RUN_TIMEOUT)
  const outcomes = new Map<string, Outcome>()
  for (const line of stdout.split('\n').filter(line => line.startsWith('{'))) {
    const outcome = JSON.parse(line) as Outcome
    outcomes.set(outcome.case, outcome)
  }
  // Whoever is still connected is ended by this: `closed` of every visit resolves.
  await server.app.close()
  const verdict = await judge({ outcomes, visits: server.visits, conversations: await wire.read() })
  await wire.close()
  if (code !== 0) verdict.failures.unshift(`the program ended with ${code ?? 'no code'}: ${stderr || stdout.slice(-4096)}`)
  return { name, language, version: versionOf(program), verdict }
}
