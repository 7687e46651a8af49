// Preloaded by scripts/test.ts into tap. Test processes load what scripts/compile-tests.ts compiled, if that has them, and
// without the loaders that tap gives them for mocks and for coverage.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { ProcessInfo } from '@tapjs/processinfo'

const { spawn: spawnWithLoaders } = ProcessInfo

function spawnCompiled (command, args, options) {
  const index = args.findIndex(arg => arg.endsWith('.test.ts'))
  const compiled = join('.tap/compiled', relative(process.cwd(), args[index] ?? '').replace(/\.ts$/, '.js'))
  if (index === -1 || !existsSync(compiled)) return spawnWithLoaders(command, args, options)
  const nodeArgs = args.slice(0, index).filter(arg => !arg.startsWith('--import='))
  return spawn(command, [...nodeArgs, compiled, ...args.slice(index + 1)], options)
}

Object.defineProperty(ProcessInfo, 'spawn', { value: spawnCompiled })
