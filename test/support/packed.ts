import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Teardown } from './app.js'
import { ROOT } from './examples.js'

/** Programs that load the package in one way each, and send an echo. */
const PROGRAMS = join(ROOT, 'test/pack/programs')

/** The package as `npm publish` would send it. */
export interface Packed {
  tarball: string
  /** Bytes of the tarball, and of the files in it. */
  size: number
  unpackedSize: number
  paths: string[]
}

/** Runs a program to its end as a user's shell does: without what `npm run` and tap hand down to child processes. @returns its standard output */
export async function run (cwd: string, command: string, ...args: string[]): Promise<string> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) =>
    !/^(npm_(command|execpath|lifecycle_.*|node_execpath|package_.*|config_(local|global)_prefix)|INIT_CWD|NODE_OPTIONS)$/.test(name)))
  try {
    // tap adds its loader to NODE_OPTIONS of every child process; `env -u` takes it out again
    const { stdout } = await promisify(execFile)('env', ['-u', 'NODE_OPTIONS', command, ...args], { cwd, env, maxBuffer: 2 ** 26 })
    return stdout
  } catch (err) {
    const { stdout, stderr } = err as { stdout?: string, stderr?: string }
    throw new Error([`${command} ${args.join(' ')} failed`, stdout, stderr].join('\n'), { cause: err })
  }
}

/** Packs a copy of the sources, so that dist/, which other tests may be using, stays as it is. */
async function pack (folder: string): Promise<Packed> {
  const copy = join(folder, 'copy')
  await mkdir(copy)
  const names = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts', 'lib', 'types', 'docs', 'README.md', 'CHANGELOG.md', 'SECURITY.md', 'LICENSE']
  for (const name of names) await cp(join(ROOT, name), join(copy, name), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  await run(copy, 'npm', 'run', 'prepack')
  const [{ filename, size, unpackedSize, files }] = JSON.parse(await run(copy, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', folder))
  return { tarball: join(folder, filename), size, unpackedSize, paths: files.map((file: { path: string }) => file.path) }
}

export async function packPackage (t: Teardown): Promise<Packed> {
  const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-pack-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return pack(folder)
}

/**
 * A project with the package from a tarball in `node_modules`, and with the programs of `test/pack`.
 *
 * @param owner the folder whose packages the project finds too
 */
export async function createPackedProject (t: Teardown, { tarball }: Packed, owner = ROOT): Promise<string> {
  await mkdir(join(owner, '.tap'), { recursive: true })
  const project = await mkdtemp(join(owner, '.tap', 'packed-'))
  t.teardown(() => rm(project, { recursive: true, force: true }))
  const installed = join(project, 'node_modules/fastify-ws-routes')
  await mkdir(installed, { recursive: true })
  await run(installed, 'tar', '--extract', '--strip-components=1', '--file', tarball)
  await cp(PROGRAMS, project, { recursive: true })
  return project
}
