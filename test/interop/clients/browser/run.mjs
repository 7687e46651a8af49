// run.mjs BROWSER [ARGUMENT…] URL: the cases in a page of the server, and what it reports. PROFILE is a new folder.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [command, ...args] = process.argv.slice(2, -1)
const url = process.argv.at(-1).replace('ws:', 'http:')

const server = createServer().listen(0, '127.0.0.1')
await once(server, 'listening')
const profile = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-browser-'))
const page = `${url}/page?report=${encodeURIComponent(`http://127.0.0.1:${server.address().port}`)}`
// A group of its own, to be ended whole.
const browser = spawn(command, [...args.map(arg => arg.replace('PROFILE', profile)), page], {
  env: { ...process.env, HOME: profile }, stdio: ['ignore', 'ignore', 'inherit'], detached: true
})
const end = () => {
  try {
    process.kill(-browser.pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
process.on('exit', end)
const timeout = setTimeout(() => process.exit(1), 90_000)
browser.on('exit', () => process.exit(1))

const [request, response] = await once(server, 'request')
console.log(Buffer.concat(await request.toArray()).toString())
response.end()
clearTimeout(timeout)
browser.removeAllListeners('exit')
end()
await once(browser, 'exit')
await rm(profile, { recursive: true, force: true, maxRetries: 10 })
process.exit()
