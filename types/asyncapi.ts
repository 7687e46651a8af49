// AsyncAPI 3.0 as far as `app.asyncapi()` uses it: https://www.asyncapi.com/docs/reference/specification/v3.0.0

/** Specification extensions, which every object of AsyncAPI may have. */
export interface AsyncApiExtensions {
  [extension: `x-${string}`]: unknown
}

/** A pointer to another part of the same document. */
export interface AsyncApiReference {
  /** A JSON Pointer in a URI fragment, such as `#/components/messages/hello`. */
  $ref: string
}

/** JSON Schema draft-07 with the additions of AsyncAPI. */
export type AsyncApiSchema = boolean | { [keyword: string]: unknown }

/** A link to documentation elsewhere. */
export interface AsyncApiExternalDocs extends AsyncApiExtensions {
  /** The URL of the documentation. */
  url: string
  /** A description in Markdown. */
  description?: string
}

/** Something to group channels and operations by. */
export interface AsyncApiTag extends AsyncApiExtensions {
  /** The name of the tag. */
  name: string
  /** A description in Markdown. */
  description?: string
  /** Further documentation. */
  externalDocs?: AsyncApiExternalDocs
}

/** Title, version and contact of the API. */
export interface AsyncApiInfo extends AsyncApiExtensions {
  /** The title of the API. */
  title: string
  /** The version of the API, not of AsyncAPI. */
  version: string
  /** A description in Markdown. */
  description?: string
  /** The URL of the terms of service. */
  termsOfService?: string
  /** Somebody who answers questions about the API: a name, a URL, an email address. */
  contact?: {
    /** The name of a person or an organization. */
    name?: string
    /** The URL of a page. */
    url?: string
    /** An email address. */
    email?: string
  }
  /** The license of the API: its name, and a URL. */
  license?: {
    /** The name of the license, such as `MIT`. */
    name: string
    /** The URL of its text. */
    url?: string
  }
  /** Tags of the whole API. */
  tags?: AsyncApiTag[]
  /** Further documentation. */
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
  /** The version of the protocol, such as `13`. */
  protocolVersion?: string
  /** A title for people. */
  title?: string
  /** One line about the server. */
  summary?: string
  /** A description in Markdown. */
  description?: string
  /** The variables of `host` and `pathname`, by name. */
  variables?: Record<string, {
    /** The values that it accepts. Default: any. */
    enum?: string[]
    /** The value that is assumed if there is none. */
    default?: string
    /** A description in Markdown. */
    description?: string
    /** Values to show. */
    examples?: string[]
  }>
  /** Ways to authenticate, of which one is enough. */
  security?: Array<AsyncApiReference | AsyncApiSecurityScheme>
  /** Tags of the server. */
  tags?: AsyncApiTag[]
  /** Further documentation. */
  externalDocs?: AsyncApiExternalDocs
}

/** A way for clients to authenticate. The types differ from OpenAPI's: a key in a header has the type `httpApiKey`. */
export interface AsyncApiSecurityScheme extends AsyncApiExtensions {
  /** The kind of the scheme. */
  type: 'userPassword' | 'apiKey' | 'X509' | 'symmetricEncryption' | 'asymmetricEncryption' | 'httpApiKey' | 'http' |
    'oauth2' | 'openIdConnect' | 'plain' | 'scramSha256' | 'scramSha512' | 'gssapi'
  /** A description in Markdown. */
  description?: string
  /** For `httpApiKey`: the name of the header, query parameter or cookie. */
  name?: string
  /** For `httpApiKey`: `header`, `query` or `cookie`. */
  in?: string
  /** For `http`: the scheme, such as `bearer`. */
  scheme?: string
  /** For `http` with `bearer`: the format of the token, such as `JWT`. */
  bearerFormat?: string
  /** For `openIdConnect`: the URL of the discovery document. */
  openIdConnectUrl?: string
  /** For `oauth2`: the flows that there are, by name. */
  flows?: Record<string, unknown>
  /** The required scopes, out of the `availableScopes` of `flows`. */
  scopes?: string[]
}

/** A part of a channel's address. Its value is always a string; `x-schema` has what else the route wants of it. */
export interface AsyncApiParameter extends AsyncApiExtensions {
  /** A description in Markdown. */
  description?: string
  /** The values that it accepts. Default: any. */
  enum?: string[]
  /** The value that is assumed if there is none. */
  default?: string
  /** Values to show. */
  examples?: string[]
}

/** One kind of message. */
export interface AsyncApiMessage extends AsyncApiExtensions {
  /** The name of the message, for programs. */
  name: string
  /** The name of the message, for people. */
  title?: string
  /** One line about the message. */
  summary?: string
  /** A description in Markdown. */
  description?: string
  /** The media type of the payload. Default: that of the document. */
  contentType?: string
  /** Whether the message should no longer be used. Default `false`. */
  deprecated?: boolean
  /** The schema of the payload. */
  payload: AsyncApiSchema
}

/** The handshake of a channel: https://github.com/asyncapi/bindings/tree/master/websockets */
export interface AsyncApiWebSocketBinding extends AsyncApiExtensions {
  /** The method of the handshake over HTTP/1.1. */
  method: 'GET'
  /** The schema of the query string. */
  query?: AsyncApiSchema
  /** The schema of the header fields. */
  headers?: AsyncApiSchema
  /** The subprotocols that the route speaks, best first. AsyncAPI has no place of its own for them. */
  'x-subprotocols'?: string[]
  /** The version of the binding. */
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
  history: {
    /** At least this many of the newest messages are kept. */
    messages: number
    /** Seconds for which messages are kept. */
    seconds: number
  } | null
  /** Whether subscribers see each other. */
  presence: boolean
  /** Information about a member, if there is a schema for it. */
  member?: AsyncApiSchema
}

/** A WebSocket route, or a declared topic. */
export interface AsyncApiChannel extends AsyncApiExtensions {
  /** The path of a route, or the name of a topic, with its parameters in braces. */
  address: string
  /** The name of the channel, for people. */
  title?: string
  /** One line about the channel. */
  summary?: string
  /** A description in Markdown. */
  description?: string
  /** References to all messages of the channel, by name. */
  messages: Record<string, AsyncApiReference>
  /** The parameters of the address, by name. */
  parameters?: Record<string, AsyncApiParameter>
  /** Tags of the channel. */
  tags?: AsyncApiTag[]
  /** Further documentation. */
  externalDocs?: AsyncApiExternalDocs
  /** The handshake. Topics have none of their own. */
  bindings?: {
    /** The binding of WebSocket. */
    ws: AsyncApiWebSocketBinding
  }
  /** The constraints of a route. */
  'x-constraints'?: Record<string, string>
  /** Only topics have it. */
  'x-topic'?: AsyncApiTopic
}

/** One direction of a channel, as the server sees it: it receives what clients send. */
export interface AsyncApiOperation extends AsyncApiExtensions {
  /** `receive`: clients send to the server. `send`: the server sends to clients. */
  action: 'receive' | 'send'
  /** A reference to the channel. */
  channel: AsyncApiReference
  /** References to messages of the channel. */
  messages: AsyncApiReference[]
  /** One line about the operation. */
  summary?: string
  /** Tags of the operation. */
  tags?: AsyncApiTag[]
  /** Ways to authenticate, of which one is enough. */
  security?: Array<AsyncApiReference | AsyncApiSecurityScheme>
}

/**
 * The document that `app.asyncapi()` returns.
 *
 * @see docs/asyncapi.md
 */
export interface AsyncApiDocument extends AsyncApiExtensions {
  /** The version of AsyncAPI. */
  asyncapi: '3.0.0'
  /** A URI that identifies the application. */
  id?: string
  /** Title, version and contact. */
  info: AsyncApiInfo
  /** The servers, by name. */
  servers?: Record<string, AsyncApiServer>
  /** The media type of messages that do not name one. */
  defaultContentType?: string
  /** Routes and declared topics, by key. */
  channels: Record<string, AsyncApiChannel>
  /** The directions of the channels, by key. */
  operations: Record<string, AsyncApiOperation>
  /** Messages, schemas and security schemes that other parts refer to, each by name. */
  components: {
    /** The messages of all channels. */
    messages?: Record<string, AsyncApiMessage>
    /** Schemas that others refer to. */
    schemas?: Record<string, AsyncApiSchema>
    /** Ways to authenticate. */
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

/**
 * Parts of the document that the routes do not declare.
 *
 * @see docs/asyncapi.md
 */
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
