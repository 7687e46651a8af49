import type {} from '@fastify/otel'
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Attributes, type Link, type Tracer } from '@opentelemetry/api'
import type { WebSocketClosed, WebSocketConnection, WebSocketOpened } from 'fastify-ws-routes'
import diagnosticsChannel from 'node:diagnostics_channel'

/**
 * A span for each message, while its listeners run, and one for each connection, told when it is over. Connections
 * may live for days: so each of these is a trace of its own, with a link to the handshake.
 */
export function traceWebSockets (tracer: Tracer): void {
  const common = new WeakMap<WebSocketConnection, { links: Link[], attributes: Attributes }>()

  diagnosticsChannel.subscribe('fastify-ws-routes.open', message => {
    const { connection, request } = message as WebSocketOpened
    const { context: ofRequest } = request.opentelemetry()
    const handshake = ofRequest === null ? undefined : trace.getSpanContext(ofRequest)
    const links = handshake === undefined ? [] : [{ context: handshake }]
    const attributes = { 'network.protocol.name': 'websocket', 'http.route': request.routeOptions.url }
    common.set(connection, { links, attributes })

    // A listener of our own would count as somebody who wants the messages; this only looks on.
    const { emit } = connection
    connection.emit = ((event: string | symbol, ...args: unknown[]): boolean => {
      const emitNext = (): boolean => Reflect.apply(emit, connection, [event, ...args])
      // A loop is no listener, and gets messages too: those that are not for listeners of `json` alone.
      const isHeard = connection.listenerCount(event) > 0 || (event === 'message' && connection.listenerCount('json') === 0)
      if ((event !== 'message' && event !== 'json') || !isHeard) return emitNext()
      const span = tracer.startSpan(`${event} ${request.routeOptions.url}`, { kind: SpanKind.CONSUMER, links, attributes }, ROOT_CONTEXT)
      try {
        return context.with(trace.setSpan(ROOT_CONTEXT, span), emitNext)
      } catch (error) {
        span.recordException(error as Error)
        span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message })
        throw error
      } finally {
        span.end()
      }
    }) as typeof emit
  })

  diagnosticsChannel.subscribe('fastify-ws-routes.close', message => {
    const { connection, code, duration, received, sent } = message as WebSocketClosed
    const span = tracer.startSpan('connection', { ...common.get(connection), startTime: Date.now() - duration }, ROOT_CONTEXT)
    span.setAttributes({
      'websocket.close_code': code,
      'websocket.messages.received': received.messages,
      'websocket.messages.sent': sent.messages
    })
    span.end()
  })
}
