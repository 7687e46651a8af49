// The versions of Node that the servers run on: npm has each as a package with the binary, for the platforms below.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BENCH } from './build.js'

export interface Node {
  version: string
  path: string
}

/** Versions that apps are deployed on. */
export const DEFAULT_NODES = ['24', '26']

/** The one that runs this. */
export const CURRENT: Node = { version: process.versions.node, path: process.execPath }

const PACKAGE = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`

/** The newest of a major version, installed into bench/node_modules when it is asked for first. @throws if it cannot be */
export function findNode (major: string): Node {
  if (major === 'current') return CURRENT
  // npm leaves folders with a dot alone.
  const folder = join(BENCH, 'node_modules', '.nodes', major)
  const path = join(folder, 'node_modules', PACKAGE, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true })
    // Without a manifest npm would install into the folder above that has one.
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    const install = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--no-save', '--loglevel=error', `${PACKAGE}@${major}`]
    try {
      execFileSync(npm, install, { stdio: ['ignore', 'ignore', 'pipe'], shell: process.platform === 'win32' })
    } catch (error) {
      // The first line is the command.
      throw new Error(`Node ${major} cannot be installed: ${(error as Error).message.split('\n').slice(1, 3).join(' ')}`)
    }
  }
  return { version: execFileSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' }).trim(), path }
}

/** @param wanted major versions, or `current`; without it, the default ones where they can be installed */
export function findNodes (wanted: readonly string[] | undefined): Node[] {
  if (wanted !== undefined) return wanted.map(findNode)
  const found = DEFAULT_NODES.flatMap(major => {
    try {
      return [findNode(major)]
    } catch (error) {
      console.log(`${(error as Error).message}. It is left out`)
      return []
    }
  })
  return found.length === 0 ? [CURRENT] : found
}
