import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { byName, fileOf, load, prepareExamples, replaceAll, runChecks, testCoverage } from '../docs/support.js'
import { nats } from '../../lib/nats/index.js'
import { cellsOf, createProject, typeCheck } from '../support/examples.js'
import { NatsServer, noNats } from './nats-server.js'

// The examples of docs/nats.md, with a real server.

const project = await createProject(t, import.meta.dirname)
const examples = await prepareExamples(['docs/nats.md'], project)

runChecks({
  async 'nats setup' (t, example) {
    if (noNats !== false) return t.comment(noNats)
    const server = await NatsServer.start(t)
    await writeFile(fileOf(example), replaceAll(example.text, { 4222: String(server.port) }))
    const app = await load(t, example)
    await app.ready()
    t.match(app.websocketServer.stats.topics, { broker: 'nats', isUp: true })
    t.equal(await app.websocketServer.publish('prices', 'x'), null)
    await app.close()
  },

  async 'nats options' (t, { text }) {
    let message = ''
    try {
      nats({ unknown: 1 } as never)
    } catch (error) {
      message = (error as Error).message
    }
    t.same(cellsOf(text).map(([option]) => option!.replaceAll('`', '')), /there are (.+)$/.exec(message)![1]!.split(', '))
  }
})

t.test('every example has a check, and is typed', async t => {
  await testCoverage(t, examples, [import.meta.filename])
  await writeFile(fileOf(byName.get('nats setup')!), byName.get('nats setup')!.text)
  await typeCheck(project)
})
