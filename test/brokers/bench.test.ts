import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { noRedis } from './redis-server.js'

const HERE = dirname(fileURLToPath(import.meta.url))
const ROOT = join(HERE, '../..')

t.test('the bench of topics starts its servers, delivers, and prints figures', { skip: noRedis }, async t => {
  const options = ['--rounds', '1', '--seconds', '1', '--part', '0.01', '--steps', '1', '--servers', 'ours|net and ioredis', '--modules', HERE]
  const args = ['--import', 'tsx', 'bench/run.ts', 'topics', 'topics-one', 'topics-many', 'topics-many-history', ...options]
  // tap adds its loader to the NODE_OPTIONS of every child process; `env -u` takes it out again
  const { stdout } = await promisify(execFile)('env', ['-u', 'NODE_OPTIONS', process.execPath, ...args], { cwd: ROOT })
  // CPU time is per delivered message: without one it is no number.
  const rows = stdout.match(/^\| (ours|net and ioredis) \| \d+\.\d\d \|/gm) ?? []
  t.equal(rows.length, 5, stdout)
})
