import type { ExtensionOffer } from './header-fields.js'

/** The extension's name (RFC 7692 §7). */
export const PERMESSAGE_DEFLATE = 'permessage-deflate'

/** Base-2 logarithms of the LZ77 window that RFC 7692 §7.1.2 allows. */
const MIN_WINDOW_BITS = 8
const MAX_WINDOW_BITS = 15

/** zlib compresses raw deflate with at least 9: a promise of 8 cannot be kept. */
export const MIN_DEFLATE_WINDOW_BITS = 9

/** The terms that this server prefers. */
export interface DeflatePolicy {
  readonly serverNoContextTakeover: boolean
  readonly clientNoContextTakeover: boolean
  /** 9–15 */
  readonly serverMaxWindowBits: number
  /** 8–15; can only be asked of clients that offer it. 8 is asked only of clients that offer 8. */
  readonly clientMaxWindowBits: number
}

/** The terms of one connection. */
export interface DeflateAgreement {
  /** `true`: the server's messages refer to none before them. The answer names it only if the client offered it. */
  readonly serverNoContextTakeover: boolean
  readonly clientNoContextTakeover: boolean
  /** The window of the server's messages, 9–15; the answer names it only if the client offered it. */
  readonly serverMaxWindowBits: number
  /** The window of the client's messages, 8–15. */
  readonly clientMaxWindowBits: number
  /** The value of `Sec-WebSocket-Extensions` in the 101. */
  readonly header: string
}

/** One offer, with its parameters' values checked. */
interface Offer {
  serverNoContextTakeover: boolean
  clientNoContextTakeover: boolean
  serverMaxWindowBits: number | null
  /** `true`: the client accepts any value. */
  clientMaxWindowBits: number | true | null
}

/**
 * Accepts the first offer that can be kept (RFC 7692 §5, §7.1). Unknown, repeated or wrong parameters decline their offer,
 * and never the handshake.
 *
 * @returns `null` if there is none
 */
export function negotiateDeflate (offers: readonly ExtensionOffer[], policy: DeflatePolicy): DeflateAgreement | null {
  for (const extension of offers) {
    if (extension.name.toLowerCase() !== PERMESSAGE_DEFLATE) continue
    const offer = readOffer(extension)
    if (offer !== null && (offer.serverMaxWindowBits ?? MAX_WINDOW_BITS) >= MIN_DEFLATE_WINDOW_BITS) return accept(offer, policy)
  }
  return null
}

function readOffer ({ params }: ExtensionOffer): Offer | null {
  const offer: Offer = { serverNoContextTakeover: false, clientNoContextTakeover: false, serverMaxWindowBits: null, clientMaxWindowBits: null }
  const seen = new Set<string>()
  for (const [name, value] of params) {
    if (seen.has(name)) return null
    seen.add(name)
    switch (name) {
      // RFC 7692 §7.1.1: neither has a value.
      case 'server_no_context_takeover':
        if (value !== true) return null
        offer.serverNoContextTakeover = true
        break
      case 'client_no_context_takeover':
        if (value !== true) return null
        offer.clientNoContextTakeover = true
        break
      // RFC 7692 §7.1.2: only the client's may come without one.
      case 'server_max_window_bits':
        offer.serverMaxWindowBits = value === true ? null : readWindowBits(value)
        if (offer.serverMaxWindowBits === null) return null
        break
      case 'client_max_window_bits':
        offer.clientMaxWindowBits = value === true ? true : readWindowBits(value)
        if (offer.clientMaxWindowBits === null) return null
        break
      default:
        return null
    }
  }
  return offer
}

/** A decimal integer from 8 to 15 without leading zeros. */
function readWindowBits (value: string): number | null {
  if (!/^[1-9][0-9]?$/.test(value)) return null
  const bits = Number(value)
  return bits >= MIN_WINDOW_BITS && bits <= MAX_WINDOW_BITS ? bits : null
}

function accept (offer: Offer, policy: DeflatePolicy): DeflateAgreement {
  const serverNoContextTakeover = offer.serverNoContextTakeover || policy.serverNoContextTakeover
  // As an offer this is a hint only (§7.1.1.2); to take it costs the server nothing.
  const clientNoContextTakeover = offer.clientNoContextTakeover || policy.clientNoContextTakeover
  const serverMaxWindowBits = Math.min(offer.serverMaxWindowBits ?? MAX_WINDOW_BITS, policy.serverMaxWindowBits)
  const clientMaxWindowBits = chooseClientBits(offer.clientMaxWindowBits, policy.clientMaxWindowBits)

  // A server may always use less than was agreed on. Clients refuse answers with `server_` parameters that they have not
  // offered (coder/websocket, Netty), so those are kept silently. A `client_` parameter has no effect unless it is named.
  let header = PERMESSAGE_DEFLATE
  if (offer.serverNoContextTakeover) header += '; server_no_context_takeover'
  if (clientNoContextTakeover) header += '; client_no_context_takeover'
  if (offer.serverMaxWindowBits !== null) header += `; server_max_window_bits=${serverMaxWindowBits}`
  if (clientMaxWindowBits < MAX_WINDOW_BITS) header += `; client_max_window_bits=${clientMaxWindowBits}`
  return { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits, header }
}

/** §7.1.2.2: a client that did not offer the parameter may not be asked for it. */
function chooseClientBits (offered: Offer['clientMaxWindowBits'], wanted: number): number {
  if (offered === null) return MAX_WINDOW_BITS
  // Clients that compress with zlib cannot keep 8 (.NET, Bun and aiohttp refuse it), unless they say so themselves.
  const least = offered === MIN_WINDOW_BITS ? MIN_WINDOW_BITS : MIN_DEFLATE_WINDOW_BITS
  return Math.min(offered === true ? MAX_WINDOW_BITS : offered, Math.max(wanted, least))
}
