import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'

// Clients in a process of their own, to which things happen. Commands as for the server.

const { host = '127.0.0.1', port, count } = JSON.parse(process.argv[2]!) as { host?: string, port: number, count: number }

const sockets = Array.from({ length: count }, () => new WebSocket(`ws://${host}:${port}/`))
const codes: number[] = []
for (const socket of sockets) {
  socket.on('error', () => {})
  socket.on('close', code => codes.push(code))
}
await Promise.all(sockets.map(socket => new Promise(resolve => socket.on('open', resolve))))

/** How many get their echo. */
async function echo (): Promise<number> {
  const open = sockets.filter(({ readyState }) => readyState === WebSocket.OPEN)
  await Promise.all(open.map(async socket => {
    const answer = new Promise(resolve => {
      socket.once('message', resolve)
      socket.once('close', resolve)
    })
    socket.send('are you there?')
    await answer
  }))
  return sockets.filter(({ readyState }) => readyState === WebSocket.OPEN).length
}

for await (const line of createInterface(process.stdin)) {
  const answer = line === 'echo' ? await echo() : line === 'codes' ? codes : null
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
process.exit()
