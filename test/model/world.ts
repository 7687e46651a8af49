import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocketConnection } from '../../types/connection.js'
import type { WebSocketPluginOptions } from '../../types/options.js'
import { startApp } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { ServerSockets } from '../support/server-sockets.js'
import { BadApp } from './bad-app.js'
import { broadcast } from './broadcast.js'
import { checkRun } from './check.js'
import { HIJACKED } from './contents.js'
import type { ConversationLog } from './conversation-log.js'
import { InjectClient } from './inject-client.js'
import { checkLeftovers, resourcesNow } from './leftovers.js'
import type { Plan } from './plan.js'
import { RunLog } from './run-log.js'
import { closeApp, closeServer } from './shutdown.js'
import { Opener } from './transports.js'
import { wait } from './wait.js'
import { WireClient } from './wire-client.js'

/** Milliseconds: only what hangs takes that long. */
const HANG_GUARD = 20_000

/** Does all that the plan says, and checks it. */
export async function runPlan (plan: Plan, guard = HANG_GUARD): Promise<RunLog> {
  const run = new RunLog(plan)
  const before = resourcesNow()
  const uncaught = (error: unknown): void => run.fault('process', `uncaught: ${error instanceof Error ? error.stack : String(error)}`)
  process.on('uncaughtException', uncaught)
  process.on('unhandledRejection', uncaught)
  try {
    const { app, port } = await start(run)
    const sockets = new ServerSockets(app.server)
    const opener = new Opener(plan.transport, port)
    await unlessItHangs(run, converse(run, opener), guard)
    if (run.faults.length > 0) for (const socket of sockets.open) socket.destroy()
    opener.close()
    await unlessItHangs(run, sockets.allClosed(), guard)
    await checkRun(run)
    await checkLeftovers(run, before)
  } finally {
    process.off('uncaughtException', uncaught)
    process.off('unhandledRejection', uncaught)
  }
  return run
}

async function start (run: RunLog): Promise<{ app: FastifyInstance, port: number }> {
  const { plan } = run
  const isHttp2 = plan.transport.includes('http2')
  const isSecure = plan.transport === 'tls' || plan.transport === 'http2-tls'
  const { closeTimeout, deflate, heartbeat } = plan
  const options: WebSocketPluginOptions = {
    closeTimeout,
    perMessageDeflate: deflate ?? false,
    heartbeat: heartbeat === null ? false : { interval: heartbeat, timeout: 60_000 }
  }
  if (plan.errorHandler !== 'none') options.errorHandler = (error, connection) => handleError(run, error, connection as WebSocketConnection)
  const started = await startApp({ teardown: () => {} }, app => {
    run.app = app
    for (const path of ['/even', '/odd']) {
      const onRequest = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => pass(run, conversationOf(run, request), request, reply)
      app.get(path, { websocket: true, onRequest }, (connection, request) => new BadApp(conversationOf(run, request), connection as WebSocketConnection).handle())
    }
  }, options, {
    loggerInstance: logOf(run),
    ...(isHttp2 ? { http2: true } : {}),
    ...(isSecure ? { https: certificate } : {})
  })
  return started
}

function conversationOf (run: RunLog, request: FastifyRequest): ConversationLog {
  const { id } = request.query as { id: string }
  return run.conversations.find(({ plan }) => plan.id === Number(id))!
}

/** The hook, which takes its time, or the socket. */
async function pass (run: RunLog, log: ConversationLog, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  await wait(log.plan.hook)
  if (!log.plan.isHijacked) return undefined
  reply.hijack()
  run.tell(log.name, 'a hook takes the socket')
  const { socket } = request.raw
  socket.on('error', () => {})
  await wait(3)
  socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${HIJACKED}`)
  socket.resume()
  return reply
}

function handleError (run: RunLog, error: Error, connection: WebSocketConnection): unknown {
  const log = run.outgoingOf(connection).conversation!
  log.tell(`app: its errorHandler gets ${error.message}`)
  run.reported.push(error)
  switch (run.plan.errorHandler) {
    case 'closes':
      if (connection.readyState === connection.OPEN) log.appClose = { code: 1011, reason: '' }
      connection.close(1011)
      return log.noteClosing()
    case 'terminates':
      log.allowMissingTail('the errorHandler has terminated the connection')
      log.isTerminated = true
      return connection.terminate()
    case 'throws':
      throw run.makeThrown(true)
    case 'rejects':
      return Promise.reject(run.makeThrown(true))
    case 'thenable': {
      const thrown = run.makeThrown(true)
      return { then: (_resolve: unknown, reject: (error: unknown) => void) => reject(thrown) }
    }
  }
}

/** A logger that notes the errors which the default `errorHandler` logs. */
function logOf (run: RunLog): FastifyBaseLogger {
  const none = (): void => {}
  const told = (given: { err?: Error }): void => {
    if (given.err === undefined) return
    run.tell('log', given.err.message)
    run.reported.push(given.err)
  }
  const log = { level: 'info', fatal: told, error: told, warn: told, info: told, debug: none, trace: none, silent: none, child: () => log }
  return log as unknown as FastifyBaseLogger
}

/** All that is done, to the end. */
async function converse (run: RunLog, opener: Opener): Promise<void> {
  const { plan } = run
  const isInjected = plan.transport.startsWith('inject')
  const clients = run.conversations.map(async log => {
    try {
      await (isInjected ? new InjectClient(log).run() : new WireClient(log).run(opener))
    } catch (error) {
      log.clientIsOver = true
      // Nobody is let in any more.
      if (!run.isClosing) log.fault(`the client: ${String((error as Error).stack)}`)
    }
  })
  const elsewhere = plan.elsewhere.map(async ({ after, act }) => {
    await wait(after)
    if (act.do === 'broadcast') broadcast(run, act, null)
    else if (act.do === 'close server') closeServer(run)
    else closeApp(run)
  })
  await Promise.all([...elsewhere, ...clients.filter((_, i) => run.conversations[i]!.plan.ending.how !== 'wait')])
  // Clients that wait for the server to end the connection may still be in the middle of their steps.
  await wait(20)
  closeApp(run)
  await Promise.all(clients)
  for (let closed = 0; closed < run.closings.length; closed++) await run.closings[closed]
  await settled(run)
}

/** The app comes to its end as well. */
async function settled (run: RunLog): Promise<void> {
  const isOver = (log: ConversationLog): boolean => log.connection === null || (log.appIsOver && (log.closeEvents.length > 0 || !log.mustEmitClose))
  while (!run.conversations.every(isOver)) await wait(8)
  // Whatever still comes is too much.
  await wait(20)
}

async function unlessItHangs (run: RunLog, done: Promise<void>, patience: number): Promise<void> {
  let guard: NodeJS.Timeout | undefined
  const hangs = new Promise<void>(resolve => {
    guard = setTimeout(() => {
      const states = run.conversations.filter(log => !log.clientIsOver || !log.appIsOver).map(log => `${log.name}: client ${log.clientIsOver ? 'over' : 'waits'}, app ${log.appIsOver ? 'over' : 'waits'}, readyState ${log.connection?.readyState}`)
      run.fault('elsewhere', `hangs: ${states.join('; ')}`)
      resolve()
    }, patience)
  })
  await Promise.race([done, hangs])
  clearTimeout(guard)
}
