import type { ConnectOptions, SocketConstructor } from '../../types/client.js'

/** Milliseconds. */
export const BACKOFF = { base: 250, cap: 30_000 }

/** An attempt that is not answered for as long is given up, in milliseconds. */
export const CONNECT_TIMEOUT = 15_000

/** A connection that stayed open for as long counts as good: the next one that fails is the first of its row. In milliseconds. */
export const STABLE = 5_000

/** Whether it makes sense to connect again (docs/topics-protocol.md, "Resuming"). */
export function isFinal (code: number): boolean {
  return [1002, 1003, 1007, 1008, 1009].includes(code) || (code >= 4400 && code < 4500)
}

/** Milliseconds that the server asks a client to wait before it comes back. */
export function retryHint (reason: string): number {
  return Number(/retry=(\d{1,9})/.exec(reason)?.[1] ?? 0)
}

/** @returns the address with `ws:` or `wss:`, relative to the page if there is one */
export function absolute (url: string | URL): string {
  const { href } = (globalThis as { location?: { href?: string } }).location ?? {}
  const text = String(url)
  const resolved = new URL(text, href)
  // Not by setters of URL: React Native's has none, and adds a slash to what it parses. Pages may have a fragment, and WebSockets
  // may not.
  return (/^[a-z]+:/i.test(text) ? text : resolved.href).replace(/^http/i, 'ws').replace(/#.*/s, '')
}

/**
 * The subprotocols to offer. A token goes behind the others, since it is the only thing besides the URL that a page can send,
 * and URLs are logged.
 */
export function offers (protocols: readonly string[], token: string | null | undefined): string[] {
  return typeof token === 'string' ? [...protocols, `bearer.${/^[\w.-]+$/.test(token) ? token : toBase64Url(token)}`] : [...protocols]
}

function toBase64Url (text: string): string {
  const bytes = new TextEncoder().encode(text)
  return btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, character => ({ '+': '-', '/': '_' })[character] ?? '')
}

/** @throws {TypeError} if the runtime has no WebSocket and none is given */
export function constructorOf (options: ConnectOptions): SocketConstructor {
  const found = options.WebSocket ?? (globalThis as { WebSocket?: SocketConstructor }).WebSocket
  if (found === undefined) throw new TypeError('this runtime has no WebSocket: pass one, such as that of ws, as the option WebSocket')
  return found
}

/** @returns 128 random bits, of which nobody else has made the same */
export function randomId (): string {
  const bytes = new Uint8Array(16)
  const { crypto } = globalThis as { crypto?: { getRandomValues (bytes: Uint8Array): void } }
  // React Native has none without a polyfill.
  if (crypto === undefined) bytes.forEach((_, i) => { bytes[i] = Math.random() * 256 })
  else crypto.getRandomValues(bytes)
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')
}
