// npm run example -- NAME [ARGUMENT...]
//
// Runs one of the scripts of examples/package.json, from any state of a clone: what the examples need is installed, and
// the package is built, if that has not been done or is out of date.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { build, install, ROOT } from './prepare.js'

const [name, ...args] = process.argv.slice(2)
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'examples/package.json'), 'utf8')) as { scripts: Record<string, string> }
const script = scripts[name ?? '']
if (script === undefined) {
  console.error(`usage: npm run example -- NAME\n\nNAME is one of ${Object.keys(scripts).join(', ')}`)
  process.exit(1)
}

install('examples')
build()

// Without a shell or npm in between, signals reach the example.
const [command, ...rest] = script.split(' ') as [string, ...string[]]
const cwd = join(ROOT, 'examples')
const env = { ...process.env, PATH: join(cwd, 'node_modules/.bin') + delimiter + process.env.PATH }
const child = spawn(command, [...rest, ...args], { cwd, env, stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
child.on('exit', code => { process.exitCode = code ?? 1 })
