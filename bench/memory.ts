// npm run bench:memory [-- --connections N] [--servers name,…]
//
// What a connection that agreed on permessage-deflate costs in resident memory: idle, and after one compressed message
// of 1 KiB each way. Each server in a process of its own, one after the other.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { OURS, SERVERS, start } from './servers.js'

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '5000' },
    servers: { type: 'string', default: `${OURS},@fastify/websocket,ws` }
  }
})
const connections = Number(values.connections)

const OFFERS = {
  'not offered': null,
  'context takeover': 'permessage-deflate; client_max_window_bits',
  'no context takeover': 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'
}

function residentKiB (pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1])
}

/** Asks the server's process to collect garbage, as it would sooner or later. */
async function settle (server: ChildProcess): Promise<void> {
  server.send('collect')
  await once(server, 'message')
}

async function measure (name: string, extensions: string | null): Promise<[idle: number, used: number]> {
  const { file, env } = SERVERS[name]!
  const server = start(`servers/${file}`, { ...env, BENCH_DEFLATE: JSON.stringify({ threshold: 0 }) })
  const [{ port }] = await once(server, 'message') as [{ port: number }]
  await settle(server)
  const before = residentKiB(server.pid!)
  const client = start('memory-client.ts')
  client.send({ port, connections, extensions })
  await once(client, 'message')
  await settle(server)
  const idle = residentKiB(server.pid!)
  client.send('talk')
  await once(client, 'message')
  await settle(server)
  const used = residentKiB(server.pid!)
  client.kill()
  server.disconnect()
  await Promise.all([once(client, 'exit'), once(server, 'exit')])
  return [(idle - before) / connections, (used - before) / connections]
}

console.log(`Node ${process.versions.node}, ${connections} connections; KiB of resident memory for each: idle / after a message`)
console.log(`\n| server | ${Object.keys(OFFERS).join(' | ')} |\n|---|${'---:|'.repeat(Object.keys(OFFERS).length)}`)
for (const name of values.servers.split(',')) {
  if (SERVERS[name] === undefined) throw new Error(`there is no server '${name}'; there are ${Object.keys(SERVERS).join(', ')}`)
  const cells: string[] = []
  for (const offer of Object.values(OFFERS)) {
    const [idle, used] = await measure(name, offer)
    cells.push(`${idle.toFixed(1)} / ${used.toFixed(1)}`)
  }
  console.log(`| ${name} | ${cells.join(' | ')} |`)
}
