import type { FastifyRequest } from 'fastify'
import { noop } from '../common.js'
import type { Agreement } from '../connection/settings.js'
import { createError, describe } from '../errors.js'
import type { PluginSettings, RouteSettings } from '../options/settings.js'
import { selectSubprotocol } from '../protocol/handshake.js'
import type { ExtensionOffer } from '../protocol/header-fields.js'
import { negotiateDeflate } from '../protocol/permessage-deflate.js'
import { catchRejection, isThenable } from '../thenable.js'
import { SUBPROTOCOL } from '../topics-protocol/protocol.js'

/** RFC 6455 §4.2.2 item 5, `/subprotocol/`. @returns `''` for none */
export function chooseSubprotocol (
  offered: readonly string[],
  route: RouteSettings,
  handleProtocols: PluginSettings['handleProtocols'],
  request: FastifyRequest
): string {
  const { protocols } = route
  if (route.topics !== null && (protocols === null || offered.includes(SUBPROTOCOL))) return offered.includes(SUBPROTOCOL) ? SUBPROTOCOL : ''
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
export function agreeOnDeflate (offers: readonly ExtensionOffer[], { perMessageDeflate, maxPayload }: RouteSettings): Agreement['deflate'] & { header: string } | null {
  const agreed = perMessageDeflate === null ? null : negotiateDeflate(offers, perMessageDeflate)
  if (agreed === null) return null
  const { threshold, level, memLevel } = perMessageDeflate!
  return {
    header: agreed.header,
    sending: { windowBits: agreed.serverMaxWindowBits, contextTakeover: !agreed.serverNoContextTakeover, threshold, level, memLevel },
    receiving: { windowBits: agreed.clientMaxWindowBits, contextTakeover: !agreed.clientNoContextTakeover, maxPayload }
  }
}
