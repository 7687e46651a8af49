import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { captureContext, runInContext } from '../async-context.js'
import { Connection, sessionOf } from '../connection/connection.js'
import type { Session } from '../connection/session.js'
import type { Agreement } from '../connection/settings.js'
import { createError } from '../errors.js'
import type { PluginSettings } from '../options/settings.js'
import { ServerConnectionHost } from '../server/connection-host.js'
import { publishOpened } from '../server/diagnostics.js'
import type { Registry } from '../server/registry.js'
import { isThenable, toPromise } from '../thenable.js'
import type { PendingUpgrades } from '../upgrade/upgrades.js'
import { authorize } from './authorize.js'
import { passData } from './connection-data.js'
import { agreeOnDeflate, chooseSubprotocol } from './negotiate.js'
import type { Accept, WebSocketRoute } from './register.js'

/**
 * Makes the function that answers an upgrade once all hooks have let it pass: RFC 6455 §4.2.2, the origin
 * policy, and the 101, or the 200 of HTTP/2. The response is an ordinary reply of Fastify: it has the headers and cookies
 * that hooks have set, `onSend` and `onResponse` run, and Fastify logs it.
 *
 * @param upgrades those know whether `app.close()` has begun
 */
export function createAccept (settings: PluginSettings, server: Registry, upgrades: PendingUpgrades): Accept {
  return function accept (route, upgrade, instance, request, reply) {
    if (upgrades.isClosing) throw createError('FST_WS_ERR_CLOSING')
    const proposal = upgrade.readProposal()
    // The one that hooks have made. The 101 may be written in another.
    const context = captureContext()
    const pending = authorize(route.settings.origin, settings.verifyClient, request)
    if (pending !== undefined) return pending.then(switchProtocols)
    switchProtocols()
    return undefined

    function switchProtocols (): FastifyReply {
      const protocol = chooseSubprotocol(proposal.subprotocols, route.settings, server.options.handleProtocols ?? settings.handleProtocols, request)
      if (protocol !== '') reply.header('Sec-WebSocket-Protocol', protocol)
      const deflate = agreeOnDeflate(proposal.extensions, route.settings)
      if (deflate !== null) reply.header('Sec-WebSocket-Extensions', deflate.header)
      const agreement: Agreement = { protocol, extensions: deflate === null ? '' : deflate.header, url: urlOf(request), context, deflate }
      upgrade.whenAccepted((socket, early) => runInContext(context, () => {
        const host = new ServerConnectionHost(
          server,
          route.connections,
          request.log,
          isRequestLogged(instance, request),
          route.settings.errorHandler === null ? null : { errorHandler: route.settings.errorHandler, instance, request, reply }
        )
        const connection = new Connection(socket, route.connectionSettings, agreement, host)
        const session = sessionOf(connection)
        passData(request, connection)
        server.add(session, route.connections)
        host.watch(session, route.settings)
        publishOpened(() => ({ server, connection, request }))
        announce(server, session, request)
        // Its first message comes before those of the handler.
        route.topics?.open(session, request)
        run(route, session, instance, request)
        session.begin(early)
      }, undefined))
      return reply.code(proposal.statusCode).headers(proposal.headers).send()
    }
  }
}

/** As Fastify decides it for its own lines; what a `logController` decides is not public. */
function isRequestLogged ({ initialConfig: { disableRequestLogging } }: FastifyInstance, request: FastifyRequest): boolean {
  return !(typeof disableRequestLogging === 'function' ? disableRequestLogging(request) : disableRequestLogging)
}

/** Tells those who listen to the server. */
function announce (server: Registry, session: Session, request: FastifyRequest): void {
  try {
    server.emit('connection', session.connection, request.raw)
  } catch (error) {
    session.reportThrown(error)
  }
}

/** Calls the user's handler. Delivery begins when it has settled, if it did not begin before with a listener. */
function run (route: WebSocketRoute, session: Session, instance: FastifyInstance, request: FastifyRequest): void {
  const { mailbox } = session
  let result: unknown
  try {
    result = route.handler.call(instance, session.connection, request)
  } catch (error) {
    session.reportThrown(error)
  }
  if (!isThenable(result)) return mailbox.handlerSettled()
  toPromise(result).then(
    () => mailbox.handlerSettled(),
    (error: unknown) => {
      session.reportThrown(error)
      mailbox.handlerSettled()
    }
  )
}

/** Most connections have the URL of the one before: all of them keep one string, and not each the parts of its own. */
let lastUrl = ''

/** RFC 6455 §3, from the target as the client sent it. */
function urlOf (request: FastifyRequest): string {
  const url = `${request.protocol === 'https' ? 'wss' : 'ws'}://${request.host}${request.originalUrl}`
  // The comparison also lets V8 join the parts.
  if (url !== lastUrl) lastUrl = url
  return lastUrl
}
