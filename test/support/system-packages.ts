import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Where Debian puts servers, and where the PATH of ordinary users does not look. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin', '/usr/local/sbin']

/** The Python that `python3-websockets` belongs to, whatever other `python3` comes first in PATH. */
export const PYTHON = '/usr/bin/python3'

/** Programs of Debian; Deno and Bun come from npm. */
type Program = 'chromium' | 'nginx' | 'haproxy' | 'apache2' | 'caddy' | 'varnishd' | 'lighttpd' | 'nghttpx' | 'openssl' | 'deno' | 'bun' | 'firefox-esr' | 'redis-server'

export type SystemPackage = Program | 'python3-websockets'

function isExecutable (path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The path of a program, or `null`. */
export function findProgram (name: Program): string | null {
  const candidates = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS].map(folder => join(folder, name))
  if (name === 'chromium') candidates.unshift(process.env.CHROMIUM_PATH ?? '/usr/bin/chromium')
  return candidates.find(isExecutable) ?? null
}

function isInstalled (name: SystemPackage): boolean {
  if (name === 'python3-websockets') return spawnSync(PYTHON, ['-c', 'import websockets']).status === 0
  return findProgram(name) !== null
}

/**
 * Options for a test that needs system packages: it is skipped, and says so, where one is missing.
 *
 * @throws {Error} instead, where `REQUIRE_SYSTEM_PACKAGES` is set
 */
export function needs (...packages: SystemPackage[]): { skip?: string } {
  const missing = packages.filter(name => !isInstalled(name))
  if (missing.length === 0) return {}
  const message = `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not installed`
  if (process.env.REQUIRE_SYSTEM_PACKAGES) throw new Error(`${message}, and REQUIRE_SYSTEM_PACKAGES is set`)
  return { skip: message }
}
