import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

/** The upstream version of a Debian package, without epoch, revision and suffixes of Debian; `null`: it is not installed. */
export function debianVersion (name: string): string | null {
  // eslint-disable-next-line no-template-curly-in-string
  const { status, stdout } = spawnSync('dpkg-query', ['--show', '--showformat=${db:Status-Status} ${Version}', name], { encoding: 'utf8' })
  const version = status === 0 ? /^installed (?:\d+:)?(\S+)$/.exec(stdout)?.[1] : undefined
  return version?.replace(/-[^-]*$/, '').replace(/[+~].*/, '') ?? null
}

/** What a program in PATH says of its version: "deno 2.9.1 (…)", "1.4.2". */
export function commandVersion (command: string): string | null {
  const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' })
  return status === 0 ? /\d+(?:\.\d+)+/.exec(stdout)?.[0] ?? null : null
}

/** The version of a package of npm as the client programs find it, or `null`. */
export function npmVersion (name: string): string | null {
  try {
    const { resolve } = createRequire(new URL('../interop/clients/javascript/', import.meta.url))
    return (JSON.parse(readFileSync(resolve(`${name}/package.json`), 'utf8')) as { version: string }).version
  } catch {
    return null
  }
}
