/** How a server under test is set up. */
export interface TopicsTask {
  /** The port of redis-server; 0: this process alone. */
  redis: number
  hasHistory: boolean
  adapter: 'redis-adapter' | 'sharded' | 'redis-streams-adapter'
}

export type Command =
  | { do: 'publish', topics: string[], rate: number, duration: number }
  | { do: 'subscribe', each: number, topics: number }
  | { do: 'unsubscribe' }
  | { do: 'received' }
  | { do: 'weigh' }

export const task = JSON.parse(process.env.BENCH_TASK ?? '{}') as TopicsTask

/** Milliseconds between two looks at what is due: each wakes the process, which counts for the server. */
const TURN = 4

const TEXT = 'x'.repeat(100)

/** Microseconds of the clock that all processes of a machine share. */
export const now = (): number => Number(process.hrtime.bigint() / 1000n)

export interface Server {
  port: number
  publish (topic: string, message: { sent: number, text: string }): unknown
  /** Messages that have come from Redis. */
  received (): number
  subscribe? (each: number, topics: number): Promise<void>
  unsubscribe? (): void
}

declare const gc: () => void

/** Publishes at a rate, spread over the topics. @returns how many messages there were, and how many failed */
async function publish (server: Server, { topics, rate, duration }: Extract<Command, { do: 'publish' }>): Promise<{ published: number, failed: number }> {
  let published = 0
  let failed = 0
  const start = performance.now()
  return await new Promise(resolve => {
    const timer = setInterval(() => {
      const elapsed = performance.now() - start
      for (const due = Math.min(elapsed, duration) * rate / 1000; published < Math.floor(due); published++) {
        const sent = server.publish(topics[published % topics.length]!, { sent: now(), text: TEXT })
        if (sent instanceof Promise) sent.catch(() => { failed++ })
      }
      if (elapsed < duration) return
      clearInterval(timer)
      resolve({ published, failed })
    }, TURN)
  })
}

async function weigh (): Promise<{ bytes: number }> {
  await new Promise(resolve => setTimeout(resolve, 500))
  for (let count = 0; count < 5; count++) gc()
  const { heapUsed, external } = process.memoryUsage()
  return { bytes: heapUsed + external }
}

/** Tells the runner the port, does what it asks for, and ends with it. */
export function announce (server: Server): void {
  console.log(server.port)
  let rest = ''
  process.stdin.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      answer(server, JSON.parse(line) as Command).then(result => { console.log(JSON.stringify(result)) }, error => { throw error })
    }
  }).on('end', () => process.exit())
}

async function answer (server: Server, command: Command): Promise<unknown> {
  switch (command.do) {
    case 'publish': return await publish(server, command)
    case 'weigh': return await weigh()
    case 'received': return { received: server.received() }
    case 'subscribe': return await server.subscribe!(command.each, command.topics) ?? {}
    case 'unsubscribe': return server.unsubscribe!() ?? {}
  }
}
