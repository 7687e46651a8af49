import type { Server } from 'node:net'

/** Tells the runner the port, and ends with it. */
export function announce (server: Server): void {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on TCP')
  process.send!({ port: address.port })
  process.on('disconnect', () => process.exit())
}

/** What the workload wants of permessage-deflate. */
export const perMessageDeflate = JSON.parse(process.env.BENCH_DEFLATE ?? 'false') as boolean
