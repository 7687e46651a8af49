import { execFile, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { compileLoad } from '../../bench/build.js'
import { packFrames, makeRequest } from '../../bench/frames.js'
import type { Report } from '../../bench/results.js'
import { encodeFrame } from '../../lib/protocol/frame-encoder.js'
import { encodeAnyFrame } from '../support/encode-frame.js'
import { Opcode } from '../../lib/protocol/opcodes.js'

const RUN = fileURLToPath(new URL('../../bench/run.ts', import.meta.url))
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

function bench (...args: string[]): Promise<Outcome> {
  return new Promise(resolve => {
    // tap adds its loader to NODE_OPTIONS of every child process; `env -u` takes it out again
    const command = ['-u', 'NODE_OPTIONS', process.execPath, '--import', 'tsx', RUN, ...args]
    const child = execFile('env', command, { cwd: ROOT, timeout: 150_000 }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr })
    })
  })
}

// An echo, which needs nothing but Node, and sends one byte wrongly after some messages.
const BROKEN = `
import { createServer } from 'node:net'
const server = createServer(socket => {
  socket.on('error', () => {})
  socket.once('data', () => {
    socket.write('HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n')
    let left = 20 * 22
    socket.on('data', chunk => {
      if (left >= 0 && left < chunk.length) chunk[left - left % 22 + 6] ^= 1
      left -= chunk.length
      socket.write(chunk)
    })
  })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.resume().on('end', () => process.exit())
`

t.test('a run measures what comes back whole, and a server that corrupts one byte fails it', async t => {
  const folder = t.testdir({ 'broken.mjs': BROKEN })
  const json = join(folder, 'results.json')
  const run = await bench('echo-small', '--against', 'ws', '--server', `broken=${join(folder, 'broken.mjs')}`, '--check',
    '--rounds', '1', '--seconds', '0.2', '--warmup', '0.1', '--json', json)
  t.equal(run.code, 1, run.stderr)
  t.match(run.stderr, /^echo-small, broken: Error: what came back is not what was sent$/m)
  t.notMatch(run.stderr, /(ours|ws):/)

  const report = JSON.parse(readFileSync(json, 'utf8')) as Report
  t.equal(report.generator, 'Node')
  t.strictSame(Object.keys(report.results[0]!.samples), ['ours', 'ws'])
  for (const [server, [sample]] of Object.entries(report.results[0]!.samples)) {
    t.ok(sample!.rate! > 0 && sample!.cpu! > 0 && sample!.p99! >= sample!.p50!, server)
    // No unmasked frame of 16 bytes is longer or shorter; what the window cuts in two is not counted.
    t.ok(Math.abs(sample!.bytes! - 18) < 0.5, `${server} ${sample!.bytes}`)
  }
})

t.test('saved results become tables and a plot: medians, and ratios of the same round', async t => {
  const figures = [{ key: 'cpu', title: 'CPU µs/message', digits: 1, isCompared: true }]
  // The machine was slow in the second round: the ratio of the medians would be 3.
  const samples = { ours: [{ cpu: 1 }, { cpu: 10 }, { cpu: 2 }], ws: [{ cpu: 2 }, { cpu: 20 }, { cpu: 6 }] }
  const report: Report = {
    date: '2026-01-01T00:00:00.000Z',
    node: '20.0.0',
    machine: 'a <machine>',
    generator: 'C',
    rounds: 3,
    seconds: 1,
    versions: { ws: '8.23.0' },
    results: [{ group: 'W2', name: 'echo-small', title: '16 B', figures, samples }]
  }
  const folder = t.testdir({ '20.json': JSON.stringify(report), '26.json': JSON.stringify({ ...report, node: '26.0.0' }) })
  const svg = join(folder, 'plot.svg')
  const { code, stdout, stderr } = await bench('--render', `${join(folder, '20.json')},${join(folder, '26.json')}`, '--svg', svg)
  t.equal(code, 0, stderr)
  t.match(stdout, '| ours | 2.0 | 1.00 (1.00–1.00) | 2.00 (2.00–3.00) |')
  t.match(stdout, '| ws | 6.0 | 2.00 (2.00–3.00) | 1.00 (1.00–1.00) |')
  t.match(stdout, '## Node 26.0.0')
  const plot = readFileSync(svg, 'utf8')
  t.equal(plot.match(/<rect /g)?.length, 2, 'a bar for the peer on each Node')
  t.match(plot, '>2.00<')
  t.match(plot, 'prefers-color-scheme: dark')
})

t.test('what grows along an axis becomes a table for each figure, and a plot with a line for each server and Node', async t => {
  const figures = [{ key: 'cpu', title: 'CPU µs/message', digits: 1, isCompared: true }, { key: 'peak', title: 'peak MiB', digits: 0 }]
  const result = (x: number, cpu: number): Report['results'][number] => ({
    group: 'growth',
    name: 'growth-size',
    title: 'size',
    figures,
    point: { axis: 'growth-size', title: 'size of a <message>', x, unit: 'bytes' },
    samples: { ours: [{ cpu, peak: 3 }, { cpu: cpu + 1, peak: 3 }, { cpu: cpu + 8, peak: 3 }], net: [{ cpu: 0.5 }] }
  })
  const report: Report = {
    date: '2026-01-01T00:00:00.000Z',
    node: '24.0.0',
    machine: 'a machine',
    generator: 'C',
    rounds: 3,
    seconds: 1,
    versions: {},
    results: [result(16, 1), result(64 * 1024, 90), result(16 * 1024 * 1024, 4000)]
  }
  const folder = t.testdir({ '24.json': JSON.stringify(report), '26.json': JSON.stringify({ ...report, node: '26.0.0' }) })
  const svg = join(folder, 'plot.svg')
  const { code, stdout, stderr } = await bench('--render', `${join(folder, '24.json')},${join(folder, '26.json')}`, '--svg', svg)
  t.equal(code, 0, stderr)
  t.match(stdout, '| CPU µs/message | ours | net |')
  t.match(stdout, '| 64 KiB | 91.0 (90.0–98.0) | 0.5 |')
  t.match(stdout, '| peak MiB | ours |\n| --- | ---: |\n| 16 B | 3 |')
  const plot = readFileSync(svg, 'utf8')
  t.equal(plot.match(/<path /g)?.length, 6, 'two servers, and one of them in a second panel, on each Node')
  t.match(plot, 'Node 24.0.0 (whole lines), Node 26.0.0 (dashed lines)')
})

t.test('a point of an axis can be run by itself, on a Node that is named', async t => {
  const json = join(t.testdir(), 'results.json')
  const run = await bench('growth-heartbeat:1000', '--against', 'ws', '--node', 'current,current', '--rounds', '1', '--warmup', '0.1', '--json', json)
  if (run.stdout.includes('only the generator in C can do it')) return
  t.equal(run.code, 0, run.stderr)
  const report = JSON.parse(readFileSync(json.replace('.json', `-${process.versions.node.split('.')[0]}.json`), 'utf8')) as Report
  t.equal(report.results[0]!.point!.x, 1000)
  const [sample] = report.results[0]!.samples.ours!
  t.ok(sample!.cpu! > 0 && sample!.fresh! > 0 && sample!.open! > 0)
})

t.test('a Node that there is not is refused', async t => {
  const { code, stderr } = await bench('echo-small', '--node', 'none')
  t.equal(code, 1)
  t.match(stderr, 'Node none cannot be installed: ')
})

t.test('a workload that there is not is refused, and those that there are are told', async t => {
  const { code, stderr } = await bench('echo-smal')
  t.equal(code, 1)
  t.match(stderr, /there is no workload 'echo-smal'; there are ping-pong, echo-small, /)
})

/** A server that answers the handshake, and hands over what comes then. */
async function listen (t: Test, onData: (socket: Socket, chunk: Buffer) => void): Promise<number> {
  const server: Server = createServer({ noDelay: true }, socket => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
      socket.on('data', chunk => onData(socket, chunk))
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

const folder = t.testdir({ request: makeRequest(undefined) })
const program = compileLoad(join(folder, 'load'))

t.test('the generator in C', { skip: 'missing' in program && program.missing }, async t => {
  const sizes = [65536, 65535, 126, 125, 0, 1]
  const frames = sizes.map(size => encodeAnyFrame(Opcode.BINARY, Buffer.alloc(size), { masked: true }))
  writeFileSync(join(folder, 'frames'), packFrames(frames))
  const load = (port: number): Promise<Outcome> => new Promise(resolve => {
    const child = spawn(join(folder, 'load'), ['mode=echo', `port=${port}`, 'connections=1', 'depth=1', 'warmup=0', 'duration=200',
      `request=${join(folder, 'request')}`, `frames=${join(folder, 'frames')}`])
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', text => { stdout += text })
    child.stderr.on('data', text => { stderr += text })
    child.on('close', code => resolve({ code, stdout, stderr }))
  })

  t.test('counts each message once, however its bytes are cut', async t => {
    let received = 0
    let sent = 0
    const port = await listen(t, (socket, chunk) => {
      received += chunk.length
      // One in flight: when a frame is whole, nothing follows it.
      if (received < frames[sent % frames.length]!.length) return
      t.equal(received, frames[sent % frames.length]!.length, 'the frames come in turn')
      received = 0
      const answer = encodeFrame(Opcode.BINARY, Buffer.alloc(sizes[sent++ % sizes.length]!))
      // Within the header, within the payload, and one byte before the end.
      const cuts = [1, 3, 9, answer.length - 1].filter(cut => cut < answer.length).sort((a, b) => a - b)
      for (const [i, cut] of [0, ...cuts].entries()) socket.write(answer.subarray(cut, cuts[i]))
    })
    const { code, stdout, stderr } = await load(port)
    t.equal(code, 0, stderr)
    const [counting, counted, json] = stdout.trim().split('\n')
    t.strictSame([counting, counted], ['counting', 'counted'])
    const { messages } = JSON.parse(json!) as { messages: number }
    t.ok(messages > 0 && sent - messages <= 1, `${messages} of ${sent}`)
  })

  t.test('fails when the server closes the connection with a Close frame', async t => {
    const port = await listen(t, socket => socket.write(Buffer.from([0x88, 0x02, 0x03, 0xf1])))
    const { code, stderr } = await load(port)
    t.equal(code, 1)
    t.match(stderr, 'a frame that starts with 88')
  })
})
