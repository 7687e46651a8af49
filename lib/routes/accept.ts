import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { TLSSocket } from 'node:tls'
import type { OriginPolicy, VerifyClient } from '../../types/options.js'
import { captureContext, runInContext } from '../async-context.js'
import { noop } from '../common.js'
import { Connection, sessionOf } from '../connection/connection.js'
import type { Session } from '../connection/session.js'
import type { Agreement } from '../connection/settings.js'
import type { PluginSettings, RouteSettings } from '../options/settings.js'
import { createError, describe, HandshakeError } from '../errors.js'
import type { ExtensionOffer } from '../protocol/header-fields.js'
import { negotiateDeflate } from '../protocol/permessage-deflate.js'
import { selectSubprotocol } from '../protocol/handshake.js'
import { ServerConnectionHost } from '../server/connection-host.js'
import { publishOpened } from '../server/diagnostics.js'
import type { Registry } from '../server/registry.js'
import { catchRejection, isThenable, toPromise, whenSettled } from '../thenable.js'
import { isOriginAllowed } from './origin.js'
import type { PendingUpgrades } from '../upgrade/upgrades.js'
import type { Accept, WebSocketRoute } from './register.js'
import { isAllowed } from './verdict.js'

/**
 * Makes the function that answers an upgrade once all hooks have let it pass: RFC 6455 §4.2.2, the origin
 * policy, and the 101, or the 200 of HTTP/2. That is an ordinary reply of Fastify, so that it has the headers and cookies
 * that hooks have set, `onSend` and `onResponse` run, and the log tells of it.
 *
 * @param upgrades those know whether `app.close()` has begun
 */
export function createAccept (settings: PluginSettings, server: Registry, upgrades: PendingUpgrades): Accept {
  return function accept (route, upgrade, instance, request, reply) {
    if (upgrades.isClosing) throw createError('FST_WS_ERR_CLOSING', undefined, { headers: { 'Retry-After': '1' } })
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
      const agreement: Agreement = { protocol, extensions: deflate === null ? '' : deflate.header, url: urlOf(request), deflate }
      upgrade.whenAccepted((socket, early) => runInContext(context, () => {
        const host = new ServerConnectionHost(
          server,
          route.connections,
          request.log,
          isRequestLogged(instance, request),
          settings.errorHandler === null ? null : { errorHandler: settings.errorHandler, instance, request, reply }
        )
        const connection = new Connection(socket, route.connectionSettings, agreement, host)
        server.add(connection, route.connections)
        const session = sessionOf(connection)
        host.watch(session, route.settings)
        publishOpened(() => ({ server, connection, request }))
        announce(server, session, request)
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

/** @throws {HandshakeError} (or rejects with one) if the origin or `verifyClient` refuses */
function authorize (origin: OriginPolicy, verifyClient: VerifyClient | null, request: FastifyRequest): void | Promise<void> {
  return whenSettled(isOriginAllowed(origin, request), isOriginAllowed => {
    if (!isOriginAllowed) throw createError('FST_WS_ERR_ORIGIN')
    if (verifyClient !== null) return verify(verifyClient, request)
  })
}

/** RFC 6455 §4.2.2 item 5, `/subprotocol/`. @returns `''` for none */
function chooseSubprotocol (
  offered: readonly string[],
  route: RouteSettings,
  handleProtocols: PluginSettings['handleProtocols'],
  request: FastifyRequest
): string {
  const { protocols } = route
  let chosen: string | false | PromiseLike<unknown>
  if (typeof protocols === 'function') {
    chosen = protocols(offered, request)
  } else if (protocols === null) {
    // Clients give up if none is agreed on that they have offered.
    chosen = offered.length > 0 && (handleProtocols === null ? offered[0]! : handleProtocols(new Set(offered), request.raw))
  } else {
    chosen = selectSubprotocol(offered, protocols)
  }
  if (isThenable(chosen)) {
    catchRejection(chosen, noop)
    throw createError('FST_WS_ERR_SUBPROTOCOL', `${typeof protocols === 'function' ? "'protocols'" : "'handleProtocols'"} has to return a subprotocol or false, and not a promise`)
  }
  if (chosen === false || chosen === undefined) return ''
  if (!offered.includes(chosen)) {
    throw createError('FST_WS_ERR_SUBPROTOCOL', `the selected subprotocol, ${describe(chosen)}, is not one that the client offered`)
  }
  return chosen
}

/** RFC 7692 §5. @returns `null` if the route or the client does not want it */
function agreeOnDeflate (offers: readonly ExtensionOffer[], { perMessageDeflate, maxPayload }: RouteSettings): Agreement['deflate'] & { header: string } | null {
  const agreed = perMessageDeflate === null ? null : negotiateDeflate(offers, perMessageDeflate)
  if (agreed === null) return null
  const { threshold, level, memLevel } = perMessageDeflate!
  return {
    header: agreed.header,
    sending: { windowBits: agreed.serverMaxWindowBits, contextTakeover: !agreed.serverNoContextTakeover, threshold, level, memLevel },
    receiving: { windowBits: agreed.clientMaxWindowBits, contextTakeover: !agreed.clientNoContextTakeover, maxPayload }
  }
}

/** `verifyClient` as `ws` calls it. @throws {HandshakeError} if it refuses */
function verify (verifyClient: VerifyClient, request: FastifyRequest): void | Promise<void> {
  const info = { origin: request.headers.origin, secure: request.raw.socket instanceof TLSSocket, req: request.raw }
  if (verifyClient.length < 2) {
    // The types know no async function here, and `ws` would take its promise for a yes.
    return whenSettled((verifyClient as (from: typeof info) => unknown)(info), verdict => {
      if (!isAllowed(verdict, "'verifyClient'", request)) throw createError('FST_WS_ERR_VERIFY_CLIENT')
    })
  }
  return new Promise((resolve, reject) => {
    const returned = verifyClient(info, (verdict, statusCode = 401, message = 'Unauthorized', headers = {}) => {
      if (isAllowed(verdict, "the callback of 'verifyClient'", request)) resolve()
      else reject(new HandshakeError(message, 'FST_WS_ERR_VERIFY_CLIENT', statusCode, headers))
    })
    // An async function calls its callback, but may fail before.
    catchRejection(returned, reject)
  })
}

/** RFC 6455 §3, from the target as the client sent it. */
function urlOf (request: FastifyRequest): string {
  return `${request.protocol === 'https' ? 'wss' : 'ws'}://${request.host}${request.originalUrl}`
}
