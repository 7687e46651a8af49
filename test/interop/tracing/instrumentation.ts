import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace-node'
import { traceWebSockets } from '../../../examples/tracing/trace-websockets.js'

// Loaded before the program that is traced, as OpenTelemetry wants it.

const exporter = new InMemorySpanExporter()
const open = new Set<ReadableSpan>()

const provider = new NodeTracerProvider({
  spanProcessors: [
    new SimpleSpanProcessor(exporter),
    {
      onStart: span => { open.add(span) },
      onEnd: span => { open.delete(span) },
      forceFlush: async () => {},
      shutdown: async () => {}
    }
  ]
})
provider.register()
registerInstrumentations({
  tracerProvider: provider,
  instrumentations: [new HttpInstrumentation({ ignoreIncomingRequestHook: request => request.url === '/spans' })]
})
traceWebSockets(provider.getTracer('websockets'))

/** A span as the test gets it. */
export interface SpanReport {
  name: string
  by: string
  kind: number
  traceId: string
  spanId: string
  parentSpanId: string | null
  linkedTo: string[]
  attributes: Record<string, unknown>
  status: number
  /** Milliseconds. */
  duration: number
}

/** The spans that have ended since the last time, and those that have not. */
export function takeSpans (): { ended: SpanReport[], open: SpanReport[] } {
  const ended = exporter.getFinishedSpans().map(report)
  exporter.reset()
  return { ended, open: [...open].map(report) }
}

function report (span: ReadableSpan): SpanReport {
  const { traceId, spanId } = span.spanContext()
  return {
    name: span.name,
    by: span.instrumentationScope.name,
    kind: span.kind,
    traceId,
    spanId,
    parentSpanId: span.parentSpanContext?.spanId ?? null,
    linkedTo: span.links.map(link => link.context.spanId),
    attributes: span.attributes,
    status: span.status.code,
    duration: span.duration[0] * 1000 + span.duration[1] / 1e6
  }
}
