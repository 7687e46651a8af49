// What `@fastify/websocket` means to the compiler here (`paths` in tsconfig.json): graphql-ws imports its types, and its
// declarations beside ours would clash (docs/migration.md). No other file has this name, so that at run time, where
// tsx goes by `paths` too, it is found in node_modules.

export * from '../../lib/index.js'
export { default } from '../../lib/index.js'
