import { Redis } from 'ioredis'
import { redis } from '../../../lib/redis/index.js'
import { startApp } from '../apps.js'

// An app in a process of its own. REDIS_PORT says where Redis is. CLOCK is added to this process's clock, in milliseconds.

const shift = Number(process.env.CLOCK ?? 0)
if (shift !== 0) {
  const { Date } = globalThis
  globalThis.Date = class extends Date {
    constructor (...args: []) {
      if (args.length === 0) super(Date.now() + shift)
      else super(...args)
    }

    static override now (): number {
      return Date.now() + shift
    }
  } as DateConstructor
}

const client = new Redis(Number(process.env.REDIS_PORT), '127.0.0.1', { lazyConnect: true })
const { app, url } = await startApp({ teardown () {} }, redis({ client }))

let n = 0
/** Publishes as fast as it can. */
function publish (topic: string): void {
  const number = ++n
  app.websocketServer.publish(topic, number).then(() => {
    process.send!(number)
    publish(topic)
  }, () => {})
}

process.on('message', ({ topic, inFlight }: { topic: string, inFlight: number }) => {
  for (let i = 0; i < inFlight; i++) publish(topic)
})
process.on('disconnect', () => process.exit())
process.send!(url)
