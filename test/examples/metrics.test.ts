import { cp, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t from 'tap'
import { close, frame, RawClient, text } from '../support/raw-client.js'
import { startProgram } from '../support/child-process.js'
import { createProject, ROOT } from '../support/examples.js'

t.test('examples/metrics: what Prometheus collects is what has happened', async t => {
  const project = await createProject(t)
  await cp(join(ROOT, 'examples/metrics/server.ts'), join(project, 'server.ts'))
  await symlink(join(ROOT, 'examples/node_modules/prom-client'), join(project, 'node_modules/prom-client'))
  const anyPort = pathToFileURL(fileURLToPath(new URL('../support/any-port.ts', import.meta.url))).href
  // tap adds its loader to NODE_OPTIONS of every child process; it would not find this project
  const program = startProgram(t, 'env', ['-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', `--import=${anyPort}`, join(project, 'server.ts')], {
    env: { ...process.env, TELL_PORT: '1', LOG_LEVEL: 'silent' }
  })
  let port = 0
  for await (const line of createInterface({ input: program.stdout! })) {
    const found = /^port (\d+)$/.exec(line)
    if (found === null) continue
    port = Number(found[1])
    break
  }

  const metrics = async (): Promise<Record<string, number>> => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`)
    t.match(response.headers.get('content-type'), /^text\/plain; version=/)
    const lines = (await response.text()).split('\n').filter(line => line !== '' && !line.startsWith('#'))
    return Object.fromEntries(lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]))
  }

  const clients = [await RawClient.open(port, '/echo'), await RawClient.open(port, '/echo')] as const
  t.teardown(() => { for (const client of clients) client.destroy() })
  for (const client of clients) {
    client.write(text('hello'))
    await client.frame()
  }
  await t.rejects(RawClient.open(port, '/echo', { Origin: 'https://evil.example' }))
  for (let i = 0; i < 2; i++) {
    t.match(await metrics(), {
      websocket_connections: 2,
      websocket_handshakes_pending: 0,
      websocket_queued_bytes: 0,
      websocket_connections_total: 2,
      'websocket_refused_total{reason="FST_WS_ERR_ORIGIN"}': 1,
      'websocket_messages_total{direction="received"}': 2,
      'websocket_messages_total{direction="sent"}': 2,
      'websocket_bytes_total{direction="received"}': 10,
      'websocket_bytes_total{direction="sent"}': 10
    }, 'however often it is asked for')
  }

  t.match(await metrics(), { websocket_topics: 0, websocket_topic_subscriptions: 0, websocket_topic_publish_p99_seconds: NaN, websocket_broker_up: 1 })
  const members = [await RawClient.open(port, '/chat'), await RawClient.open(port, '/chat')] as const
  t.teardown(() => { for (const member of members) member.destroy() })
  // A subscription may be confirmed after the handshake.
  while ((await metrics()).websocket_topic_subscriptions !== 2);
  members[0].write(text('hello'))
  await members[1].frame()
  const topics = await metrics()
  t.match(topics, {
    websocket_topics: 1,
    'websocket_topic_published_total{result="taken"}': 1,
    'websocket_topic_published_total{result="failed"}': 0,
    websocket_topic_delivered_total: 1,
    websocket_topic_gaps_total: 0,
    'websocket_topic_resumed_total{result="recovered"}': 0,
    'websocket_topic_resumed_total{result="reset"}': 0,
    websocket_topic_reads_total: 0,
    websocket_topic_skipped_total: 0,
    websocket_broker_reconnects_total: 0
  })
  t.ok(topics.websocket_topic_publish_p99_seconds! > 0)
  for (const member of members) member.destroy()
  while ((await metrics()).websocket_connections !== 2);

  clients[0].write(close(4000))
  clients[0].socket.on('end', () => clients[0].end())
  await clients[0].closed
  // The client may know of the end before the server does.
  while ((await metrics()).websocket_connections !== 1);
  t.match(await metrics(), {
    websocket_connections_total: 4,
    'websocket_messages_total{direction="received"}': 3,
    'websocket_connection_duration_seconds_count{code="4000"}': 1
  })

  // RFC 6455 §5.2: an opcode that is reserved.
  clients[1].write(frame(0x3))
  t.equal((await clients[1].closeFrame()).code, 1002)
  clients[1].end()
  while ((await metrics()).websocket_connections !== 0);
  t.match(await metrics(), { 'websocket_errors_total{code="FST_WS_ERR_INVALID_OPCODE"}': 1 })
})
