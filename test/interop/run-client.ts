import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { ROOT } from '../support/examples.js'
import type { Teardown } from '../support/app.js'

/** Runs a client of `examples/` and yields the lines it prints until it ends. The end of the test kills it. */
export function runClient (t: Teardown, script: string, url: string): AsyncIterator<string> {
  // tap adds its loader to the NODE_OPTIONS of every child process; `env -u` takes it out again
  const client = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', script], {
    cwd: ROOT,
    env: { ...process.env, URL: url },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const exited = once(client, 'exit')
  t.teardown(() => {
    client.kill('SIGKILL')
    return exited
  })
  return createInterface({ input: client.stdout })[Symbol.asyncIterator]()
}
