// Sends an order every second, whether the server of this folder is there or not. Stop that, and start it again.
//
//   npm run example reconnecting-client

import ReconnectingWebSocket from 'partysocket/ws'
import { WebSocket } from 'ws'

const client = new ReconnectingWebSocket(process.env.URL ?? 'ws://127.0.0.1:3000/orders', [], {
  WebSocket, // in a browser there is one
  // Let them wait for a random time, or all come back at once.
  minReconnectionDelay: 500 + Math.random() * 1000,
  maxReconnectionDelay: 10_000
})

client.addEventListener('open', () => console.log('open'))
client.addEventListener('close', ({ code }) => console.log(`closed with ${code}`))
client.addEventListener('message', ({ data }) => console.log(String(data)))

let coffees = 0
const timer = setInterval(() => client.send(`${++coffees} coffee`), 1000)

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    clearInterval(timer)
    client.close()
  })
}
