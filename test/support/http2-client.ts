import { once } from 'node:events'
import { connect, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders, type OutgoingHttpHeaders, type SecureClientSessionOptions } from 'node:http2'
import { text } from 'node:stream/consumers'
import { cancelWhenDestroyed } from '../../lib/upgrade/http2/cancel-stream.js'
import { RawClient } from './raw-client.js'
import type { Teardown } from './app.js'

/** The response to an extended CONNECT. */
export interface Http2Response {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

/** A session of Node's own client, which is destroyed when the test ends, and has the server's settings. */
export async function connectHttp2 (t: Teardown, url: string, options: SecureClientSessionOptions = {}): Promise<ClientHttp2Session> {
  const session = connect(url, options)
  t.teardown(() => session.destroy())
  await once(session, 'remoteSettings')
  return session
}

/** An extended CONNECT (RFC 8441 §5). `headers` are added, or replace those of the same name. */
export function extendedConnect (session: ClientHttp2Session, path = '/', headers: OutgoingHttpHeaders = {}): ClientHttp2Stream {
  const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13', ...headers })
  stream.on('error', () => {})
  // Node's own can end the process of the test.
  cancelWhenDestroyed(stream)
  return stream
}

/** Throws if the stream is reset instead. */
export async function responseHeaders (stream: ClientHttp2Stream): Promise<{ status: number, headers: IncomingHttpHeaders }> {
  const headers = await new Promise<IncomingHttpHeaders & { ':status'?: number }>((resolve, reject) => {
    stream.on('response', resolve)
    stream.on('close', () => reject(new Error(`reset with ${stream.rstCode}`)))
  })
  return { status: headers[':status']!, headers }
}

/** The whole answer to a handshake that is refused. */
export async function refusal (session: ClientHttp2Session, path?: string, headers?: OutgoingHttpHeaders): Promise<Http2Response> {
  const stream = extendedConnect(session, path, headers)
  const answer = await responseHeaders(stream)
  return { ...answer, body: await text(stream) }
}

/** A connection whose handshake is done. Throws if the answer is not a 200. */
export async function openHttp2 (session: ClientHttp2Session, path?: string, headers?: OutgoingHttpHeaders): Promise<RawClient & { readonly socket: ClientHttp2Stream }> {
  const stream = extendedConnect(session, path, headers)
  const { status } = await responseHeaders(stream)
  if (status !== 200) throw new Error(`answered ${status}`)
  return new RawClient(stream) as RawClient & { readonly socket: ClientHttp2Stream }
}
