import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { JsonMessages, ParsePolicy } from '../connection/json-messages.js'
import { SchemaCompilers, unwrap, type Serializer, type Validator } from './schema-compilers.js'

/** Returns how the app has configured Fastify for the JSON of request bodies. */
export function parsePolicyOf ({ initialConfig: { onProtoPoisoning, onConstructorPoisoning } }: FastifyInstance): ParsePolicy {
  return { protoAction: onProtoPoisoning ?? 'error', constructorAction: onConstructorPoisoning ?? 'error' }
}

/** How errors name what was validated. */
const CONTEXT = 'message'

/** The `receive` and `send` schemas of a route, compiled as Fastify compiles the others: once, when the app gets ready. */
export class MessageSchemas {
  private readonly compilers: SchemaCompilers
  private readonly json: JsonMessages
  private readonly receive: unknown
  private readonly send: unknown
  private isCompiled = false

  /** @param json gets what the schemas become */
  constructor (instance: FastifyInstance, route: RouteOptions, json: JsonMessages) {
    this.compilers = new SchemaCompilers({ instance, title: `WebSocket route ${route.url}`, url: route.url, own: route })
    this.json = json
    this.receive = unwrap(route.schema?.receive)
    this.send = unwrap(route.schema?.send)
  }

  /**
   * Compiles them, unless no compilers are to be had before there is a request.
   *
   * @throws {MessageSchemaError} if a schema cannot be compiled
   */
  compile (): void {
    const { compilers, receive, send } = this
    compilers.prepare([
      ...receive === undefined ? [] : [{ name: 'receive', schema: receive, kind: 'validator' as const }],
      ...send === undefined ? [] : [{ name: 'send', schema: send, kind: 'serializer' as const }]
    ])
    if ((receive !== undefined && !compilers.has('validator')) || (send !== undefined && !compilers.has('serializer'))) return
    this.isCompiled = true
    if (receive !== undefined) this.json.validate = compilers.compileValidator('receive', receive, 'body', CONTEXT)
    if (send !== undefined) this.json.serialize = compilers.compileSerializer('send', send)
  }

  /** Compiles them with what a request has, if that was not possible before. Throws as `compile` does. */
  compileFor (request: FastifyRequest, reply: FastifyReply): void {
    if (this.isCompiled) return
    this.isCompiled = true
    const { compilers, receive, send } = this
    if (receive !== undefined) {
      this.json.validate = compilers.toValidate('receive', receive, CONTEXT, () => request.compileValidationSchema(receive as Record<string, unknown>, 'body') as Validator)
    }
    if (send !== undefined) {
      this.json.serialize = compilers.named('send', () => reply.compileSerializationSchema(send as Record<string, unknown>) as Serializer)
    }
  }
}
