// The compiler resolves `@fastify/websocket` to this file in test/interop (`paths` in its tsconfig.json): graphql-ws
// imports its types, and its declarations would clash with ours (docs/migration.md).

export * from '../../lib/index.js'
export { default } from '../../lib/index.js'
