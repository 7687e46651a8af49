// AsyncAPI 3.0 as far as `app.asyncapi()` uses it: https://www.asyncapi.com/docs/reference/specification/v3.0.0

/** Specification extensions, which every object of AsyncAPI may have. */
export interface AsyncApiExtensions {
  [extension: `x-${string}`]: unknown
}

/** A pointer to another part of the same document. */
export interface AsyncApiReference {
  $ref: string
}

/** JSON Schema draft-07 with the additions of AsyncAPI. */
export type AsyncApiSchema = boolean | { [keyword: string]: unknown }

/** A link to documentation elsewhere. */
export interface AsyncApiExternalDocs extends AsyncApiExtensions {
  url: string
  description?: string
}

/** Something to group channels and operations by. */
export interface AsyncApiTag extends AsyncApiExtensions {
  name: string
  description?: string
  externalDocs?: AsyncApiExternalDocs
}

/** Title, version and contact of the API. */
export interface AsyncApiInfo extends AsyncApiExtensions {
  title: string
  /** The version of the API, not of AsyncAPI. */
  version: string
  description?: string
  termsOfService?: string
  contact?: { name?: string, url?: string, email?: string }
  license?: { name: string, url?: string }
  tags?: AsyncApiTag[]
  externalDocs?: AsyncApiExternalDocs
}

/** Where the API can be reached. */
export interface AsyncApiServer extends AsyncApiExtensions {
  /** With the port, if there is one: `chat.example.com:8080`. It may have `{variables}`. */
  host: string
  /** `ws` or `wss`. */
  protocol: string
  /** Prefix of the addresses of all channels on this server. */
  pathname?: string
  protocolVersion?: string
  title?: string
  summary?: string
  description?: string
  variables?: Record<string, { enum?: string[], default?: string, description?: string, examples?: string[] }>
  security?: Array<AsyncApiReference | AsyncApiSecurityScheme>
  tags?: AsyncApiTag[]
  externalDocs?: AsyncApiExternalDocs
}

/** A way for clients to authenticate. The types differ from OpenAPI's: a key in a header has the type `httpApiKey`. */
export interface AsyncApiSecurityScheme extends AsyncApiExtensions {
  type: 'userPassword' | 'apiKey' | 'X509' | 'symmetricEncryption' | 'asymmetricEncryption' | 'httpApiKey' | 'http' |
    'oauth2' | 'openIdConnect' | 'plain' | 'scramSha256' | 'scramSha512' | 'gssapi'
  description?: string
  /** For `httpApiKey`: the name of the header, query parameter or cookie. */
  name?: string
  /** For `httpApiKey`: `header`, `query` or `cookie`. */
  in?: string
  /** For `http`: the scheme, such as `bearer`. */
  scheme?: string
  bearerFormat?: string
  openIdConnectUrl?: string
  flows?: Record<string, unknown>
  /** The required scopes, out of the `availableScopes` of `flows`. */
  scopes?: string[]
}

/** A part of a channel's address. Its value is always a string; `x-schema` has what else the route wants of it. */
export interface AsyncApiParameter extends AsyncApiExtensions {
  description?: string
  enum?: string[]
  default?: string
  examples?: string[]
}

/** One kind of message. */
export interface AsyncApiMessage extends AsyncApiExtensions {
  name: string
  title?: string
  summary?: string
  description?: string
  contentType?: string
  deprecated?: boolean
  payload: AsyncApiSchema
}

/** The handshake of a channel: https://github.com/asyncapi/bindings/tree/master/websockets */
export interface AsyncApiWebSocketBinding extends AsyncApiExtensions {
  method: 'GET'
  query?: AsyncApiSchema
  headers?: AsyncApiSchema
  /** The subprotocols that the route speaks, best first. AsyncAPI has no place of its own for them. */
  'x-subprotocols'?: string[]
  bindingVersion: '0.1.0'
}

/** How a declared topic is kept and reached. */
export interface AsyncApiTopic {
  /** As it was declared, with the prefix. The address has braces, and encodes those that are part of the name. */
  pattern: string
  /** The subprotocol whose messages carry those of the topic: `topics.v1`. */
  protocol: string
  /** The keys of the channels that speak it: routes with `websocket: { topics: true }`. */
  channels: string[]
  /** `null` without history. */
  history: { messages: number, seconds: number } | null
  /** Whether subscribers see each other. */
  presence: boolean
  /** Information about a member, if there is a schema for it. */
  member?: AsyncApiSchema
}

/** A WebSocket route, or a declared topic. */
export interface AsyncApiChannel extends AsyncApiExtensions {
  /** The path of a route, or the name of a topic, with its parameters in braces. */
  address: string
  title?: string
  summary?: string
  description?: string
  messages: Record<string, AsyncApiReference>
  parameters?: Record<string, AsyncApiParameter>
  tags?: AsyncApiTag[]
  externalDocs?: AsyncApiExternalDocs
  /** The handshake. Topics have none of their own. */
  bindings?: { ws: AsyncApiWebSocketBinding }
  /** The constraints of a route. */
  'x-constraints'?: Record<string, string>
  /** Only topics have it. */
  'x-topic'?: AsyncApiTopic
}

/** One direction of a channel, as the server sees it: it receives what clients send. */
export interface AsyncApiOperation extends AsyncApiExtensions {
  action: 'receive' | 'send'
  channel: AsyncApiReference
  messages: AsyncApiReference[]
  summary?: string
  tags?: AsyncApiTag[]
  security?: Array<AsyncApiReference | AsyncApiSecurityScheme>
}

/** The document that `app.asyncapi()` returns. */
export interface AsyncApiDocument extends AsyncApiExtensions {
  asyncapi: '3.0.0'
  id?: string
  info: AsyncApiInfo
  servers?: Record<string, AsyncApiServer>
  defaultContentType?: string
  channels: Record<string, AsyncApiChannel>
  operations: Record<string, AsyncApiOperation>
  components: {
    messages?: Record<string, AsyncApiMessage>
    schemas?: Record<string, AsyncApiSchema>
    securitySchemes?: Record<string, AsyncApiSecurityScheme>
  }
}

/** Which schema of a route, or of a declared topic. */
export type AsyncApiSchemaKind = 'params' | 'querystring' | 'headers' | 'receive' | 'send' | 'publish' | 'message' | 'member'

/**
 * Gets every schema of every WebSocket route and declared topic, as declared, and returns the JSON Schema that describes it; `undefined`
 * leaves it to the plugin.
 */
export type AsyncApiTransform = (schema: unknown, context: { readonly url: string, readonly kind: AsyncApiSchemaKind }) => unknown

/** Parts of the document that the routes do not declare. */
export interface AsyncApiOptions {
  /** Default: the title `'WebSocket API'` and the version `'1.0.0'`. */
  info?: Partial<AsyncApiInfo> | undefined
  /** By name. Default none: nothing is guessed. */
  servers?: Record<string, AsyncApiServer> | undefined
  /** A URI that identifies the application. */
  id?: string | undefined
  /** The content type of messages of routes without schemas; with a schema it is `application/json`. */
  defaultContentType?: string | undefined
  /** By the names that the routes have in `schema.security`. */
  securitySchemes?: Record<string, AsyncApiSecurityScheme> | undefined
  /** The URL of a route that serves the document as JSON, such as `'/asyncapi.json'`. Default `false`: no route serves it. */
  route?: string | false | undefined
  /** For schemas that neither are JSON Schema nor convert themselves to it, as those of Standard JSON Schema do. */
  transform?: AsyncApiTransform | undefined
}
