// What `@fastify/websocket` means to the compiler in test/interop (`paths` in its tsconfig.json): graphql-ws imports its
// types, and its declarations beside ours would clash (docs/migration.md).

export * from '../../lib/index.js'
export { default } from '../../lib/index.js'
