import type { Server } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Tells the runner the port, and ends with it. */
export function announce (server: Server): void {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on TCP')
  process.send!({ port: address.port })
  process.on('disconnect', () => process.exit())
  process.on('message', message => {
    if (message !== 'collect') return
    // What a collection frees in the first round lets the second free more.
    for (let i = 0; i < 3; i++) collectGarbage()
    setTimeout(() => process.send!('collected'), 500)
  })
}

/** What the workload wants of permessage-deflate. */
export const perMessageDeflate = JSON.parse(process.env.BENCH_DEFLATE ?? 'false') as boolean
