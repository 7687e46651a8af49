/** One group of the sidebar: file names without `.md`, relative to docs/, with the text of the link. */
export interface Group {
  text: string
  pages: Record<string, string>
}

/** Every page of the site besides the home page and the API reference, in the order in which a reader needs them. */
export const GROUPS: Group[] = [
  {
    text: 'Start',
    pages: {
      'getting-started': 'Getting started',
      migration: 'Moving from @fastify/websocket or ws',
      options: 'All options',
      faq: 'Questions and answers'
    }
  },
  {
    text: 'Routes and messages',
    pages: {
      routes: 'Routes',
      connection: 'The connection',
      'json-messages': 'JSON messages',
      broadcasting: 'Broadcasting',
      backpressure: 'Backpressure',
      errors: 'Errors',
      typescript: 'TypeScript'
    }
  },
  {
    text: 'Access and limits',
    pages: {
      hooks: 'Hooks',
      authentication: 'Authentication',
      origins: 'Origins',
      limits: 'Limits',
      heartbeat: 'Heartbeat',
      security: 'Security'
    }
  },
  {
    text: 'Topics and the client',
    pages: {
      topics: 'Topics',
      client: 'The client',
      redis: 'Redis',
      nats: 'NATS',
      'topics-protocol': 'The topics protocol'
    }
  },
  {
    text: 'In production',
    pages: {
      testing: 'Testing',
      closing: 'Closing',
      deploying: 'Deploying',
      observability: 'Logs and metrics',
      compression: 'Compression',
      http2: 'HTTP/2',
      performance: 'Performance'
    }
  },
  {
    text: 'Fits in with',
    pages: {
      integrations: 'Integrations',
      asyncapi: 'AsyncAPI',
      interoperability: 'Interoperability'
    }
  },
  {
    text: 'The project',
    pages: {
      'project/changelog': 'Changelog',
      'project/contributing': 'Contributing',
      'project/security-policy': 'Security policy',
      architecture: 'Architecture',
      'internals/decisions': 'Decisions',
      'internals/requirements': 'Requirements',
      'internals/ecosystem': 'Ecosystem'
    }
  }
]

/** Pages of the API reference, in the folder that `npm run docs` writes: what most readers look for, and the entries of the package. */
export const REFERENCE: Record<string, string> = {
  'fastify-ws-routes/interfaces/WebSocketPluginOptions': 'Options of the plugin',
  'fastify-ws-routes/interfaces/WebSocketRouteOptions': 'Options of a route',
  'fastify-ws-routes/interfaces/WebSocketConnectionOf': 'The connection',
  'fastify-ws-routes/interfaces/WebSocketServer': 'app.websocketServer',
  'fastify/interfaces/App': 'Members of the app',
  'fastify-ws-routes/interfaces/Topic': 'Topics',
  'fastify-ws-routes/client/index': 'fastify-ws-routes/client',
  'fastify-ws-routes/redis/index': 'fastify-ws-routes/redis',
  'fastify-ws-routes/nats/index': 'fastify-ws-routes/nats',
  'fastify-ws-routes/broker-tests/index': 'fastify-ws-routes/broker-tests',
  'fastify-ws-routes/index': 'All names',
  'fastify/index': 'Names on Fastify'
}
