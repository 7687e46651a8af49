import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { byName, fileOf, load, prepareExamples, replaceAll, runChecks, testCoverage } from '../docs/support.js'
import { redis } from '../../lib/redis/index.js'
import { cellsOf, createProject, typeCheck, type Example } from '../support/examples.js'
import { noRedis, RedisServer } from './redis-server.js'

// The examples of docs/redis.md, with a real server.

const project = await createProject(t, import.meta.dirname)
const examples = await prepareExamples(['docs/redis.md'], project)

/** Runs an example with a server of its own. */
async function checkSetup (t: Parameters<Parameters<typeof runChecks>[0][string]>[0], example: Example): Promise<void> {
  if (noRedis !== false) {
    t.comment(noRedis)
    return
  }
  const server = await RedisServer.start(t)
  await writeFile(fileOf(example), replaceAll(example.text, { 6379: String(server.port) }))
  const app = await load(t, example)
  await app.ready()
  t.match(app.websocketServer.stats.topics, { broker: 'redis', isUp: true })
  t.equal(await app.websocketServer.publish('prices', 'x'), null)
  await app.close()
}

runChecks({
  async 'redis setup' (t, example) {
    await checkSetup(t, example)
  },

  async 'redis node-redis' (t, example) {
    await checkSetup(t, example)
  },

  async 'redis sentinel' (t, { text }) {
    // redis-sentinel.test.ts has a real one.
    t.match(text, /new Redis\(\{ name: 'main', sentinels: /)
  },

  async 'redis options' (t, { text }) {
    let message = ''
    try {
      redis({ unknown: 1 } as never)
    } catch (error) {
      message = (error as Error).message
    }
    t.same(cellsOf(text).map(([option]) => option!.replaceAll('`', "'")), /it has (.+)$/.exec(message)![1]!.split(', '))
  }
})

t.test('every example has a check, and is typed', async t => {
  await testCoverage(t, examples, [import.meta.filename])
  for (const name of ['redis setup', 'redis node-redis', 'redis sentinel']) await writeFile(fileOf(byName.get(name)!), byName.get(name)!.text)
  await typeCheck(project)
})
