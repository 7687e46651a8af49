// The API reference, from the types and their comments: a page for each entry of the package, and one for each name in it.

import { existsSync } from 'node:fs'
import { MarkdownPageEvent } from 'typedoc-plugin-markdown'

/** Makes links of the names of documents, which comments have as they are in the package: docs/limits.md. */
function linkDocuments (app) {
  app.renderer.on(MarkdownPageEvent.END, page => {
    page.contents = page.contents.replace(/\bdocs\/([\w-]+)\.md\b/g, (path, name) => {
      if (!existsSync(new URL(`${name}.md`, import.meta.url))) app.logger.error(`${page.url} refers to ${path}, which is not there`)
      return `[${path}](/${name}.md)`
    })
    // The interfaces of the page exist for this reference only.
    if (page.url.startsWith('fastify/')) page.contents = page.contents.replace(/^#+ (?:Inherited from|Extends)\n\n(?:- )?`Pick`?.*\n/gm, '').replace(/^#+ Inherited from\n\n`Pick\..*\n/gm, '')
  })
}

/** @type {import('typedoc').TypeDocOptions & import('typedoc-plugin-markdown').PluginOptions} */
export default {
  plugin: ['typedoc-plugin-markdown', linkDocuments],
  name: 'API reference',
  tsconfig: '.vitepress/api/tsconfig.json',
  entryPoints: [
    '.vitepress/api/fastify.ts', '../lib/index.ts', '../lib/client/index.ts', '../lib/redis/index.ts', '../lib/nats/index.ts', '../lib/broker-tests/index.ts'
  ],
  out: 'api',
  router: 'member',
  readme: 'none',
  disableSources: true,
  excludePrivate: true,
  excludeInternal: true,
  excludeExternals: true,
  validation: { notExported: true, invalidLink: true, invalidPath: true, notDocumented: true },
  treatWarningsAsErrors: true,
  hidePageHeader: true,
  entryFileName: 'index',
  indexFormat: 'table',
  parametersFormat: 'table',
  sort: ['source-order'],
  // Steps of conditional types.
  intentionallyNotExported: [
    'NamesOfPart', 'ContractsOf', 'NameOf', 'AnyContract', 'Matching', 'ParamOfPart', 'Known', 'Validated', 'ToValues', 'Serialized',
    'DeclaredHandler', 'GenericsOf', 'SchemaOf', 'TypeProviderOf', 'PrefixedContract', 'TypesOf', 'OfRoute'
  ],
  // Their conditions, and members that are said by the type itself.
  intentionallyNotDocumented: [
    'fastify-ws-routes.WebSocketReceiver.__type.receive',
    'fastify-ws-routes.WebSocketReceiver.__type.send',
    'fastify-ws-routes.WebSocketReceiver.__type.data',
    'fastify-ws-routes.WebSocketRouteConnections.__type.receive',
    'fastify-ws-routes.WebSocketRouteConnections.__type.send',
    'fastify-ws-routes.WebSocketRouteConnections.__type.data',
    'fastify-ws-routes.WebSocketConnection.__type.receive',
    'fastify-ws-routes.WebSocketConnection.__type.send',
    'fastify-ws-routes.WebSocketConnection.__type.data',
    'fastify-ws-routes.InjectedWebSocket.__type.receive',
    'fastify-ws-routes.InjectedWebSocket.__type.send',
    'fastify-ws-routes.InjectedWebSocket.__type.data',
    'fastify-ws-routes.TopicParams.__type.Params',
    'fastify-ws-routes.TopicParams.__type.params',
    'fastify-ws-routes.TopicPublished.__type.Publish',
    'fastify-ws-routes.TopicPublished.__type.publish',
    'fastify-ws-routes.TopicMessageOf.__type.Message',
    'fastify-ws-routes.TopicMessageOf.__type.message',
    'fastify-ws-routes.TopicMemberInfo.__type.Member',
    'fastify-ws-routes.TopicMemberInfo.__type.member',
    'fastify-ws-routes.TopicDeclaration.presence.__type.member',
    'fastify-ws-routes.ReceivedMessage.__type.Receive',
    'fastify-ws-routes.ReceivedMessage.__type.receive',
    'fastify-ws-routes.ReceivedMessage.__type.schema',
    'fastify-ws-routes.SentMessage.__type.Send',
    'fastify-ws-routes.SentMessage.__type.send',
    'fastify-ws-routes.SentMessage.__type.schema',
    'fastify-ws-routes.ConnectionData.__type.Data',
    'fastify-ws-routes.WebSocketHandler.__type.app',
    'fastify-ws-routes.InjectedClient.__type.typeProvider',
    'fastify-ws-routes.fastifyWebsocket.__type.default',
    'fastify-ws-routes.fastifyWebsocket.__type.fastifyWebsocket'
  ]
}
