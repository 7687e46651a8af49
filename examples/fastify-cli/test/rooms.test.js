import { build } from 'fastify-cli/helper.js'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const app = fileURLToPath(new URL('../app.js', import.meta.url))

test('a room', async t => {
  // `skipOverride` lets the decorators of the app out, `injectWS` among them.
  const fastify = await build([app], { skipOverride: true })
  t.after(() => fastify.close())

  const ada = await fastify.injectWS('/rooms/engine?user=Ada')
  assert.equal(String((await once(ada, 'message'))[0]), 'welcome to engine, Ada')
  const charles = await fastify.injectWS('/rooms/engine?user=Charles')
  await once(charles, 'message')
  const heard = once(ada, 'message')
  charles.send('good evening')
  assert.equal(String((await heard)[0]), 'Charles: good evening')

  await assert.rejects(fastify.injectWS('/rooms/engine'), { statusCode: 401 })
  await assert.rejects(fastify.injectWS('/rooms/42?user=Ada'), { statusCode: 400 })
  assert.deepEqual((await fastify.inject('/rooms')).json(), { engine: 2 })
})
