// The clients of memory.ts, in a process of their own.
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { constants, deflateRawSync } from 'node:zlib'
import { encodeFrame } from '../lib/protocol/frame-encoder.js'
import { Opcode, RSV1 } from '../lib/protocol/opcodes.js'
import { open } from './open.js'

interface Task {
  port: number
  connections: number
  extensions: string | null
}

/** Clients of one address have too few ports for all. */
const PER_ADDRESS = 20_000

const MESSAGE = Buffer.from(JSON.stringify(Array.from({ length: 100 }, (_, i) => ({ id: i * 7919, name: `name ${i}` }))).slice(0, 1024))

process.once('message', (task: Task) => {
  run(task).catch((error: unknown) => {
    console.error(error)
    process.exit(1)
  })
})

async function run (task: Task): Promise<void> {
  const sockets: Socket[] = []
  for (let i = 0; i < task.connections; i++) {
    const localAddress = `127.0.0.${1 + Math.floor(i / PER_ADDRESS)}`
    sockets.push((await open({ port: task.port, host: '127.0.0.1', localAddress }, task.extensions)).socket)
  }
  process.send!('connected')
  await once(process, 'message')
  const compressed = deflateRawSync(MESSAGE, { windowBits: 12, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
  const frame = task.extensions === null
    ? encodeFrame(Opcode.TEXT, MESSAGE, { masked: true })
    : encodeFrame(Opcode.TEXT | RSV1, compressed, { masked: true })
  for (const socket of sockets) {
    socket.write(frame)
    await once(socket, 'data')
  }
  process.send!('talked')
}
